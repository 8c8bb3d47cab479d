"""The system under test as somebody else sees it: a supervisor that was started, its children, files and ledger."""

from __future__ import annotations

import asyncio
import contextlib
import inspect
import os
import shutil
import signal
import sqlite3
import subprocess
import sys
import time
from collections.abc import Callable, Sequence
from contextlib import AsyncExitStack
from pathlib import Path
from typing import Any

import msgspec
import pytest

from outlast.adapters.host import table
from outlast.adapters.host.alive import Alive
from outlast.agent.app import App
from outlast.agent.control import Control
from outlast.agent.platform import Platform
from outlast.agent.view import RunView
from outlast.blueprint.load import load
from outlast.bootstrap.app import configure_app, load_app
from outlast.bootstrap.cell import CellOptions
from outlast.bootstrap.engine import is_shared
from outlast.bootstrap.home import StateDirectory
from outlast.bootstrap.platform import open_client_platform
from outlast.cell.bound import Bounds
from outlast.journal.chain import genesis, verify

PROJECT = Path(__file__).parent / "project"
SETTLED = ("completed", "failed", "cancelled", "continued", "held", "quarantined")
KINDS = ("writer", "worker", "server", "gateway", "keeper")
"""Of children."""


class System:
    """Use: ``async with System(directory) as system: run = await system.start_run("bookings", ...)``."""

    def __init__(
        self,
        home: Path,
        *,
        environment: dict[str, str] | None = None,
        bounds: Bounds | None = None,
        yaml: str = "",
        world: Path | None = None,
        workers: int = 3,
    ) -> None:
        """`workers` are waited for at the start; `world` is where ledger and gates are, outside the system: hosts that
        share a store share it too.
        """
        self.home = home
        self.world = world or home
        self._workers = workers
        self.state = StateDirectory(home)
        self._environment = environment or {}
        self._options = CellOptions(server=False, bounds=bounds or Bounds())
        shutil.copy(PROJECT / "app.py", home / "app.py")
        (home / "outlast.yaml").write_text(f"outlast: 1\n{yaml}")
        with sqlite3.connect(self.world / "ledger.sqlite") as ledger:
            ledger.execute("PRAGMA journal_mode = WAL")
            ledger.execute("CREATE TABLE IF NOT EXISTS attempt (at REAL, pid INTEGER, key TEXT, tag TEXT, n INTEGER)")
        ledger.close()
        self._stack = AsyncExitStack()
        self._supervisor: subprocess.Popen[bytes] | None = None
        self._watchdog: subprocess.Popen[bytes] | None = None
        self._events: list[dict[str, Any]] = []
        self._events_bytes = 0
        self._dead: set[Path] = set()
        self.control: Control
        self.platform: Platform

    # Its life

    async def __aenter__(self) -> System:
        self._watchdog = subprocess.Popen(
            [sys.executable, str(Path(__file__).parent / "watchdog.py"), str(self.home)],
            stdin=subprocess.PIPE, start_new_session=True,
        )  # fmt: skip
        try:
            return await self._open()
        except BaseException:
            self._end_watchdog()
            raise

    async def _open(self) -> System:
        self.spawn()
        blueprint = load(self.home)
        if not is_shared(blueprint):
            await self.until(self.state.socket.exists, 60, "the writer serves")
        await self.until(lambda: self.living("worker"), 60, "a worker is there")
        self.platform = await self._stack.enter_async_context(open_client_platform(self.home, blueprint))
        app: App[Any] = configure_app(load_app("app:app", self.home), blueprint)
        self.control = Control(self.platform, app)
        await self.until_workers(self._workers)
        return self

    async def __aexit__(self, *exc: object) -> None:
        try:
            await self._stack.aclose()
            await self.stop()
            left = [member for child in self.alive_files() for member in table.members(child.pid)]
            assert not left, f"processes were left behind: {left}"
        finally:
            self._end_watchdog()

    def _end_watchdog(self) -> None:
        """It kills what is left, then ends itself."""
        if self._watchdog is not None:
            self._watchdog.communicate(timeout=60)

    def spawn(self) -> None:
        """Start the supervisor; `__aenter__` did it for the first one."""
        log = (self.home / "supervisor.log").open("ab")
        self._supervisor = subprocess.Popen(
            [sys.executable, str(Path(__file__).parent / "supervise.py"), str(self.home), self._encoded()],
            env={**os.environ, "CRASH_HOME": str(self.world), **self._environment},
            stdin=subprocess.DEVNULL,
            stdout=log,
            stderr=log,
            start_new_session=True,
        )
        log.close()
        if self._watchdog is not None and self._watchdog.stdin is not None:
            self._watchdog.stdin.write(b"%d\n" % self._supervisor.pid)
            self._watchdog.stdin.flush()

    def _encoded(self) -> str:
        return msgspec.json.encode(self._options).decode()

    @property
    def supervisor(self) -> subprocess.Popen[bytes]:
        assert self._supervisor is not None
        return self._supervisor

    async def stop(self, within_s: float = 60.0) -> int:
        """SIGTERM, and wait for its end; killed if it does not come."""
        process = self.supervisor
        if process.poll() is None:
            process.terminate()
            deadline = time.monotonic() + within_s
            while process.poll() is None and time.monotonic() < deadline:  # noqa: ASYNC110 (a process)
                await asyncio.sleep(0.01)
            if process.poll() is None:
                process.kill()
                process.wait()
                pytest.fail(f"the supervisor did not stop within {within_s} s\n{self.told()}")
        return process.wait()

    def kill_whole(self) -> None:
        """The host is gone: supervisor and children at once, as when its power is cut; none of them acts any more."""
        self.supervisor.kill()
        children = [pid for kind in KINDS for pid in self.living(kind).values()]
        for pid in children:
            with contextlib.suppress(ProcessLookupError):
                os.killpg(pid, signal.SIGKILL)
        self.supervisor.wait()
        end = time.monotonic() + 60
        while any(table.members(pid) for pid in children):
            if time.monotonic() > end:
                pytest.fail(f"of {children} not all are dead\n{self.told()}")
            time.sleep(0.005)

    async def until(self, condition: Callable[[], Any], deadline_s: float, what: str) -> None:
        """Wait for a condition; fails with what the cell said when it does not come."""
        end = time.monotonic() + deadline_s
        while not (await found if inspect.isawaitable(found := condition()) else found):
            if time.monotonic() > end:
                pytest.fail(f"not within {deadline_s} s: {what}\n{self.told()}")
            if self._supervisor is not None and self._supervisor.poll() not in (None, -signal.SIGKILL):
                pytest.fail(f"the supervisor ended with {self._supervisor.returncode}\n{self.told()}")
            await asyncio.sleep(0.01)

    def told(self) -> str:
        """The last of what the supervisor and its children said."""
        parts: list[str] = []
        for path in [self.home / "supervisor.log", self.home / "events.jsonl", *sorted(self.state.logs.glob("*.log"))]:
            if path.exists():
                lines = path.read_text(errors="replace").splitlines()[-40:]
                parts += [f"--- {path.name}", *lines]
        return "\n".join(parts)

    def events(self) -> list[dict[str, Any]]:
        """What happened to the children. Asked for a hundred times a second: what was read once is not read again."""
        path = self.home / "events.jsonl"
        if path.exists():
            with path.open("rb") as file:
                file.seek(self._events_bytes)
                for line in file:
                    if not line.endswith(b"}\n"):
                        break
                    self._events.append(msgspec.json.decode(line))
                    self._events_bytes += len(line)
        return self._events

    # Its processes

    def alive_files(self) -> list[Alive]:
        """Every child there ever was."""
        found: list[Alive] = []
        for kind in KINDS:
            for path in self.state.alive(kind).glob("*.alive"):
                with_text = path.read_bytes()
                if with_text:
                    found.append(msgspec.json.decode(with_text, type=Alive))
        return found

    def living(self, kind: str) -> dict[str, int]:
        """Living children of a kind: id and process number. Who was seen dead is not looked for again."""
        found: dict[str, int] = {}
        for path in self.state.alive(kind).glob("*.alive"):
            if path in self._dead:
                continue
            try:
                said = msgspec.json.decode(path.read_bytes(), type=Alive)
            except msgspec.MsgspecError:
                continue
            process = table.lookup(said.pid)
            if process is not None and process.started == said.started and not process.zombie:
                found[path.stem] = said.pid
            else:
                self._dead.add(path)
        return found

    def ready_workers(self) -> dict[str, int]:
        """Living workers that have said that they are ready."""
        ready = {event["id"] for event in self.events() if event["type"] == "ChildReady"}
        return {name: pid for name, pid in self.living("worker").items() if name in ready}

    async def until_workers(self, count: int, deadline_s: float = 60.0) -> None:
        await self.until(lambda: len(self.ready_workers()) >= count, deadline_s, f"{count} workers are ready")

    # Its runs

    async def start_run(self, agent: str, **given: Any) -> str:
        return (await self.control.start(agent, given)).run

    async def settled(self, run: str, deadline_s: float = 60.0) -> RunView:
        """The run, once it has ended or waits for a person."""
        end = time.monotonic() + deadline_s
        while True:
            entry = await self.platform.index.entry(run)
            if entry is not None and entry.state in SETTLED:
                return await self.control.view(run)
            if time.monotonic() > end:
                kinds = [(event.seq, event.type) for event in await self.control.events(run)][-12:]
                pytest.fail(f"run {run} has not ended within {deadline_s} s: {entry}\n{kinds}\n{self.told()}")
            await asyncio.sleep(0.01)

    async def all_settled(self, runs: Sequence[str], deadline_s: float = 120.0) -> list[RunView]:
        end = time.monotonic() + deadline_s
        return [await self.settled(run, max(1.0, end - time.monotonic())) for run in runs]

    # What is true of it afterwards

    def attempts(self) -> dict[tuple[str, int], int]:
        """How often each effect was done, as the ledger outside the system knows."""
        ledger = sqlite3.connect(self.world / "ledger.sqlite", timeout=30)
        rows = ledger.execute("SELECT tag, n, count(*) FROM attempt GROUP BY tag, n, key").fetchall()
        ledger.close()
        counts: dict[tuple[str, int], int] = {}
        for tag, n, count in rows:
            counts[tag, n] = counts.get((tag, n), 0) + count
        return counts

    async def verify_chains(self) -> None:
        """Every history is gapless and as it was written."""
        store = self.platform.store
        for kind in ("run", "inbox", "session"):
            for stream in await store.streams(kind, limit=100_000):
                head = genesis(stream)
                while records := await store.read(stream, head.seq, 1000):
                    head = verify(stream, records, head)
