"""Clients and the operator: they ask, ask again when nobody answers, and keep books of what was acknowledged."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from typing import Any, TypeVar

import msgspec

from outlast.agent.control import Control
from outlast.agent.view import RunView
from outlast.kernel.error import Conflict, NotFound, StoreError
from outlast.simulation.data import Runs, Workload
from outlast.simulation.ledger import Ledger
from outlast.simulation.world import World

T = TypeVar("T")
OVER = ("completed", "failed", "cancelled")


class Asked(msgspec.Struct):
    """One run that a client asked for, under its own name; `run` once it was acknowledged."""

    name: str
    what: Runs
    run: str = ""
    acknowledged_at: float = 0.0
    signals: list[tuple[str, str]] = []
    """(name, id) of the signals that were acknowledged."""
    cancelled: bool = False
    seen_missing: str = ""
    """What a read after the acknowledgement did not see."""
    view: RunView | None = None


class Clients:
    """All clients of one workload, in one node that never fails."""

    def __init__(self, world: World, control: Control, workload: Workload, ledger: Ledger) -> None:
        self._world = world
        self._control = control
        self._ledger = ledger
        self.asked = [
            Asked(f"{workload.name}{group}.{number}", runs)
            for group, runs in enumerate(workload.runs)
            for number in range(runs.count)
        ]
        self._workload = workload
        self.resolved: set[tuple[str, str]] = set()

    async def ask_all(self) -> None:
        """Start everything; turns of one session one after the other, the rest at any time."""
        lines: dict[str, list[Asked]] = {}
        for asked in self.asked:
            lines.setdefault(asked.what.session or asked.name, []).append(asked)
        async with asyncio.TaskGroup() as group:
            for line in lines.values():
                group.create_task(self._ask_line(line))

    async def _ask_line(self, line: list[Asked]) -> None:
        random = self._world.random
        await asyncio.sleep(random.random() * self._workload.spread_s)
        for asked in line:
            await self._ask(asked)
            await asyncio.sleep(random.random() * self._workload.spread_s / max(1, len(line)))

    async def _ask(self, asked: Asked) -> None:
        what = asked.what

        async def start() -> str:
            return (
                await self._control.start(
                    what.agent, [asked.name, what.program], key=asked.name, session=what.session or None
                )
            ).run

        asked.run = await self._until_answered(start)
        if self._world.random.random() < 0.3:  # as if the answer had not come: the same request, later
            await asyncio.sleep(self._world.random.random())
            again = await self._until_answered(start)
            if again != asked.run:
                asked.seen_missing = f"its first request, which was {asked.run} and is {again} now"
        asked.acknowledged_at = self._world.loop.time()
        self._world.note(f"client: {asked.name} is {asked.run}")
        if await self._until_answered(lambda: self._sees(asked.run)) is False:
            asked.seen_missing = "the run"
        for name, count in what.signals:
            for number in range(count):
                await asyncio.sleep(self._world.random.random() * 4.0)
                await self._signal(asked, name, f"{name}{number}")
        if what.cancel:
            await asyncio.sleep(self._world.random.random() * 5.0)
            await self._tell(lambda: self._control.cancel(asked.run, "the client changed its mind", id="cancel"))
            asked.cancelled = True

    async def _sees(self, run: str) -> bool:
        try:
            await self._control.view(run)
        except NotFound:
            return False
        return True

    async def _signal(self, asked: Asked, name: str, id: str) -> None:
        if await self._tell(lambda: self._control.signal(asked.run, name, id, id=id)):
            asked.signals.append((name, id))
            if self._world.random.random() < 0.3:
                await self._tell(lambda: self._control.signal(asked.run, name, id, id=id))

    async def _tell(self, send: Callable[[], Awaitable[None]]) -> bool:
        """True once acknowledged, False if the run is over already."""
        try:
            await self._until_answered(send)
        except Conflict:
            return False
        return True

    async def _until_answered(self, ask: Callable[[], Awaitable[T]]) -> T:
        while True:
            try:
                return await ask()
            except StoreError as error:
                if isinstance(error, NotFound):
                    raise
                await asyncio.sleep(0.05 + self._world.random.random() * 0.3)

    async def operate(self) -> bool:
        """One round of the operator: resolves and redrives what waits for a person; True when everything is over."""
        over = True
        for asked in self.asked:
            if not asked.run:
                over = False
                continue
            if asked.view is not None and asked.view.state in OVER:
                continue
            asked.view = await self._until_answered(lambda asked=asked: self._last(asked.run))
            if asked.view.state in OVER:
                continue
            if not await self._help(asked.view):
                over = False
        return over

    async def _last(self, run: str) -> RunView:
        """The view of a run, followed through its continuations."""
        view = await self._control.view(run)
        while view.state == "continued":
            view = await self._control.view(view.continued_to)
        return view

    async def _help(self, view: RunView) -> bool:
        """Do what a person would; True if this run is where it should stay."""
        held = [step for step in view.steps if step.state == "held"]
        for step in held:
            key = f"{view.run}:{step.place}"
            booked = next((booking.subject for booking in self._ledger.bookings if booking.key == key), None)
            how: Any = "retry" if booked is None else "done"
            self._world.note(f"operator: {view.run} {step.place} {how}")
            id = f"resolve:{step.place}:{view.seq}"
            await self._tell(lambda step=step, how=how, booked=booked, id=id: self._control.resolve(
                view.run, step.place, how, booked, id=id))  # fmt: skip
            self.resolved.add((view.run, step.place))
        if held:
            return False
        if view.state == "quarantined":
            if _is_poisoned(view):
                return True
            await self._tell(lambda: self._control.redrive(view.run, id=f"redrive:{view.seq}"))
        elif view.state == "held":
            if "budget" in view.reason:
                return True
            await self._tell(lambda: self._control.redrive(view.run, id=f"redrive:{view.seq}"))
        for child in await self._until_answered(lambda: self._open_children(view.run)):
            await self._help(await self._until_answered(lambda child=child: self._control.view(child)))
        return False

    async def _open_children(self, run: str) -> list[str]:
        index = self._control.platform.index
        return [entry.run for state in ("held", "quarantined") for entry in await index.list(state=state, limit=1000)
                if entry.parent == run]  # fmt: skip


def _is_poisoned(view: RunView) -> bool:
    return any(operation == ["poison"] for operation in view.input["program"])
