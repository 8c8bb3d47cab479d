from __future__ import annotations

import os
import signal
import subprocess
import sys
from collections.abc import Awaitable, Callable, Iterator
from pathlib import Path

import msgspec
import pytest

from outlast.adapters.host import alive, group, table
from outlast.adapters.host.alive import Alive, AliveFile, HostExecutors
from outlast.adapters.host.clock import SystemClock
from outlast.kernel.error import Conflict, UsageError

Until = Callable[..., Awaitable[None]]

PROGRAM = """
import subprocess, sys, time
from pathlib import Path
from outlast.adapters.host.alive import AliveFile
from outlast.adapters.host.clock import SystemClock
held = AliveFile(Path(sys.argv[1]), sys.argv[2], SystemClock())
if len(sys.argv) > 3:
    subprocess.Popen([sys.executable, "-c", "import time; time.sleep(600)"])
print("held", flush=True)
time.sleep(600)
"""


class Worker:
    def __init__(self, directory: Path, name: str, *more: str, own_group: bool = True) -> None:
        self.process = subprocess.Popen(
            [sys.executable, "-c", PROGRAM, str(directory), name, *more],
            stdout=subprocess.PIPE,
            start_new_session=own_group,
            env={**os.environ, "OUTLAST_CHILD": name},
        )
        assert self.process.stdout is not None
        assert self.process.stdout.readline() == b"held\n"


@pytest.fixture
def workers() -> Iterator[list[Worker]]:
    started: list[Worker] = []
    yield started
    for worker in started:
        worker.process.kill()
        worker.process.communicate()


def test_a_worker_that_lives_is_killed_and_then_surely_dead(tmp_path: Path, workers: list[Worker]) -> None:
    import asyncio

    worker = Worker(tmp_path, "w1")
    workers.append(worker)

    async def confirm() -> bool:
        return await HostExecutors(tmp_path, SystemClock()).confirm_dead("w1")

    assert asyncio.run(confirm())
    assert worker.process.wait() == -signal.SIGKILL
    assert asyncio.run(confirm())


async def test_a_frozen_worker_and_what_it_started_is_killed(tmp_path: Path, workers: list[Worker]) -> None:
    worker = Worker(tmp_path, "w1", "with a child of its own")
    workers.append(worker)
    assert len(table.members(worker.process.pid)) == 2
    os.killpg(worker.process.pid, signal.SIGSTOP)
    assert await HostExecutors(tmp_path, SystemClock()).confirm_dead("w1")
    assert table.members(worker.process.pid) == []


async def test_what_a_dead_worker_left_behind_is_killed(tmp_path: Path, workers: list[Worker]) -> None:
    worker = Worker(tmp_path, "w1", "with a child of its own")
    workers.append(worker)
    worker.process.kill()
    worker.process.wait()
    assert len(table.members(worker.process.pid)) == 1
    assert await HostExecutors(tmp_path, SystemClock()).confirm_dead("w1")
    assert table.members(worker.process.pid) == []


async def test_many_ask_at_once_and_all_are_told(tmp_path: Path, workers: list[Worker]) -> None:
    import asyncio

    workers.append(Worker(tmp_path, "w1"))
    asked = [HostExecutors(tmp_path, SystemClock()).confirm_dead("w1") for _ in range(8)]
    assert await asyncio.gather(*asked) == [True] * 8


async def test_a_worker_never_confirms_its_own_death(tmp_path: Path) -> None:
    held = AliveFile(tmp_path, "me", SystemClock())
    assert not await HostExecutors(tmp_path, SystemClock()).confirm_dead("me")
    held.close()


async def test_nothing_is_said_of_workers_of_another_boot_or_never_heard_of(tmp_path: Path) -> None:
    other = Alive(4_000_000, 4_000_000, "another boot", "1", 0.0)
    (tmp_path / "far.alive").write_bytes(msgspec.json.encode(other))
    (tmp_path / "torn.alive").write_bytes(b'{"pid": 1')
    executors = HostExecutors(tmp_path, SystemClock())
    assert not await executors.confirm_dead("far")
    assert not await executors.confirm_dead("torn")
    assert not await executors.confirm_dead("nobody")
    with pytest.raises(UsageError):
        await executors.confirm_dead("../../etc/passwd")


@pytest.mark.parametrize("boot", ["another boot", ""])
async def test_of_a_worker_of_another_host_that_shares_the_directory_nothing_is_said_and_nothing_waited_for(
    tmp_path: Path, workers: list[Worker], monkeypatch: pytest.MonkeyPatch, boot: str
) -> None:
    workers.append(Worker(tmp_path, "w1"))  # it lives and holds its lock, as over a network file system
    path = tmp_path / "w1.alive"
    said = msgspec.json.decode(path.read_bytes(), type=Alive)
    path.write_bytes(msgspec.json.encode(msgspec.structs.replace(said, boot=boot)))
    if not boot:  # hosts that cannot say which boot they are look the same, and are not
        monkeypatch.setattr(table, "boot_id", lambda: "")
    waits = Waits()
    assert not await HostExecutors(tmp_path, waits).confirm_dead("w1")
    assert waits.slept == []
    assert workers[0].process.poll() is None, "a process here has that number, and is a stranger"


class Waits(SystemClock):
    """A clock that keeps who slept."""

    def __init__(self) -> None:
        super().__init__()
        self.slept: list[float] = []

    async def sleep(self, seconds: float) -> None:
        self.slept.append(seconds)
        await super().sleep(seconds)


async def test_once_confirmed_dead_is_remembered_over_boots(tmp_path: Path, workers: list[Worker]) -> None:
    workers.append(Worker(tmp_path, "w1"))
    executors = HostExecutors(tmp_path, SystemClock())
    assert executors.known() == ["w1"]
    assert await executors.confirm_dead("w1")
    assert executors.known() == []
    path = tmp_path / "w1.alive"
    said = msgspec.json.decode(path.read_bytes(), type=Alive)
    path.write_bytes(msgspec.json.encode(msgspec.structs.replace(said, boot="a later boot")))
    assert await executors.confirm_dead("w1")


async def test_a_stranger_that_inherited_the_number_is_not_killed(tmp_path: Path, workers: list[Worker]) -> None:
    stranger = Worker(tmp_path / "elsewhere", "other")
    workers.append(stranger)
    said = Alive(stranger.process.pid, stranger.process.pid, alive.this_boot(), "1", 0.0)
    (tmp_path / "w1.alive").write_bytes(msgspec.json.encode(said))
    assert await HostExecutors(tmp_path, SystemClock()).confirm_dead("w1")
    assert stranger.process.poll() is None


def test_members_that_cannot_be_recognised_are_not_touched(tmp_path: Path, workers: list[Worker]) -> None:
    worker = Worker(tmp_path, "w1", "with a child of its own")
    workers.append(worker)
    worker.process.kill()
    worker.process.wait()
    (left,) = table.members(worker.process.pid)
    stranger = group.Identity(worker.process.pid, "1", "somebody else")
    assert not group.kill(stranger)
    assert table.lookup(left.pid) is not None
    os.kill(left.pid, signal.SIGKILL)


async def test_a_worker_that_shares_its_group_is_dead_when_its_lock_is_free(
    tmp_path: Path, workers: list[Worker]
) -> None:
    """A run in the user's own process (`outlast` embedded) leads no group: killing that would kill the shell's job."""
    worker = Worker(tmp_path, "w1", own_group=False)
    workers.append(worker)
    worker.process.kill()
    worker.process.wait()
    assert await HostExecutors(tmp_path, SystemClock()).confirm_dead("w1")


def test_an_identity_is_used_once(tmp_path: Path) -> None:
    held = AliveFile(tmp_path, "w1", SystemClock())
    with pytest.raises(Conflict, match="w1 is or was in use"):
        AliveFile(tmp_path, "w1", SystemClock())
    held.close()
    held.close()
    with pytest.raises(Conflict, match="w1 is or was in use"):
        AliveFile(tmp_path, "w1", SystemClock())


def test_files_of_the_dead_are_bounded(tmp_path: Path) -> None:
    for number in range(6):
        said = Alive(1, 1, "boot", "1", float(number), dead=number != 0)
        (tmp_path / f"w{number}.alive").write_bytes(msgspec.json.encode(said))
    HostExecutors(tmp_path, SystemClock()).prune(keep=3)
    assert sorted(path.stem for path in tmp_path.iterdir()) == ["w0", "w3", "w4", "w5"]
