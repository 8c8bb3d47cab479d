"""One worker in this process, on a journal in a folder: written here, or through a writing process of its own."""

from __future__ import annotations

import asyncio
import subprocess
import sys
import tempfile
from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

from benchmarks.app import app
from outlast.adapters.host.alive import HostExecutors
from outlast.adapters.host.clock import SystemClock
from outlast.adapters.host.randomness import OsRandomness
from outlast.adapters.sqlite.blob import FileBlobs
from outlast.adapters.sqlite.client import SqliteClient
from outlast.adapters.sqlite.database import Durability
from outlast.adapters.sqlite.store import SqliteStore
from outlast.adapters.sqlite.writer import serve
from outlast.agent.control import Control
from outlast.agent.platform import Platform
from outlast.cell.worker import Worker

Mode = Literal["direct", "writer"]


@dataclass(frozen=True)
class Runtime:
    """What a measurement drives."""

    control: Control
    worker: Worker
    platform: Platform

    async def complete(
        self, agent: str, arguments: dict[str, Any], session: str | None = None, look_s: float = 0.0005
    ) -> Any:
        """Start a run, have the worker take it, look every `look_s` whether it has ended; what it returned."""
        started = await self.control.start(agent, arguments, session=session)
        self.worker.offer(started.run)
        while self.worker.runs:  # noqa: ASYNC110 (a worker has no event for it: users wait through the API)
            await asyncio.sleep(look_s)
        view = await self.control.view(started.run)
        if view.state != "completed":
            raise RuntimeError(f"run {started.run} is {view.state}: {view.reason} {view.error}")
        return view.result


def report(line: str) -> None:
    """What the worker says goes to the probe's log."""
    print(line, file=sys.stderr, flush=True)


def write_journal(directory: str, socket: str) -> None:
    """The writing process."""
    serve(Path(directory) / "journal.sqlite", Path(socket), clock=SystemClock(), randomness=OsRandomness())


@asynccontextmanager
async def opened(directory: Path, mode: Mode, durability: Durability = "power") -> AsyncGenerator[Runtime]:
    """A worker and its control; power-safe in all that is measured, less only to prepare what is."""
    clock, randomness = SystemClock(), OsRandomness()
    path = directory / "journal.sqlite"
    writer: subprocess.Popen[bytes] | None = None
    with tempfile.TemporaryDirectory(prefix="ol-") as short:
        if mode == "writer":
            socket = Path(short) / "writer.sock"
            code = "import sys; from benchmarks.runtime import write_journal; write_journal(*sys.argv[1:])"
            command = [sys.executable, "-c", code, str(directory), str(socket)]
            writer = subprocess.Popen(command)  # noqa: ASYNC220 (before anything is measured)
            store = await SqliteClient.open(path, socket, wait_s=30, clock=clock)
        else:
            store = SqliteStore.open(path, randomness, durability=durability)
        try:
            blobs = FileBlobs(directory / "blobs", randomness)
            executors = HostExecutors(directory / "workers", clock)
            platform = Platform(clock, randomness, store, store, store, blobs, executors)
            async with Worker(app, platform, "bench", report=report) as worker:
                yield Runtime(Control(platform, app), worker, platform)
        finally:
            store.close()
            if writer is not None:
                writer.terminate()
                writer.wait(10)
