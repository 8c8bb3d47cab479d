"""Whether a journal behaved as if every call had happened at one moment between its beginning and its end.

The method is that of Wing and Gong (1993) with Lowe's (2017) and Horn and Kroening's (2015) splitting: streams know
nothing of each other, so each is judged alone. It is short here because a stream's chain hash names all of its past:
the states that a stream can be in form a tree, and a state is reached in one way. The search walks down from genesis.

- A call that only looked (a head, a read, a conflict) fits where the state is what it saw. Where it fits and its turn
  may have come, it is taken at once: that it looks never stands in another's way.
- The state moves on by an append that expected it, has begun, was not answered *conflict* before its place was taken,
  and need not have been answered: *unknown* may be applied at any later time, or never.
- A call's turn may have come once no other call ended before it began without having been taken.

`Applied` may be answered to the same bytes sent again: what matters is that the record stands at its place by then.
"""

from __future__ import annotations

import math
from collections import defaultdict
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field

import msgspec

from outlast.drill.recorder import AnyCall, AppendCall, HeadCall, Place, ReadCall, Seen, place_of
from outlast.journal.chain import genesis

shown_max = 6
"""How many calls a finding names."""


class Violation(msgspec.Struct, frozen=True):
    """A stream for whose calls there is no order: where the longest one got stuck, and on which calls, for people."""

    stream: str
    finding: str


class Judged(msgspec.Struct, frozen=True):
    """What was judged: how many calls on how many streams, and every stream that has no order."""

    calls: int
    streams: int
    unknown: int
    """Appends whose outcome nobody learned: a history without any has tested little."""
    violations: tuple[Violation, ...]

    @property
    def holds(self) -> bool:
        return not self.violations


def judge_history(calls: Iterable[AnyCall]) -> Judged:
    """Judge every stream of a history."""
    by_stream: dict[str, list[AnyCall]] = defaultdict(list)
    for call in calls:
        by_stream[call.stream].append(call)
    every = [call for some in by_stream.values() for call in some]
    return Judged(
        calls=len(every),
        streams=len(by_stream),
        unknown=sum(isinstance(call, AppendCall) and call.answer == "unknown" for call in every),
        violations=tuple(
            Violation(stream, finding)
            for stream, some in sorted(by_stream.items())
            if (finding := judge_stream(stream, some))
        ),
    )


def judge_stream(stream: str, calls: Sequence[AnyCall]) -> str:
    """An empty text if there is an order of one stream's calls that explains them all; else what stands in its way."""
    return _Search(stream, calls).run()


@dataclass
class _Path:
    """How far one order got: the records so far, which calls were taken, and where to look on."""

    chain: list[Seen]
    taken: bytearray
    """By number in order of beginning."""
    low: int = 0
    """All before were taken."""
    first_ended: int = 0
    """Position in the order of ending before which all were taken."""
    count: int = 0
    """How many were taken."""

    def fork(self, record: Seen) -> _Path:
        return _Path([*self.chain, record], bytearray(self.taken), self.low, self.first_ended, self.count)


@dataclass
class _Search:
    stream: str
    calls: Sequence[AnyCall]
    _begun: list[AnyCall] = field(init=False)  # answered calls, in order of their beginning
    _ended: list[int] = field(init=False)  # their numbers, in order of their end
    _movers: dict[Place, dict[Seen, float]] = field(init=False)  # by expected place: what it would write, begun when
    _observed: set[str] = field(init=False)

    def __post_init__(self) -> None:
        answered = [call for call in self.calls if not (isinstance(call, AppendCall) and call.answer == "unknown")]
        self._begun = sorted(answered, key=lambda call: call.began)
        self._ended = sorted(range(len(self._begun)), key=lambda number: _end(self._begun[number]))
        self._movers = defaultdict(dict)
        for call in self.calls:
            if isinstance(call, AppendCall) and _may_move(call):
                some = self._movers[call.expected]
                some[call.made] = min(call.began, some.get(call.made, math.inf))
        self._observed = {hash_ for call in self._begun for hash_ in _hashes(call)}

    def run(self) -> str:
        origin = place_of(genesis(self.stream))
        waiting = [_Path([], bytearray(len(self._begun)))]
        furthest: _Path | None = None
        while waiting:
            path = waiting.pop()
            while True:
                self._look(path, origin)
                if path.first_ended == len(self._ended):
                    return ""
                able = self._next(path, origin)
                if not able:
                    break
                waiting.extend(path.fork(record) for record in able[1:])
                path.chain.append(able[0])
            if furthest is None or path.count > furthest.count:
                furthest = path
        assert furthest is not None  # the first path ended, too
        return self._explain(furthest, origin)

    def _look(self, path: _Path, origin: Place) -> None:
        """Take every call that fits the state and whose turn may have come."""
        again = True
        while again:
            again = False
            limit = self._first_end(path)
            number = path.low
            while number < len(self._begun) and self._begun[number].began <= limit:
                if not path.taken[number] and _fits(self._begun[number], path.chain, origin):
                    path.taken[number] = again = True
                    path.count += 1
                number += 1
            while path.low < len(path.taken) and path.taken[path.low]:
                path.low += 1

    def _first_end(self, path: _Path) -> float:
        while path.first_ended < len(self._ended) and path.taken[self._ended[path.first_ended]]:
            path.first_ended += 1
        return _end(self._begun[self._ended[path.first_ended]]) if path.first_ended < len(self._ended) else math.inf

    def _next(self, path: _Path, origin: Place) -> list[Seen]:
        """What may be written now; what somebody saw comes first, so that the search seldom turns back."""
        limit = self._first_end(path)
        movers = self._movers.get(_end_of(path.chain, origin), {})
        able = [record for record, began in movers.items() if began <= limit]
        return sorted(able, key=lambda record: record.hash not in self._observed)

    def _explain(self, path: _Path, origin: Place) -> str:
        limit = self._first_end(path)
        stuck = [
            call
            for number, call in enumerate(self._begun[path.low :], path.low)
            if not path.taken[number] and call.began <= limit
        ]
        shown = "; ".join(_tell(call) for call in sorted(stuck, key=_end)[:shown_max])
        end = _end_of(path.chain, origin)
        return f"{path.count} of {len(self._begun)} calls fit up to event {end.seq} ({end.hash[:8]}), then: {shown}"


def _fits(call: AnyCall, chain: Sequence[Seen], origin: Place) -> bool:
    end = _end_of(chain, origin)
    if isinstance(call, HeadCall):
        return call.head == end
    if isinstance(call, ReadCall):
        return _page(chain, call.after, call.limit) == list(call.records)
    if call.answer == "conflict":
        return call.head == end != call.expected
    return call.head == call.made.place and _stands(chain, call.made)


def _stands(chain: Sequence[Seen], record: Seen) -> bool:
    at = _position(chain, record.seq)
    return at < len(chain) and chain[at] == record


def _page(chain: Sequence[Seen], after: int, limit: int) -> list[Seen]:
    at = _position(chain, after + 1)
    return list(chain[at : at + limit])


def _position(chain: Sequence[Seen], seq: int) -> int:
    """The number of the first record that begins at `seq` or later."""
    low, high = 0, len(chain)
    while low < high:
        middle = (low + high) // 2
        if chain[middle].seq < seq:
            low = middle + 1
        else:
            high = middle
    return low


def _may_move(call: AppendCall) -> bool:
    """A conflict may be the answer to the second copy of what the first one wrote: then its place was taken already."""
    return call.answer != "conflict" or (call.head is not None and call.head.seq >= call.made.place.seq)


def _hashes(call: AnyCall) -> Iterable[str]:
    if isinstance(call, ReadCall):
        return [record.hash for record in call.records]
    return [call.head.hash] if call.head is not None else []


def _end_of(chain: Sequence[Seen], origin: Place) -> Place:
    return chain[-1].place if chain else origin


def _end(call: AnyCall) -> float:
    return math.inf if call.ended is None else call.ended


def _tell(call: AnyCall) -> str:
    when = f"{call.client} {call.began:.6f}-{_end(call):.6f}"
    if isinstance(call, HeadCall):
        return f"{when} head -> {call.head.seq} ({call.head.hash[:8]})"
    if isinstance(call, ReadCall):
        last = f"..{call.records[-1].place.seq} ({call.records[-1].hash[:8]})" if call.records else ""
        return f"{when} read after {call.after} -> {len(call.records)} records{last}"
    found = "" if call.head is None else f" {call.head.seq} ({call.head.hash[:8]})"
    return f"{when} append {call.made.append_id} at {call.expected.seq} -> {call.answer}{found}"
