"""The support desk with four model endpoints of its own, a gateway and a blueprint that describes them all."""

from __future__ import annotations

import asyncio
import shutil
import sys
from pathlib import Path
from typing import Any

import msgspec

from outlast.drill.guard import Guard, Ward
from outlast.drill.process import Process, alive, identify
from outlast.drill.stage import example_directory
from outlast.drill.system import NotUp, System
from outlast.kernel.clock import Clock

start_within_s = 60.0
_poll_s = 0.05

endpoints = {"first": "writer", "spare": "writer", "left": "helper", "right": "helper"}
"""Each endpoint's model: ``writer`` has a lesser fallback, ``helper`` two equal endpoints."""


class _Serving(msgspec.Struct, frozen=True):
    url: str


class _Address(msgspec.Struct, frozen=True):
    address: str


class Endpoint:
    """A scripted model server as a process of its own, that can be killed and started again on its port."""

    def __init__(self, name: str, guard: Guard, clock: Clock, log: Path) -> None:
        self.name = name
        self.url = ""
        self.process: Process | None = None
        self._port = 0
        self._guard = guard
        self._clock = clock
        self._log = log
        self._child: asyncio.subprocess.Process | None = None

    async def start(self) -> None:
        """Start it, and return when it serves. Raises NotUp."""
        command = (sys.executable, "-m", "outlast", "model", "serve", "--scripted", "--json", "--port", str(self._port))
        with self._log.open("ab") as log:
            self._child = await asyncio.create_subprocess_exec(
                *command,
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
            self.url = msgspec.json.decode(line, type=_Serving).url
        except (TimeoutError, msgspec.MsgspecError):
            raise NotUp(f"model endpoint {self.name} said no address: see {self._log}") from None
        self._port = int(self.url.split("//")[1].split("/")[0].rpartition(":")[2])

    async def kill(self) -> None:
        """SIGKILL, and wait until it is gone."""
        if self._child is None or self._child.returncode is not None:
            return
        self._child.kill()
        await self._child.wait()


class Desk:
    """All of it, started."""

    def __init__(self, home: Path, guard: Guard, clock: Clock) -> None:
        """`home` is an empty directory."""
        self.project = home / "desk"
        self._world = home / "world"
        self._clock = clock
        self.endpoints = {name: Endpoint(name, guard, clock, home / f"{name}.log") for name in endpoints}
        self.system = System(self.project, {"SUPPORT_DESK_LEDGER": str(self._world / "ledger.sqlite")}, guard, clock)

    async def start(self) -> None:
        """Start the endpoints, write the blueprint, start ``outlast up``, and wait for its gateway."""
        ignored = shutil.ignore_patterns(".outlast", "__pycache__", "*.sqlite*")
        await asyncio.to_thread(shutil.copytree, example_directory(), self.project, ignore=ignored)
        self._world.mkdir()
        for endpoint in self.endpoints.values():
            await endpoint.start()
        (self.project / "outlast.yaml").write_bytes(msgspec.json.encode(self._blueprint()))  # JSON is YAML
        await self.system.start()
        deadline = self._clock.monotonic() + start_within_s
        while self.gateway() is None:
            if self._clock.monotonic() > deadline:
                raise NotUp(f"the gateway said no address within {start_within_s:g} s: see {self.system.log}")
            await self._clock.sleep(_poll_s)

    def gateway(self) -> str | None:
        """Where the gateway is; None while it is not there."""
        try:
            raw = (self.project / ".outlast" / "gateway.json").read_bytes()
            found = msgspec.json.decode(raw, type=_Address).address
        except (OSError, msgspec.MsgspecError):
            return None
        return found if "://" in found else f"http://{found}"

    def processes(self, component: str) -> list[Process]:
        """The living processes that a component of the blueprint is, children of ``outlast up``."""
        words = {"support": "worker", "journal": "writer", "front": "gateway"}[component]
        return [one for one in self.system.named(words) if alive(one)]

    def _blueprint(self) -> dict[str, Any]:
        def at(name: str) -> dict[str, str]:
            return {"name": name, "url": self.endpoints[name].url, "model": "scripted"}

        return {
            "outlast": 1,
            "name": "support-desk",
            "workers": {"min": 2},
            "objectives": {"live": {"availability": "99%"}},
            "agents": {"support": {"class": "live", "needs": {"writer": "hard", "journal": "hard"}}},
            "models": {
                "writer": {"endpoints": [at("first")], "fallback": at("spare")},
                "helper": {"endpoints": [at("left"), at("right")]},
            },
            "services": {
                "front": {"kind": "gateway", "class": "live", "needs": {"writer": "hard", "helper": "hard"}},
            },
            "server": {"listen": "127.0.0.1:0"},
            "gateway": {"listen": "127.0.0.1:0"},
        }
