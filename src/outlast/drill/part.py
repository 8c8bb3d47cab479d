"""A server that a drill starts beside the system: it says its address, and can be killed, frozen and started again."""

from __future__ import annotations

import asyncio
import signal
import sys
from pathlib import Path

import msgspec

from outlast.drill.guard import Guard, Ward
from outlast.drill.process import Process, identify, send
from outlast.drill.system import NotUp

start_within_s = 60.0


class _Serving(msgspec.Struct, frozen=True):
    url: str


class Part:
    """One process. Its first line on standard output is its URL, alone or as ``{"url": …}``.

    `command` is its command line; the port is put at its end: 0 at first, then the one that it got.
    """

    def __init__(
        self, name: str, command: tuple[str, ...], guard: Guard, log: Path, directory: Path | None = None
    ) -> None:
        self.name = name
        self.url = ""
        self.process: Process | None = None
        self._command = command
        self._guard = guard
        self._log = log
        self._directory = directory
        self._port = 0
        self._child: asyncio.subprocess.Process | None = None

    async def start(self) -> None:
        """Start it, and return when it serves. Nothing if it does already. Raises NotUp."""
        if self._child is not None and self._child.returncode is None:
            return
        with self._log.open("ab") as log:
            self._child = await asyncio.create_subprocess_exec(
                *self._command,
                str(self._port),
                cwd=self._directory,
                stdin=asyncio.subprocess.DEVNULL,
                stdout=asyncio.subprocess.PIPE,
                stderr=log,
                start_new_session=True,
            )
        self.process = identify(self._child.pid)
        if self.process is not None:
            self._guard.watch(Ward(self.process))
        assert self._child.stdout is not None
        try:
            line = await asyncio.wait_for(self._child.stdout.readline(), start_within_s)
        except TimeoutError:
            line = b""
        self.url = _url(line)
        if not self.url:
            raise NotUp(f"{self.name} said no address: see {self._log}")
        self._port = int(self.url.split("//")[1].split("/")[0].rpartition(":")[2])

    async def kill(self) -> bool:
        """SIGKILL, and wait until it is gone; whether it was there."""
        if self._child is None or self._child.returncode is not None:
            return False
        self._child.kill()
        await self._child.wait()
        return True

    def freeze(self) -> bool:
        """SIGSTOP; whether it was there."""
        return self.process is not None and send(self.process, signal.SIGSTOP)

    def thaw(self) -> None:
        """SIGCONT."""
        if self.process is not None:
            send(self.process, signal.SIGCONT)


def scripted_model(name: str, home: Path, guard: Guard) -> Part:
    """A scripted model server; its log goes to `home`."""
    command = (sys.executable, "-m", "outlast", "model", "serve", "--scripted", "--json", "--port")
    return Part(name, command, guard, home / f"{name}.log")


def _url(line: bytes) -> str:
    try:
        return msgspec.json.decode(line, type=_Serving).url
    except msgspec.MsgspecError:
        return line.decode(errors="replace").strip()
