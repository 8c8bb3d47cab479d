"""The support desk with four model endpoints of its own, a gateway and a blueprint that describes them all."""

from __future__ import annotations

import asyncio
import shutil
from collections.abc import Awaitable, Mapping
from pathlib import Path
from typing import Any

import aiohttp
import msgspec

from outlast.drill.guard import Guard
from outlast.drill.part import Part, scripted_model
from outlast.drill.prediction.probe import Probe, gateway_of
from outlast.drill.prediction.subject import Reckoning, gateway_up
from outlast.drill.stage import example_directory
from outlast.drill.system import System
from outlast.kernel.clock import Clock

endpoints = {"first": "writer", "spare": "writer", "left": "helper", "right": "helper"}
"""Each endpoint's model: ``writer`` has a lesser fallback, ``helper`` two equal endpoints."""
_TICKET = {"id": "T-1", "customer": "c-17", "text": "Where is my order 1004?"}


class Desk:
    """Implements `prediction.subject.Subject`."""

    agent = "support"
    work = "live"
    models = ("writer", "helper")

    def __init__(
        self, home: Path, guard: Guard, clock: Clock, session: aiohttp.ClientSession, source: Path | None = None
    ) -> None:
        """`home` is an empty directory; `source`: the example's, or a changed copy of it."""
        self._source = source
        self.project = home / "desk"
        self._world = home / "world"
        self._clock = clock
        self.parts: Mapping[str, Part] = {
            f"{model}.{name}": scripted_model(name, home, guard) for name, model in endpoints.items()
        }
        self.system = System(self.project, {"SUPPORT_DESK_LEDGER": str(self._world / "ledger.sqlite")}, guard, clock)
        self._probe = Probe(self.agent, session, clock, self.system.address, self._gateway)

    async def __aenter__(self) -> Desk:
        """Start the endpoints, write the blueprint, start ``outlast up``, and wait for its gateway."""
        ignored = shutil.ignore_patterns(".outlast", "__pycache__", "*.sqlite*")
        source = self._source or example_directory()
        await asyncio.to_thread(shutil.copytree, source, self.project, ignore=ignored)
        self._world.mkdir()
        for part in self.parts.values():
            await part.start()
        (self.project / "outlast.yaml").write_bytes(msgspec.json.encode(self._blueprint()))  # JSON is YAML
        await self.system.start()
        await gateway_up(self.project / ".outlast" / "gateway.json", self._clock)
        return self

    async def __aexit__(self, *_: object) -> None:
        return None

    async def affected(self) -> set[str]:
        """Asks all of them at once."""
        names: dict[str, Awaitable[bool]] = {
            name: self._probe.serves(f"{part.url}/models") for name, part in self.parts.items()
        }
        names |= {name: self._probe.model(name) for name in self.models}
        names |= {"support": self._whole_run(), "journal": self._acknowledges()}
        found = await asyncio.gather(*names.values())
        affected = {name for name, good in zip(names, found, strict=True) if not good}
        if affected & set(self.models):
            affected.add("front")  # what it gives out is what its models give
        return affected

    async def serves(self) -> bool:
        """A ticket is answered, by whichever model."""
        run = await self._probe.start(_given("serves"))
        view = await self._probe.ended(run) if run is not None else None
        return view is not None and view.state == "completed"

    async def begin(self) -> None:
        """A ticket is sent."""
        await self._probe.start(_given("begun"))

    def forget(self) -> None:
        """Earlier tickets do not count."""
        self._probe.acknowledged.clear()

    async def reckoning(self, within_s: float) -> Reckoning:
        """Of tickets."""
        return await self._probe.reckoning(within_s)

    async def _whole_run(self) -> bool:
        """A run that is started now ends in time, and no lesser model answered in it."""
        run = await self._probe.start(_given("support"))
        view = await self._probe.ended(run) if run is not None else None
        if run is None or view is None or view.state != "completed":
            return False
        raw = await self._probe.events(run)
        return bool(raw) and b'"degraded":true' not in raw.replace(b" ", b"")

    async def _acknowledges(self) -> bool:
        return await self._probe.start(_given("journal")) is not None

    def _gateway(self) -> str | None:
        return gateway_of(self.project / ".outlast" / "gateway.json")

    def _blueprint(self) -> dict[str, Any]:
        def at(name: str) -> dict[str, str]:
            return {"name": name, "url": self.parts[f"{endpoints[name]}.{name}"].url, "model": "scripted"}

        promised = {"process": {"rto": "60s", "rpo": "0s"}, "dependency": {"rto": "2h", "rpo": "0s"}}
        return {
            "outlast": 1,
            "name": "support-desk",
            "workers": {"min": 2},
            "objectives": {"live": {"availability": "99%", "survive": promised}},
            "agents": {"support": {"class": "live", "needs": {"writer": "hard", "journal": "hard", "ledger": "hard"}}},
            "models": {
                "writer": {"endpoints": [at("first")], "fallback": at("spare")},
                "helper": {"endpoints": [at("left"), at("right")]},
            },
            "services": {
                "front": {"kind": "gateway", "class": "live", "needs": {"writer": "hard", "helper": "hard"}},
            },
            "external": {"ledger": {"effect": "once", "on_loss": "wait"}},
            "server": {"listen": "127.0.0.1:0"},
            "gateway": {"listen": "127.0.0.1:0"},
        }


def _given(purpose: str) -> dict[str, Any]:
    return {"ticket": {**_TICKET, "id": f"T-{purpose}"}}
