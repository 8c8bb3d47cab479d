"""The crash tests' own promise: whatever becomes of pytest, nothing that it started goes on."""

from __future__ import annotations

import asyncio
import signal
import subprocess
import sys
from collections.abc import Awaitable, Callable
from pathlib import Path

import pytest

from outlast.adapters.host import table

pytestmark = pytest.mark.crash

TEST_RUN = """
import asyncio, os, signal, sys
from pathlib import Path
from tests.crash.system import System

async def main():
    async with System(Path(sys.argv[1])) as system:
        workers, writer = system.living("worker"), system.living("writer")
        frozen = [system.supervisor.pid, *writer.values(), *list(workers.values())[:1]]
        for pid in frozen:
            os.kill(pid, signal.SIGSTOP)
        print(*frozen, *workers.values(), flush=True)
        await asyncio.sleep(600)

asyncio.run(main())
"""


async def test_when_pytest_is_killed_frozen_supervisors_and_children_end_too(
    short_dir: Path, until: Callable[..., Awaitable[None]]
) -> None:
    root = Path(__file__).parents[2]
    run = subprocess.Popen(
        [sys.executable, "-c", TEST_RUN, str(short_dir)], stdout=subprocess.PIPE, text=True, cwd=root
    )
    assert run.stdout is not None
    try:
        started = {int(pid) for pid in (await asyncio.to_thread(run.stdout.readline)).split()}
        assert len(started) >= 5
    finally:
        run.send_signal(signal.SIGKILL)
        run.wait()
        run.stdout.close()

    def left() -> list[table.Process]:
        found = [table.lookup(pid) for pid in started]
        return [process for process in found if process is not None and not process.zombie]

    await until(lambda: not left(), 60, f"nothing is left of {started}")
