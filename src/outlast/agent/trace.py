"""What runs have used, read from their histories: an edge for each thing that an agent, or a model, has asked."""

from __future__ import annotations

from collections.abc import AsyncIterator

import msgspec

from outlast.agent import event as ev
from outlast.agent.create import run_key
from outlast.agent.platform import Platform
from outlast.assessment.observed import Observation
from outlast.assessment.seen import Seen, SeenKind

runs_max = 10_000
"""Runs that are looked at, the newest."""
edges_max = 2_000
"""Edges that are told apart; a name that is made anew for each call would make one each time."""
via_max = 8
"""Tools that are named for one edge."""
_runs_page = 200
_records_page = 200
_model, _child = "model:", "agent:"


class _Edge(msgspec.Struct):
    kind: SeenKind
    runs: int = 0
    last_at: float = 0.0
    via: tuple[str, ...] = ()


class Trace:
    """Folds histories, run by run. Its memory is bounded by `edges_max`, however many runs there are."""

    def __init__(self) -> None:
        self.runs = 0
        self.events = 0
        self.whole = True
        self._edges: dict[tuple[str, str], _Edge] = {}
        self._agent = ""
        self._intents: dict[str, str] = {}
        self._here: set[tuple[str, str]] = set()

    def begin(self) -> None:
        """The next event is the first of another run."""
        self.runs += 1
        self._agent = ""
        self._intents.clear()
        self._here.clear()

    def apply(self, event: ev.RunEvent, at: float) -> None:
        """One event of the run, in order; `at`: its time in seconds since 1970."""
        self.events += 1
        match event:
            case ev.RunCreated():
                self._agent = event.agent
                self._note(event.agent, "journal", "journal", at)
            case ev.ChildStarted():
                self._note(self._agent, event.name.removeprefix(_child), "agent", at)
            case ev.StepIntended():
                self._intents[event.place] = event.name
            case ev.StepDone() | ev.StepFailedEvent():
                self._outcome(event, at)
            case _:
                pass

    def _outcome(self, event: ev.StepDone | ev.StepFailedEvent, at: float) -> None:
        effect = self._intents.pop(event.place, None)
        if event.kind == "model":
            model = event.name.removeprefix(_model)
            self._note(self._agent, model, "model", at)
            for name in event.uses:
                self._note(model, name, "endpoint", at)
            return
        for name in event.uses:
            self._note(self._agent, name, "guard", at, event.name)
        if effect is not None and not event.uses:  # it did something to the world, and nobody says to what
            self._note(self._agent, effect, "tool", at, effect)

    def _note(self, source: str, target: str, kind: SeenKind, at: float, via: str = "") -> None:
        edge = self._edges.get((source, target))
        if edge is None:
            if len(self._edges) >= edges_max:
                self.whole = False
                return
            edge = self._edges[source, target] = _Edge(kind)
        edge.last_at = max(edge.last_at, at)
        if via and via not in edge.via and len(edge.via) < via_max:
            edge.via = (*edge.via, via)
        if (source, target) not in self._here:
            self._here.add((source, target))
            edge.runs += 1

    def observation(self, system: str, at: float) -> Observation:
        """What all runs together have shown. `at`: now, in seconds since 1970."""
        seen = tuple(
            Seen(source=source, target=target, kind=edge.kind, runs=edge.runs, last_at=edge.last_at, via=edge.via)
            for (source, target), edge in sorted(self._edges.items())
        )
        return Observation(system=system, at=at, runs=self.runs, events=self.events, seen=seen, whole=self.whole)


async def observe(platform: Platform, limit: int = runs_max) -> Trace:
    """Read the newest `limit` runs, record by record. Raises StoreErrors."""
    trace = Trace()
    async for run in _newest(platform, limit, trace):
        trace.begin()
        stream, after = run_key(platform, run), 0
        while records := await platform.store.read(stream, after, _records_page):
            for record in records:
                envelope = ev.RUN.read(stream, record)
                for event in envelope.events:
                    trace.apply(event, envelope.at)
            after = records[-1].seq + records[-1].count - 1
    return trace


async def _newest(platform: Platform, limit: int, trace: Trace) -> AsyncIterator[str]:
    before: str | None = None
    left = limit
    while left:
        page = await platform.index.list(before=before, limit=min(_runs_page, left))
        for entry in page:
            yield entry.run
        left -= len(page)
        if len(page) < _runs_page and left:
            return
        before = page[-1].run if page else None
    trace.whole = trace.whole and not await platform.index.list(before=before, limit=1)
