"""Clients and the operator: they ask, ask again when nobody answers, and keep books of what was acknowledged."""

from __future__ import annotations

import asyncio
from collections import Counter
from collections.abc import Awaitable, Callable
from typing import Any, TypeVar

import msgspec

from outlast.agent.control import Control
from outlast.agent.mail import read_inbox
from outlast.agent.view import RunView
from outlast.kernel.error import Conflict, NotFound, StoreError
from outlast.simulation.data import Runs, Stop, Workload
from outlast.simulation.ledger import Ledger
from outlast.simulation.world import World

T = TypeVar("T")
OVER = ("completed", "failed", "cancelled")
_OPEN = ("ready", "running", "trial", "parked")
_round_s = 0.5
_ask_twice = 0.3
helps_max = 500
"""So often the operator helps one run; then it stays as it is, and the checker says why that is wrong."""


class Asked(msgspec.Struct):
    """One run that a client asked for, under its own name; `run` once it was acknowledged."""

    name: str
    what: Runs
    run: str = ""
    acknowledged_at: float = 0.0
    signals: list[tuple[str, str]] = []
    """(name, id) of the signals that were acknowledged."""
    cancelled: bool = False
    seen_missing: list[str] = []
    """What reads after acknowledgements did not see."""
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
        self._helped: Counter[str] = Counter()
        self.stops: list[tuple[str, float, float]] = []
        """(agent, from, to): the kill switch was acknowledged to be thrown."""

    # -- clients

    async def ask_all(self) -> None:
        """Start everything; turns of one session one after the other, the rest at any time."""
        lines: dict[str, list[Asked]] = {}
        for asked in self.asked:
            lines.setdefault(asked.what.session or asked.name, []).append(asked)
        async with asyncio.TaskGroup() as group:
            for line in lines.values():
                group.create_task(self._ask_line(line))
            for stop in self._workload.stops:
                group.create_task(self._stop(stop))

    async def _ask_line(self, line: list[Asked]) -> None:
        await self._wait(self._workload.spread_s)
        async with asyncio.TaskGroup() as group:
            for asked in line:
                await self._start(asked)
                group.create_task(self._pester(asked))
                await self._wait(self._workload.spread_s / max(1, len(line)))

    async def _start(self, asked: Asked) -> None:
        what = asked.what

        async def start() -> str:
            started = await self._control.start(
                what.agent, [asked.name, what.program], key=asked.name, session=what.session or None,
                deadline_s=what.deadline_s or None,
            )  # fmt: skip
            return started.run

        asked.run = await self._until_answered(start)
        asked.acknowledged_at = self._world.loop.time()
        self._world.note(f"client: {asked.name} is {asked.run}")
        if not await self._until_answered(lambda: self._sees(asked.run)):
            asked.seen_missing.append("the run")
        if self._world.random.random() < _ask_twice:  # as if the answer had not come: the same request, later
            await self._wait(1.0)
            again = await self._until_answered(start)
            if again != asked.run:
                asked.seen_missing.append(f"its first request, which was {asked.run} and is {again} now")

    async def _pester(self, asked: Asked) -> None:
        async with asyncio.TaskGroup() as group:
            for name, count in asked.what.signals:
                for number in range(count):
                    if asked.what.storm:
                        group.create_task(self._signal(asked, name, f"{name}{number}"))
                    else:
                        await self._wait(4.0)
                        await self._signal(asked, name, f"{name}{number}")
        if asked.what.cancel:
            await self._wait(5.0)
            await self._cancel(asked)

    async def _cancel(self, asked: Asked) -> None:
        said = "the client changed its mind"
        while True:
            run = await self._last(asked.run)
            if await self._tell(lambda run=run: self._control.cancel(run, said, id="cancel")):
                asked.cancelled = True
            view = await self._until_answered(lambda run=run: self._control.view(run))
            if view.state != "continued":
                return

    async def _signal(self, asked: Asked, name: str, id: str) -> None:
        while True:
            run = await self._last(asked.run)
            if await self._tell(lambda run=run: self._control.signal(run, name, id, id=id)):
                break
            if (await self._until_answered(lambda run=run: self._control.view(run))).state != "continued":
                return
        asked.signals.append((name, id))
        letters, _ = await self._until_answered(lambda run=run: read_inbox(self._control.platform, run))
        if not any(letter.mail.id == f"client:{id}" for letter in letters):
            asked.seen_missing.append(f"signal {id}")
        if self._world.random.random() < _ask_twice:
            await self._tell(lambda run=run: self._control.signal(run, name, id, id=id))

    async def _stop(self, stop: Stop) -> None:
        await asyncio.sleep(stop.after_s)
        await self._tell(lambda: self._control.stop_agent(stop.agent, "simulated"))
        since = self._world.loop.time()
        await asyncio.sleep(stop.for_s)
        self.stops.append((stop.agent, since, self._world.loop.time()))
        self._world.note(f"client: {stop.agent} may go on")
        await self._until_answered(lambda: self._control.resume_agent(stop.agent))

    async def _wait(self, seconds_max: float) -> None:
        await asyncio.sleep(self._world.random.random() * seconds_max)

    async def _sees(self, run: str) -> bool:
        try:
            await self._control.view(run)
        except NotFound:
            return False
        return True

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
            except Conflict as error:
                if " is stopped: " not in str(error):
                    raise
                await asyncio.sleep(0.5)
            except NotFound:
                raise
            except StoreError:
                await asyncio.sleep(0.05 + self._world.random.random() * 0.3)

    # -- the operator

    async def operate(self) -> None:
        """Resolve and redrive what waits for a person, until everything is over."""
        while True:
            if await self._round():
                return
            await asyncio.sleep(_round_s)

    async def _round(self) -> bool:
        over = True
        for asked in self.asked:
            if not asked.run:
                over = False
            elif asked.view is None or asked.view.state not in OVER:
                asked.view = await self._until_answered(lambda asked=asked: self._final(asked.run))
                if asked.view.state in OVER:
                    await self._look_at_session(asked)
                elif asked.view.state in _OPEN:
                    over = False
        index = self._control.platform.index
        for state in ("held", "quarantined"):
            for entry in await self._until_answered(lambda state=state: index.list(state=state, limit=1000)):
                view = await self._until_answered(lambda entry=entry: self._control.view(entry.run))
                over = await self._help(view) and over
        counts = await self._until_answered(index.counts)
        return over and not any(counts.get(state, 0) for state in _OPEN)

    async def _look_at_session(self, asked: Asked) -> None:
        """What a turn that is seen to have completed said is part of its session."""
        session, view = asked.what.session, asked.view
        if not session or view is None or view.state != "completed" or asked.what.agent == "skipper":
            return
        found = await self._until_answered(lambda: self._control.session(session))
        if found.state.get("turns", 0) < view.result[0]:
            asked.seen_missing.append(f"turn {view.result[0]} of its session")

    async def _last(self, run: str) -> str:
        return (await self._until_answered(lambda: self._final(run))).run

    async def _final(self, run: str) -> RunView:
        """The view of a run, followed through its continuations."""
        view = await self._control.view(run)
        while view.state == "continued":
            view = await self._control.view(view.continued_to)
        return view

    async def _help(self, view: RunView) -> bool:
        """Do what a person would; True if this run is where it should stay, or nothing helps."""
        self._helped[view.run] += 1
        if self._helped[view.run] > helps_max:
            return True
        held = [step for step in view.steps if step.state == "held"]
        for step in held:
            key = f"{view.run}:{step.place}"
            booked = next((booking.subject for booking in self._ledger.bookings if booking.key == key), None)
            how: Any = "retry" if booked is None else "done"
            self._world.note(f"operator: {view.run} {step.place} {how}")
            id = f"resolve:{step.place}:{view.seq}"
            await self._tell(lambda step=step, how=how, booked=booked, id=id: self._control.resolve(
                view.run, step.place, how, booked, id=id))  # fmt: skip
        if held:
            return False
        if (view.state == "quarantined" and _is_poisoned(view)) or (view.state == "held" and "budget" in view.reason):
            return True
        self._world.note(f"operator: {view.run} redrive: {view.reason}")
        await self._tell(lambda: self._control.redrive(view.run, id=f"redrive:{view.seq}"))
        return False


def _is_poisoned(view: RunView) -> bool:
    program: list[list[Any]] = view.input["program"]
    return ["poison"] in program
