"""What clients and endpoints saw: the evidence of the pool's rules. Times are virtual seconds."""

from __future__ import annotations

import math
from dataclasses import dataclass, field
from typing import Literal

Phase = Literal["faults", "rest", "proof"]
"""While there are faults; while the pool recovers from them; when it must have recovered."""


@dataclass
class Sent:
    """One request as whoever sent it to an endpoint saw it."""

    number: int
    call: int
    endpoint: str
    at: float
    deadline: float
    """When the endpoint was told that nobody will wait any more."""
    committed_at: float | None = None
    """When the pool agreed that this is the answer."""
    whole_at: float | None = None
    """When the last of the answer was read."""
    closed_at: float | None = None
    retry_after: tuple[float, float] | None = None
    """(when it was read, seconds) of a Retry-After."""
    refused_at: float | None = None
    """When it was read that the request itself is wrong."""
    denied: bool = False
    """Whether the endpoint refused because of a fault of its own."""
    usage: int = 0
    """Tokens that the endpoint counted and the pool was told of."""


@dataclass
class Asked:
    """One call as its client saw it."""

    id: int
    phase: Phase
    at: float
    deadline_s: float
    tokens: int
    """That a whole answer has."""
    stream: bool
    hedge: bool
    bad: bool = False
    left_at: float | None = None
    """When the client went away."""
    ended_at: float | None = None
    outcome: str = ""
    """``answer``, or the name of the class of what was raised."""
    said: str = ""
    retry_after_s: float | None = None
    value: tuple[str, int] | None = None
    """(endpoint, number of the request) that is written on the answer."""
    endpoint: str = ""
    """Who answered, as the pool tells."""
    degraded: bool = False
    got: list[tuple[float, str, int, int]] = field(default_factory=list[tuple[float, str, int, int]])
    """(when, endpoint, number of the request, index) of each token that reached the client."""


@dataclass
class Terms:
    """What was promised: the documented bounds of the pool that was simulated. Times in seconds."""

    servers: dict[str, int | None]
    """Endpoints of the pool and the most requests that each may hold."""
    fallback: frozenset[str]
    moves_max: int
    ratio: float = 0.1
    per_s: float = 1.0
    burst: int = 10
    window_s: float = 10.0
    bucket_s: float = 1.0
    attempts_max: int = 4
    rest_max_s: float = 30.0


class Book:
    """All that was seen. `paused`: (from, to) while the pool's own process got no processor."""

    def __init__(self, terms: Terms) -> None:
        self.terms = terms
        self.asked: list[Asked] = []
        self.sent: list[Sent] = []
        self.paused: list[tuple[float, float]] = []
        self.charged: dict[str, int] = {}
        """Tokens that the pool has counted for each endpoint, in the end."""
        self.errors: list[str] = []
        """What nobody caught."""

    def by_call(self) -> dict[int, list[Sent]]:
        """Requests of each call, in order."""
        found: dict[int, list[Sent]] = {asked.id: [] for asked in self.asked}
        for sent in self.sent:
            found[sent.call].append(sent)
        return found

    def at_the_latest(self, at: float) -> float:
        """When something that is due `at` can be done, by a process that may be paused."""
        for begin, end in sorted(self.paused):
            if begin <= at + slack_s and at < end:
                at = end
        return at + slack_s

    def last(self) -> float:
        """When the last thing happened."""
        return max((asked.ended_at or math.inf for asked in self.asked), default=0.0)


slack_s = 0.1
"""How much later than promised something may be done."""
