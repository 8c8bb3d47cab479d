"""Who may wait for a place in a pool, in what order, and who is refused at once because waiting would be in vain.

Source: bounded queues and refusing early ("Handling Overload" in Google's Site Reliability Engineering, 2016); the
shorter bound on waiting when the queue has not been empty for a while is CoDel's idea (Nichols and Jacobson,
"Controlling Queue Delay", ACM Queue 2012) as Facebook's servers use it (Maurer, "Fail at Scale", ACM Queue 2015), but
applied on entry, so that nobody waits only to be dropped; the expected wait is Little's law. Within a priority the
order is first come, first served: last in, first out pays off in queues of callers that have given up, and those are
not let in here. Priorities are strict: under lasting overload by high ones, low ones starve.
"""

from __future__ import annotations

import math
from collections import OrderedDict
from collections.abc import Sequence
from typing import Literal

import msgspec

from outlast.kernel.error import ConfigurationError, invariant

Priority = Literal["high", "normal", "low"]
PRIORITIES: tuple[Priority, ...] = ("high", "normal", "low")

State = Literal["waiting", "taken", "dropped", "left"]
Event = Literal["take", "drop", "leave"]

TRANSITIONS: dict[tuple[State, Event], State] = {
    ("waiting", "take"): "taken",
    ("waiting", "drop"): "dropped",
    ("waiting", "leave"): "left",
}
"""A ticket moves once. What is not listed changes nothing."""


class AdmissionPolicy(msgspec.Struct, frozen=True):
    """The bounds. Times in seconds.

    `waiting_max` tickets wait, each for `wait_max_s` at most by estimate; `standing_wait_s` when the queue has not been
    empty for `standing_after_s`. Rates are remembered over about `memory_s`; because they are estimates, a ticket is
    let in only if its deadline leaves `margin` times the expected wait.
    """

    waiting_max: int = 1_000
    wait_max_s: float = 30.0
    standing_after_s: float = 1.0
    standing_wait_s: float = 5.0
    retry_after_min_s: float = 1.0
    retry_after_max_s: float = 60.0
    memory_s: float = 10.0
    margin: float = 1.25

    def __post_init__(self) -> None:
        if self.waiting_max < 0 or self.memory_s <= 0 or not 0 <= self.standing_wait_s <= self.wait_max_s:
            raise ConfigurationError(
                f"admission {self} is not possible: waiting_max >= 0, memory_s > 0, 0 <= standing_wait_s <= wait_max_s"
            )
        if not 0 < self.retry_after_min_s <= self.retry_after_max_s:
            raise ConfigurationError(
                f"admission retry_after_min_s {self.retry_after_min_s}, retry_after_max_s {self.retry_after_max_s} are "
                "not possible: 0 < retry_after_min_s <= retry_after_max_s"
            )


class Ticket:
    """A place in the queue. `deadline` and `since` are monotonic seconds; `instead_of` had to make room for it."""

    __slots__ = ("deadline", "instead_of", "priority", "since", "state")

    def __init__(self, priority: Priority, deadline: float, since: float) -> None:
        self.priority: Priority = priority
        self.deadline = deadline
        self.since = since
        self.state: State = "waiting"
        self.instead_of: Ticket | None = None


class Refused(msgspec.Struct, frozen=True):
    """Not let in: ask again after `retry_after_s` seconds; because of its deadline, a standing queue, or a full one."""

    retry_after_s: float
    why: Literal["full", "late", "standing"]


class _Level:
    """The tickets of one priority, and how fast they are taken while there are any."""

    __slots__ = ("busy_s", "seen_at", "taken", "tickets")

    def __init__(self) -> None:
        self.tickets: OrderedDict[Ticket, None] = OrderedDict()
        self.taken = 0.0
        self.busy_s = 0.0
        self.seen_at = 0.0

    def advance(self, now: float, memory_s: float) -> None:
        keep = math.exp(-max(0.0, now - self.seen_at) / memory_s)
        self.taken *= keep
        self.busy_s = self.busy_s * keep + (memory_s * (1 - keep) if self.tickets else 0.0)
        self.seen_at = now

    def rate(self) -> float:
        """Tickets a second; half a ticket is granted, so that one that never moved is slow but not for ever."""
        return (self.taken + 0.5) / max(self.busy_s, 1e-9)


class Admission:
    """The queue in front of one pool. Each call is O(1), but for the tickets it drops."""

    __slots__ = ("_empty_at", "_levels", "_policy", "_service_s", "_spread_s", "waiting")

    def __init__(self, policy: AdmissionPolicy | None = None) -> None:
        self._policy = policy or AdmissionPolicy()
        self._levels: dict[Priority, _Level] = {priority: _Level() for priority in PRIORITIES}
        self._empty_at: float | None = None
        self._service_s: float | None = None
        self._spread_s = 0.0
        self.waiting = 0
        """How many tickets wait. While it is not zero a newcomer must not be served before them."""

    def enter(self, now: float, priority: Priority, deadline: float, serving: int = 0) -> Ticket | Refused:
        """A ticket, or a refusal if it could not be served in time. `serving`: how many are being served just now.

        A full queue gives the place of the newest ticket of a lower priority to a higher one: see `Ticket.instead_of`.
        """
        policy = self._policy
        if self.waiting == 0:
            self._empty_at = now
        level = self._levels[priority]
        level.advance(now, policy.memory_s)
        wait = self.wait_s(now, priority, serving)
        standing = now - (self._empty_at if self._empty_at is not None else now) > policy.standing_after_s
        bound = policy.standing_wait_s if standing else policy.wait_max_s
        needed = policy.margin * wait + (self._service_s or 0.0) + 3 * self._spread_s
        if level.tickets and now + needed > deadline:
            return Refused(self._retry_after(now + needed - deadline), "late")
        if level.tickets and wait > bound:
            return Refused(self._retry_after(wait - bound), "standing")
        if deadline <= now:
            return Refused(self._retry_after(wait), "late")
        instead_of = None
        if self.waiting >= policy.waiting_max:
            instead_of = self._newest_below(priority)
            if instead_of is None:
                return Refused(self._retry_after(wait), "full")
            self._end(instead_of, "drop", now)
        ticket = Ticket(priority, deadline, now)
        ticket.instead_of = instead_of
        level.tickets[ticket] = None
        self.waiting += 1
        return ticket

    def take(self, now: float) -> tuple[Ticket | None, Sequence[Ticket]]:
        """Who is served next, and who was dropped on the way because its deadline cannot be met any more."""
        dropped: list[Ticket] = []
        doomed_s = max(0.0, (self._service_s or 0.0) - 2 * self._spread_s)
        for level in self._levels.values():
            while level.tickets:
                ticket = next(iter(level.tickets))
                if ticket.deadline <= now + doomed_s:
                    self._end(ticket, "drop", now)
                    dropped.append(ticket)
                    continue
                self._end(ticket, "take", now)
                level.taken += 1
                return ticket, dropped
        return None, dropped

    def leave(self, now: float, ticket: Ticket) -> bool:
        """Its caller is gone. False: it did not wait any more; if it was taken, its place is free for another."""
        if (ticket.state, "leave") not in TRANSITIONS:
            return False
        self._end(ticket, "leave", now)
        return True

    def served(self, service_s: float) -> None:
        """Somebody was served, well and for `service_s` seconds from getting a place to giving it back."""
        mean = self._service_s
        if mean is None:
            self._service_s, self._spread_s = service_s, service_s / 2
            return
        self._spread_s += (abs(service_s - mean) - self._spread_s) / 8
        self._service_s = mean + (service_s - mean) / 8

    def wait_s(self, now: float, priority: Priority, serving: int = 0) -> float:
        """How long one more of this priority would wait, as far as can be known; in seconds."""
        level = self._levels[priority]
        level.advance(now, self._policy.memory_s)
        rate = level.rate()
        ahead = len(level.tickets) + 1
        if serving and self._service_s:
            limit = serving / self._service_s
            rate = min(rate, limit)
            for higher in PRIORITIES[: PRIORITIES.index(priority)]:
                ahead += len(self._levels[higher].tickets)
            return max(ahead / limit, (len(level.tickets) + 1) / rate)
        return ahead / rate

    def _newest_below(self, priority: Priority) -> Ticket | None:
        for lower in reversed(PRIORITIES[PRIORITIES.index(priority) + 1 :]):
            tickets = self._levels[lower].tickets
            if tickets:
                return next(reversed(tickets))
        return None

    def _retry_after(self, seconds: float) -> float:
        return min(self._policy.retry_after_max_s, max(self._policy.retry_after_min_s, seconds))

    def _end(self, ticket: Ticket, event: Event, now: float) -> None:
        after = TRANSITIONS.get((ticket.state, event))
        invariant(after is not None, f"a ticket that is {ticket.state} was asked to {event}")
        assert after is not None
        level = self._levels[ticket.priority]
        level.advance(now, self._policy.memory_s)
        del level.tickets[ticket]
        ticket.state = after
        self.waiting -= 1
        if self.waiting == 0:
            self._empty_at = now
