"""The support desk with four model endpoints of its own, a gateway and a blueprint that describes them all."""

from __future__ import annotations

import asyncio
import shutil
from pathlib import Path
from typing import Any

import msgspec

from outlast.drill.guard import Guard
from outlast.drill.part import Part, scripted_model
from outlast.drill.process import Process, alive
from outlast.drill.stage import example_directory
from outlast.drill.system import NotUp, System
from outlast.kernel.clock import Clock

start_within_s = 60.0
_poll_s = 0.05

endpoints = {"first": "writer", "spare": "writer", "left": "helper", "right": "helper"}
"""Each endpoint's model: ``writer`` has a lesser fallback, ``helper`` two equal endpoints."""


class _Address(msgspec.Struct, frozen=True):
    address: str


class Desk:
    """All of it, started."""

    def __init__(self, home: Path, guard: Guard, clock: Clock) -> None:
        """`home` is an empty directory."""
        self.project = home / "desk"
        self._world = home / "world"
        self._clock = clock
        self.endpoints = {name: scripted_model(name, home, guard) for name in endpoints}
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
