"""The system under test as a third party sees it: one command that was started, its children, its files."""

from __future__ import annotations

import asyncio
import os
import signal
import sys
from collections.abc import Mapping
from pathlib import Path
from typing import IO, Any

import msgspec

from outlast.drill.guard import Guard, Ward
from outlast.drill.process import Child, Process, alive, children, identify
from outlast.kernel.clock import Clock
from outlast.kernel.error import OutlastError

start_within_s = 60.0
_poll_s = 0.05


class NotUp(OutlastError):
    """`outlast up` did not come up, or ended by itself."""

    code = "not_up"


class _Up(msgspec.Struct, frozen=True):
    pid: int
    address: str


class _Alive(msgspec.Struct, frozen=True):
    pid: int


class _News(msgspec.Struct, frozen=True):
    t: str
    id: str = ""
    kind: str = ""


_news = msgspec.json.Decoder(_News)


class System:
    """``outlast up`` in `home`, as often as it is started. Everything it starts is put under the guard's eyes."""

    def __init__(self, home: Path, environment: Mapping[str, str], guard: Guard, clock: Clock) -> None:
        self._home = home
        self._state = home / ".outlast"
        self._environment = {**os.environ, **environment}
        self._guard = guard
        self._clock = clock
        self._process: asyncio.subprocess.Process | None = None
        self.log = home / "up.log"
        """What the supervisor printed: its news, one JSON object a line."""
        self._read = 0
        self._serving: set[str] = set()

    @property
    def supervisor(self) -> Process | None:
        """The running ``outlast up``."""
        return None if self._process is None else identify(self._process.pid)

    def address(self) -> str | None:
        """Where its API is, as it says itself; None while it is not up."""
        supervisor = self.supervisor
        up = _read(self._state / "up.json", _Up)
        if up is None or supervisor is None or up.pid != supervisor.pid or not up.address:
            return None
        return up.address if "://" in up.address else f"http://{up.address}"

    def workers(self) -> dict[str, Process]:
        """Living workers by their identity, stopped ones included."""
        found: dict[str, Process] = {}
        mine = {child.process for child in self._children()}
        for path in (self._state / "workers").glob("*.alive"):
            claim = _read(path, _Alive)
            process = None if claim is None else identify(claim.pid)
            if process is not None and process in mine:
                found[path.stem] = process
        return found

    def serving(self) -> set[str]:
        """Living workers that the supervisor has announced as ready; a process that only starts is no standby yet."""
        with self.log.open("rb") as log:
            log.seek(self._read)
            for line in log:
                if not line.endswith(b"\n"):
                    break
                self._read += len(line)
                try:
                    news = _news.decode(line)
                except msgspec.MsgspecError:
                    continue  # what was printed by accident
                if news.t == "ChildReady" and news.kind == "worker":
                    self._serving.add(news.id)
        return self._serving & self.workers().keys()

    def writer(self) -> Process | None:
        """The process that writes the journal."""
        words = ("child", "writer")
        return next((c.process for c in self._children() if all(word in c.command for word in words)), None)

    def named(self, kind: str) -> list[Process]:
        """Its living children of one kind: ``worker``, ``writer``, ``server``, ``gateway``."""
        return [child.process for child in self._children() if f"cli.child {kind} " in f"{child.command} "]

    async def start(self) -> None:
        """Start it, and return when it says its address. Raises NotUp with its last words."""
        with self.log.open("ab") as log:
            self._process = await self._spawn(log)
        deadline = self._clock.monotonic() + start_within_s
        while self.address() is None:
            if self._process.returncode is not None:
                raise NotUp(f"`outlast up` ended with status {self._process.returncode}: {self._last_words()}")
            if self._clock.monotonic() > deadline:
                raise NotUp(f"`outlast up` said no address within {start_within_s:g} s: {self._last_words()}")
            await self._clock.sleep(_poll_s)

    async def kill(self) -> float:
        """SIGKILL the supervisor, and wait until it and all that it had started are gone; the time of the blow."""
        if self._process is None:
            raise NotUp("`outlast up` cannot be killed: it was not started")
        orphans = [child.process for child in self._children()]
        at = self._clock.now()
        self._process.send_signal(signal.SIGKILL)
        await self._process.wait()
        deadline = self._clock.monotonic() + start_within_s
        while any(alive(orphan) for orphan in orphans):
            if self._clock.monotonic() > deadline:
                raise NotUp(
                    f"children of the killed supervisor still run after {start_within_s:g} s: they should end with it"
                )
            await self._clock.sleep(_poll_s)
        return at

    async def _spawn(self, log: IO[bytes]) -> asyncio.subprocess.Process:
        process = await asyncio.create_subprocess_exec(
            *(sys.executable, "-m", "outlast", "up", "--json"),
            cwd=self._home,
            env=self._environment,
            stdin=asyncio.subprocess.DEVNULL,
            stdout=log,
            stderr=log,
            start_new_session=True,  # Ctrl-C is for the drill, which ends this in its own order
        )
        known = identify(process.pid)
        if known is not None:
            self._guard.watch(Ward(known))
        return process

    def _children(self) -> list[Child]:
        if self._process is None or self._process.returncode is not None:
            return []
        found = children(self._process.pid)
        for child in found:
            self._guard.watch(Ward(child.process, asked=False))
        return found

    def _last_words(self) -> str:
        lines = self.log.read_text(errors="replace").strip().splitlines()
        return " / ".join(lines[-3:]) or "it said nothing"


def _read(path: Path, kind: type[msgspec.Struct]) -> Any:
    try:
        return msgspec.json.decode(path.read_bytes(), type=kind)
    except (OSError, msgspec.MsgspecError):  # not there, or being written: the next look will see it
        return None
