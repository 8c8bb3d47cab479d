from __future__ import annotations

import gc
import os
import random
import socket
import threading
import time
import uuid
from collections.abc import Callable
from typing import Any

import pytest

from outlast.simulation.seal import Escaped, sealed


@pytest.mark.parametrize(
    "reach",
    [
        time.time, time.monotonic, time.perf_counter, random.random, uuid.uuid4,
        lambda: os.urandom(4), lambda: time.sleep(0), lambda: random.shuffle([1]),
        lambda: threading.Thread(target=print).start(), lambda: socket.socket().bind(("127.0.0.1", 0)),
    ],
)  # fmt: skip
def test_the_real_world_is_out_of_reach(reach: Callable[[], Any]) -> None:
    # some were taken before the block, as `from time import time` would: what is looked up inside must refuse
    name = getattr(reach, "__name__", "")
    owner = {"time": time, "monotonic": time, "perf_counter": time, "random": random}.get(name)
    with sealed(), pytest.raises(Escaped, match="take it from a port"):
        (getattr(owner, name) if owner else reach)()


def test_all_is_as_before_afterwards() -> None:
    before = (time.time, os.urandom, random.random, threading.Thread.start, gc.isenabled())
    with pytest.raises(ZeroDivisionError), sealed():
        raise ZeroDivisionError
    assert (time.time, os.urandom, random.random, threading.Thread.start, gc.isenabled()) == before


def test_a_generator_of_its_own_is_no_escape() -> None:
    with sealed():
        assert random.Random(1).random() == random.Random(1).random()
