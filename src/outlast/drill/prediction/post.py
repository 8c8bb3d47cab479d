"""The document intake with its services and models, a gateway, and its own blueprint at the addresses of today."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Mapping
from pathlib import Path
from typing import Any

import aiohttp

from outlast.drill.guard import Guard
from outlast.drill.intake.document import document
from outlast.drill.intake.stage import IntakeStage, models, place
from outlast.drill.part import Part
from outlast.drill.prediction.probe import Probe, View, gateway_of
from outlast.drill.prediction.subject import Reckoning, gateway_up
from outlast.drill.system import System
from outlast.kernel.clock import Clock

documents_max = 400
"""Documents that lie in storage from the beginning: when storage is away, none can be added."""
_review = {"by": "the verification"}


class Post:
    """Implements `prediction.subject.Subject`."""

    agent = "intake"
    work = "intake"
    models = ("reader",)

    def __init__(
        self, home: Path, guard: Guard, clock: Clock, session: aiohttp.ClientSession, source: Path | None = None
    ) -> None:
        """`home` is an empty directory; `source`: the example's, or a changed copy of it."""
        self._stage = IntakeStage(home, guard, clock, with_gates=False, source=source)
        self._clock = clock
        self._session = session
        self._sent = 0
        parts = self._stage.parts
        self.parts: Mapping[str, Part] = {f"reader.{name}" if name in models else name: parts[name] for name in parts}
        self._probe = Probe(self.agent, session, clock, self._address, self._gateway)

    @property
    def project(self) -> Path:
        return self._stage.project

    @property
    def system(self) -> System:
        return self._stage.system

    async def __aenter__(self) -> Post:
        """Start the services and models, put documents into storage, start ``outlast up`` with its gateway."""
        await self._stage.__aenter__()
        for number in range(documents_max):
            mark = f"DOC-{number}"
            await self._stage.store(self._session, mark, document(mark, number))
        await self.system.start()
        await gateway_up(self.project / ".outlast" / "gateway.json", self._clock)
        return self

    async def __aexit__(self, *error: object) -> None:
        await self._stage.__aexit__(*error)

    async def affected(self) -> set[str]:
        """Asks all of them at once."""
        names: dict[str, Awaitable[bool]] = {
            name: self._probe.serves(f"{part.url}{'/models' if name.startswith('reader.') else '/health'}")
            for name, part in self.parts.items()
        }
        names |= {"reader": self._probe.model("reader"), "intake": self._whole_run(), "journal": self._acknowledges()}
        found = await asyncio.gather(*names.values())
        affected = {name for name, good in zip(names, found, strict=True) if not good}
        if "reader" in affected:
            affected.add("front")  # what it gives out is what its models give
        return affected

    async def serves(self) -> bool:
        """A document is filed, reviewed if it must be."""
        run = await self._probe.start(self._next())
        if run is None:
            return False
        await self._probe.signal(run, "review", _review)
        return _completed(await self._probe.ended(run))

    async def begin(self) -> None:
        """A document is sent."""
        await self._probe.start(self._next())

    def forget(self) -> None:
        """Earlier documents do not count."""
        self._probe.acknowledged.clear()

    async def reckoning(self, within_s: float) -> Reckoning:
        """Of documents; a person looks at each that asks for it."""
        for run in self._probe.acknowledged:
            if (await self._probe.view(run)).state != "completed":
                await self._probe.signal(run, "review", _review)
        return await self._probe.reckoning(within_s)

    async def _whole_run(self) -> bool:
        """A document that is sent now is filed in time, and was read with everything."""
        run = await self._probe.start(self._next())
        view = await self._probe.ended(run) if run is not None else None
        return view is not None and _completed(view) and not view.result["degraded"]

    async def _acknowledges(self) -> bool:
        return await self._probe.start(self._next()) is not None

    def _address(self) -> str | None:
        return self.system.address()

    def _gateway(self) -> str | None:
        return gateway_of(self.project / ".outlast" / "gateway.json")

    def _next(self) -> dict[str, Any]:
        """Another document each time: an extraction that is remembered needs no model."""
        self._sent += 1
        return {"document": {"id": f"DOC-{self._sent % documents_max}", "place": place}}


def _completed(view: View | None) -> bool:
    return view is not None and view.state == "completed"
