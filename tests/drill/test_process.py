from __future__ import annotations

import os
import signal
import subprocess
import sys
from collections.abc import Awaitable, Callable, Iterator

import msgspec
import pytest

from outlast.drill.process import Process, alive, children, identify, send

Until = Callable[..., Awaitable[None]]


@pytest.fixture
def sleeper() -> Iterator[subprocess.Popen[bytes]]:
    child = subprocess.Popen(["sleep", "100"])
    yield child
    child.kill()
    child.wait()


def test_a_process_is_known_by_its_id_and_its_start(sleeper: subprocess.Popen[bytes]) -> None:
    process = identify(sleeper.pid)
    assert process is not None
    assert alive(process)
    assert not alive(msgspec.structs.replace(process, started="another start"))


def test_an_ended_process_is_not_alive_even_before_it_is_reaped(sleeper: subprocess.Popen[bytes]) -> None:
    process = identify(sleeper.pid)
    assert process is not None
    sleeper.kill()
    os.waitid(os.P_PID, sleeper.pid, os.WEXITED | os.WNOWAIT)
    assert identify(sleeper.pid) is None
    assert not alive(process)
    assert not send(process, signal.SIGTERM)


def test_children_are_found_with_their_command(sleeper: subprocess.Popen[bytes]) -> None:
    found = {child.process.pid: child.command for child in children(os.getpid())}
    assert found[sleeper.pid] == "sleep 100"


def test_a_signal_never_reaches_another_process_with_the_same_number(sleeper: subprocess.Popen[bytes]) -> None:
    assert not send(Process(sleeper.pid, "long ago"), signal.SIGKILL)
    assert sleeper.poll() is None


async def test_a_stopped_process_is_alive(sleeper: subprocess.Popen[bytes], until: Until) -> None:
    process = identify(sleeper.pid)
    assert process is not None
    assert send(process, signal.SIGSTOP)
    assert alive(process)
    assert send(process, signal.SIGKILL)
    await until(lambda: sleeper.poll() is not None, 10, "the sleeper is dead")
    assert not send(process, signal.SIGCONT)


@pytest.mark.skipif(sys.platform != "linux", reason="compares with /proc")
def test_ps_says_the_same_as_proc(sleeper: subprocess.Popen[bytes], monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("outlast.drill.process._proc", False)
    process = identify(sleeper.pid)
    assert process is not None
    assert alive(process)
    assert {child.process.pid: child.command for child in children(os.getpid())}[sleeper.pid] == "sleep 100"
    sleeper.kill()
    os.waitid(os.P_PID, sleeper.pid, os.WEXITED | os.WNOWAIT)
    assert identify(sleeper.pid) is None
