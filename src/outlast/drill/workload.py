"""The load of the demo: tickets with unique identities, sent as fast as the plan allows, and the books about them."""

from __future__ import annotations

import asyncio
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import msgspec

from outlast.drill.client import Client, RunLine, Silent
from outlast.drill.oracle import Submission
from outlast.drill.plan import deal
from outlast.journal.index import ENDED
from outlast.kernel.clock import Clock
from outlast.kernel.error import ConfigurationError

agent = "support"
in_flight_max = 6
"""Runs that are under way at once: more than workers do in a moment, few enough that a kill does not undo minutes."""
acknowledge_within_s = 90.0
"""How long one ticket is offered before the drill gives up on it; the system is down for seconds now and then."""
look_every_s = 0.15
_look_within_s = 90.0


class Case(msgspec.Struct, frozen=True):
    """A ticket of the example, with what is expected of it. `refunds`: cents by order number."""

    id: str
    customer: str
    text: str
    label: str
    refunds: Mapping[str, int]


def load_cases(path: Path) -> list[Case]:
    """Every line of a ``tickets.jsonl``; raises ConfigurationError for one that is not a ticket."""
    try:
        return msgspec.json.Decoder(Case).decode_lines(path.read_bytes())
    except msgspec.MsgspecError as error:
        raise ConfigurationError(f"tickets in {path} are not understood: {error}") from None


def choose(cases: Sequence[Case], tickets: int | None, seed: int) -> list[Case]:
    """`tickets` cases (None: each once) in an order made from the seed, refunds spread evenly.

    More than there are: they come again under another identity (``T-001.2``), as customers do.
    """
    dealt = deal([case for case in cases if case.refunds], [case for case in cases if not case.refunds], seed)
    chosen: list[Case] = []
    for index in range(len(dealt) if tickets is None else tickets):
        case = dealt[index % len(dealt)]
        again = index // len(dealt)
        chosen.append(msgspec.structs.replace(case, id=f"{case.id}.{again + 1}") if again else case)
    return chosen


class Workload:
    """Submits cases, in order, as far as they are released, and watches what becomes of them."""

    def __init__(self, client: Client, cases: Sequence[Case], clock: Clock, prefix: str) -> None:
        """`prefix` makes the idempotency keys unique to this drill."""
        self._client = client
        self._cases = cases
        self._clock = clock
        self._prefix = prefix
        self._released = 0
        self._changed = asyncio.Event()
        self._runs: dict[str, list[str]] = {}
        self.lines: dict[str, RunLine] = {}
        """What the system last said about every run."""
        self.silences = 0
        """Tickets that were never acknowledged."""

    @property
    def total(self) -> int:
        return len(self._cases)

    @property
    def submitted(self) -> int:
        return len(self._runs)

    @property
    def ended(self) -> int:
        return sum(1 for line in self.lines.values() if line.state in ENDED)

    @property
    def in_flight(self) -> int:
        """Submitted and not seen to have ended."""
        return self.submitted - self.silences - self.ended

    @property
    def left(self) -> int:
        """Not released yet."""
        return self.total - self._released

    @property
    def over(self) -> bool:
        """Everything was submitted and has ended: no fault can bite any more."""
        return self.submitted == self.total and self.in_flight <= 0

    def release(self, upto: int) -> None:
        """Allow the first `upto` cases to be submitted. Never takes back."""
        self._released = max(self._released, min(upto, self.total))
        self._changed.set()

    def release_more(self) -> bool:
        """Allow cases up to and including the next one with a refund; False if none is left."""
        if not self.left:
            return False
        upto = self._released + 1
        while upto < self.total and not self._cases[upto - 1].refunds:
            upto += 1
        self.release(upto)
        return True

    def owners(self) -> dict[str, list[str]]:
        """Runs under way by the worker that owns them."""
        found: dict[str, list[str]] = {}
        for line in self.lines.values():
            if line.owner and line.state == "running":
                found.setdefault(line.owner, []).append(line.run)
        return found

    def open_runs(self) -> list[str]:
        """Runs that were not seen to have ended."""
        return [line.run for line in self.lines.values() if line.state not in ENDED]

    def submissions(self) -> list[Submission]:
        """The books: every case that was sent, whatever came of it."""
        effects = {case.id: case.refunds for case in self._cases}
        return [Submission(ticket, effects[ticket], tuple(runs)) for ticket, runs in self._runs.items()]

    async def submit_all(self) -> None:
        """Submit what is released, keeping `in_flight_max`; ends when all cases are acknowledged or given up."""
        async with asyncio.TaskGroup() as group:
            for index, case in enumerate(self._cases):
                while index >= self._released or self.in_flight >= in_flight_max:
                    self._changed.clear()
                    await self._changed.wait()
                self._runs[case.id] = []  # written down before it is sent
                group.create_task(self._submit(case))

    async def watch(self) -> None:
        """Keep `lines` fresh, for ever."""
        while True:
            await self.look()
            await self._clock.sleep(look_every_s)

    async def look(self) -> None:
        """Ask once for the state of all runs."""
        self.lines = await self._client.runs(_look_within_s)
        self._changed.set()

    async def _submit(self, case: Case) -> None:
        ticket: dict[str, Any] = {"id": case.id, "customer": case.customer, "text": case.text}
        try:
            run = await self._client.start(agent, {"ticket": ticket}, f"{self._prefix}:{case.id}", acknowledge_within_s)
        except Silent:
            self.silences += 1
        else:
            self._runs[case.id].append(run)
        self._changed.set()
