from __future__ import annotations

import signal
import subprocess
import sys
from pathlib import Path
from typing import get_args

import pytest

from outlast.adapters.host.crash import CrashPoint, crash_points
from outlast.kernel.error import ConfigurationError
from outlast.kernel.point import NoPoints, Place

PROGRAM = """
import sys
from pathlib import Path
from outlast.adapters.host.crash import crash_points
points = crash_points({"OUTLAST_CRASH": sys.argv[1], "OUTLAST_CRASH_TOKEN": sys.argv[2]})
for number, subject in enumerate(sys.argv[3:], 1):
    place, _, subject = subject.partition(":")
    points.reach(place, subject)
    print(number, flush=True)
"""


def reached(order: str, token: Path, *subjects: str) -> tuple[int, int]:
    """How many places were passed, and the exit status."""
    done = subprocess.run([sys.executable, "-c", PROGRAM, order, str(token), *subjects], capture_output=True, text=True)
    return len(done.stdout.split()), done.returncode


def test_it_dies_at_its_place_and_only_once(tmp_path: Path) -> None:
    token = tmp_path / "token"
    token.touch()
    places = ("append.before:x", "effect.after:refund", "append.before:x")
    assert reached("effect.after", token, *places) == (1, -signal.SIGKILL)
    assert not token.exists()
    assert reached("effect.after", token, *places) == (3, 0)


def test_the_subject_and_the_occurrence_select(tmp_path: Path) -> None:
    token = tmp_path / "token"
    token.touch()
    places = ("effect.after:look", "effect.after:refund", "effect.after:refund", "effect.after:refund")
    assert reached("effect.after:refund#2", token, *places) == (2, -signal.SIGKILL)
    token.touch()
    assert reached("effect.after:re*#3", token, *places) == (3, -signal.SIGKILL)
    token.touch()
    assert reached("effect.after:other", token, *places) == (4, 0)


def test_every_named_place_can_be_ordered(tmp_path: Path) -> None:
    for place in get_args(Place):
        assert isinstance(
            crash_points({"OUTLAST_CRASH": place, "OUTLAST_CRASH_TOKEN": str(tmp_path / "t")}), CrashPoint
        )


def test_without_an_order_nobody_listens() -> None:
    assert isinstance(crash_points({}), NoPoints)


@pytest.mark.parametrize(
    ("order", "token", "says"),
    [
        ("effect.after", "", "OUTLAST_CRASH_TOKEN is not"),
        ("effect.later", "t", "'effect.later', which does not exist: use one of append.before"),
        ("effect.after#0", "t", "a number from 1"),
        ("effect.after#x", "t", "a number from 1"),
    ],
)
def test_orders_that_are_not_understood_are_refused(order: str, token: str, says: str) -> None:
    with pytest.raises(ConfigurationError, match=says):
        crash_points({"OUTLAST_CRASH": order, "OUTLAST_CRASH_TOKEN": token})
