"""The guard undoes everything, also when the drill is killed."""

from __future__ import annotations

import asyncio
import signal
import subprocess
import sys
import textwrap
from collections.abc import Awaitable, Callable, Iterator

import pytest

from outlast.adapters.host.clock import SystemClock
from outlast.drill.guard import Guard, Ward, end, read
from outlast.drill.process import Process, identify

Until = Callable[..., Awaitable[None]]
STUBBORN = "import signal, time; signal.signal(signal.SIGTERM, signal.SIG_IGN); print('up', flush=True); time.sleep(99)"


@pytest.fixture
def start() -> Iterator[Callable[..., tuple[subprocess.Popen[str], Process]]]:
    started: list[subprocess.Popen[str]] = []

    def make(*command: str) -> tuple[subprocess.Popen[str], Process]:
        child = subprocess.Popen(command, stdout=subprocess.PIPE, text=True)
        started.append(child)
        process = identify(child.pid)
        assert process is not None
        return child, process

    yield make
    for child in started:
        child.kill()
        child.communicate()


Start = Callable[..., tuple[subprocess.Popen[str], Process]]


async def test_a_frozen_process_is_woken_and_asked_to_end(start: Start, until: Until) -> None:
    child, process = start("sleep", "99")
    async with Guard() as guard:
        guard.watch(Ward(process))
        guard.watch(Ward(process))
        child.send_signal(signal.SIGSTOP)
    await until(lambda: child.poll() is not None, 10, "it ended")
    assert child.returncode == -signal.SIGTERM


async def test_everything_is_undone_when_the_drill_is_killed(start: Start, until: Until) -> None:
    child, process = start("sleep", "99")
    drill = f"""
        import asyncio, os, signal
        from outlast.drill.guard import Guard, Ward
        from outlast.drill.process import Process

        async def main():
            async with Guard() as guard:
                guard.watch(Ward(Process({process.pid}, {process.started!r})))
                await guard._child.stdin.drain()
                os.kill({process.pid}, signal.SIGSTOP)
                os.kill(os.getpid(), signal.SIGKILL)

        asyncio.run(main())
    """
    killed = await asyncio.create_subprocess_exec(sys.executable, "-c", textwrap.dedent(drill))
    assert await killed.wait() == -signal.SIGKILL
    await until(lambda: child.poll() is not None, 20, "the guard ended it")
    assert child.returncode == -signal.SIGTERM


async def test_what_does_not_end_when_asked_is_killed(start: Start, until: Until) -> None:
    child, process = start(sys.executable, "-c", STUBBORN)
    assert child.stdout is not None
    assert child.stdout.readline() == "up\n"
    await end([Ward(process)], SystemClock(), limit_s=0.2)
    await until(lambda: child.poll() is not None, 10, "it was killed")
    assert child.returncode == -signal.SIGKILL


async def test_a_child_that_was_not_asked_is_left_to_its_parent_first(start: Start, until: Until) -> None:
    child, process = start("sleep", "99")
    await end([Ward(process, asked=False)], SystemClock(), limit_s=0.2)
    await until(lambda: child.poll() is not None, 10, "it was killed")
    assert child.returncode == -signal.SIGKILL


async def test_processes_that_have_gone_are_no_trouble(start: Start) -> None:
    child, process = start("sleep", "99")
    child.kill()
    child.wait()
    await end([Ward(process)], SystemClock())


def test_a_torn_line_is_nothing() -> None:
    assert read([b'{"process":{"pid":1,"started":"x"}}\n', b'{"process":{"pi']) == [Ward(Process(1, "x"))]
