from __future__ import annotations

import contextlib
import os
import signal
import subprocess
import sys
from collections.abc import AsyncIterator, Awaitable, Callable
from pathlib import Path

import pytest

from outlast.adapters.host import table
from outlast.adapters.host.lifeline import is_supported
from outlast.adapters.host.process import HostChild, HostChildren
from outlast.cell.child import Beat, Drain, FromChild, Log, Ready, Ring
from outlast.kernel.error import StoreUnavailable
from tests.adapters.host import children

Until = Callable[..., Awaitable[None]]


class Nursery:
    def __init__(self, directory: Path, *, pidfd: bool) -> None:
        self.directory = directory
        self.host = HostChildren(pidfd=pidfd)
        self.words: list[FromChild] = []
        self.deaths: list[tuple[str, int]] = []
        self.started: list[HostChild] = []

    def start(self, program: str, child: str = "w1") -> HostChild:
        plan = children.plan(self.directory, child, program)
        started = self.host.start(
            plan, lambda _, word: self.words.append(word), lambda name, status: self.deaths.append((name, status))
        )
        self.started.append(started)
        return started

    def heard(self, kind: type) -> list[FromChild]:
        return [word for word in self.words if isinstance(word, kind)]


@pytest.fixture(params=[True, False], ids=["pidfd", "wait"])
async def nursery(request: pytest.FixtureRequest, tmp_path: Path, until: Until) -> AsyncIterator[Nursery]:
    made = Nursery(tmp_path, pidfd=request.param)
    yield made
    for child in made.started:
        child.kill()
    await until(lambda: len(made.deaths) == len(made.started), 10, "all children are dead")


async def test_words_go_both_ways(nursery: Nursery, until: Until) -> None:
    child = nursery.start(children.ECHOES)
    await until(lambda: nursery.heard(Ready) and len(nursery.heard(Beat)) > 3)
    assert child.send(Ring("r1", True))
    assert child.send(Drain(2.5))
    await until(lambda: len(nursery.heard(Log)) == 2)
    assert [word.text for word in nursery.heard(Log)] == ["Ring(run='r1', solo=True)", "Drain(within_s=2.5)"]  # type: ignore[attr-defined]


async def test_each_child_leads_a_group_and_a_session_of_its_own(nursery: Nursery, until: Until) -> None:
    child = nursery.start(children.BEATS)
    await until(lambda: nursery.heard(Ready))
    assert os.getpgid(child.pid) == os.getsid(child.pid) == child.pid != os.getpgrp()
    assert table.tagged(child.pid, "OUTLAST_CHILD", "w1")
    assert table.tagged(child.pid, "PYTHONHASHSEED", "0")
    assert child.memory() > 1 << 20


async def test_an_exit_is_told_with_its_status_and_its_last_words(nursery: Nursery, until: Until) -> None:
    nursery.start(children.FAILS)
    await until(lambda: nursery.deaths)
    assert nursery.deaths == [("w1", 78)]
    assert "no such file" in repr(nursery.words[-1])


@pytest.mark.parametrize("number", [signal.SIGKILL, signal.SIGSEGV])
async def test_a_death_by_signal_is_told(nursery: Nursery, until: Until, number: int) -> None:
    child = nursery.start(children.BEATS)
    await until(lambda: nursery.heard(Ready))
    os.kill(child.pid, number)
    await until(lambda: nursery.deaths)
    assert nursery.deaths == [("w1", -number)]
    assert child.memory() == 0
    assert not child.send(Drain(1.0))
    child.kill()  # nobody is hit


async def test_a_stopped_child_is_killed(nursery: Nursery, until: Until) -> None:
    child = nursery.start(children.BEATS)
    await until(lambda: nursery.heard(Ready))
    os.kill(child.pid, signal.SIGSTOP)
    child.kill()
    await until(lambda: nursery.deaths)
    assert nursery.deaths == [("w1", -signal.SIGKILL)]


async def test_what_a_child_started_dies_with_it(nursery: Nursery, until: Until) -> None:
    child = nursery.start(children.HAS_CHILDREN)
    await until(lambda: nursery.heard(Ready))
    (said,) = nursery.heard(Log)
    grandchild = int(said.text)  # type: ignore[attr-defined]
    assert {member.pid for member in table.members(child.pid)} == {child.pid, grandchild}
    os.kill(child.pid, signal.SIGKILL)
    await until(lambda: nursery.deaths)
    await until(lambda: not table.members(child.pid), 60, "the group is empty")


async def test_nonsense_on_the_channel_is_ignored_and_a_flood_without_end_closes_it(
    nursery: Nursery, until: Until
) -> None:
    child = nursery.start(
        children.PRELUDE
        + "fd = link.fileno()\nos.set_blocking(fd, True)\nos.write(fd, b'hello\\n{\"t\":\"beat\"}\\n\\xff\\n')\n"
        + "link.say(Log('info', 'still here'))\nos.set_blocking(fd, True)\n"
        + "try:\n    [os.write(fd, b'x' * 65536) for _ in range(100)]\nexcept OSError:\n    sys.exit(9)"
    )
    await until(lambda: nursery.deaths)
    assert [type(word) for word in nursery.words] == [Log]
    assert child.memory() == 0


async def test_a_program_that_does_not_exist_is_a_clear_error(nursery: Nursery, tmp_path: Path) -> None:
    plan = children.plan(tmp_path, "w9", "")
    broken = type(plan)(plan.id, plan.kind, ["/nowhere/python"], plan.environment, plan.directory, plan.log)
    with pytest.raises(StoreUnavailable, match=r"worker w9 cannot be started: .*No such file"):
        nursery.host.start(broken, lambda *_: None, lambda *_: None)


SELF_ENDING = ["STOPS_BEATING", "HAS_CHILDREN"]
ENDED_BY_THE_KERNEL = ["FREEZES", "HOLDS_THE_INTERPRETER"] if is_supported() else []


@pytest.mark.parametrize("program", SELF_ENDING + ENDED_BY_THE_KERNEL)
async def test_a_child_and_its_group_die_at_once_when_its_supervisor_does_whatever_it_does_then(
    program: str, tmp_path: Path, until: Until
) -> None:
    supervisor = f"""
import asyncio, sys
sys.path[:0] = {sys.path!r}
from pathlib import Path
from outlast.adapters.host.process import HostChildren
from tests.adapters.host import children
async def main():
    host = HostChildren()
    child = host.start(children.plan(Path({str(tmp_path)!r}), "w", children.{program}), heard, lambda *_: None)
    started.append(child)
    await asyncio.Event().wait()
started = []
def heard(name, word):
    if type(word).__name__ == "Ready":
        print(started[0].pid, flush=True)
asyncio.run(main())
"""
    command = [sys.executable, "-c", supervisor]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as process:
        assert process.stdout is not None
        group = int(process.stdout.readline())
        assert table.members(group)
        process.kill()
    try:
        await until(lambda: not table.members(group), 20, "nobody is left")
    finally:
        with contextlib.suppress(ProcessLookupError):
            os.killpg(group, signal.SIGKILL)
