from __future__ import annotations

import heapq
import random
from typing import Any

import pytest
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, precondition, rule

from outlast.kernel.error import ConfigurationError, InvariantBroken
from outlast.policy.admission import PRIORITIES, TRANSITIONS, Admission, AdmissionPolicy, Priority, Refused, Ticket


def entered(admission: Admission, now: float, priority: Priority = "normal", deadline: float = 1e9) -> Ticket:
    ticket = admission.enter(now, priority, deadline)
    assert isinstance(ticket, Ticket)
    return ticket


class Result:
    def __init__(self) -> None:
        self.asked = self.in_time = self.late = self.refused = self.dropped = self.waiting_most = 0


def drive(
    seed: int, slots: int, service_s: float, per_s: float, seconds: float, deadline_s: float,
    priorities: tuple[Priority, ...] = ("normal",), policy: AdmissionPolicy | None = None,
) -> dict[Priority, Result]:  # fmt: skip
    """Poisson arrivals at a pool of `slots` places; everything is decided by an Admission."""
    chance = random.Random(seed)
    admission = Admission(policy)
    results: dict[Priority, Result] = {priority: Result() for priority in PRIORITIES}
    busy: list[tuple[float, float, float, Priority]] = []
    arrival = 0.0

    def serve(now: float, deadline: float, priority: Priority) -> None:
        heapq.heappush(busy, (now + service_s * chance.uniform(0.5, 1.5), now, deadline, priority))

    while arrival < seconds or busy:
        if busy and (busy[0][0] <= arrival or arrival >= seconds):
            now, began, deadline, priority = heapq.heappop(busy)
            admission.served(now - began)
            if now <= deadline:
                results[priority].in_time += 1
            else:
                results[priority].late += 1
            ticket, dropped = admission.take(now)
            for gone in dropped:
                results[gone.priority].dropped += 1
            if ticket is not None:
                serve(now, ticket.deadline, ticket.priority)
            continue
        now = arrival
        arrival += chance.expovariate(per_s)
        priority = chance.choice(priorities)
        result = results[priority]
        result.asked += 1
        if len(busy) < slots and not admission.waiting:
            serve(now, now + deadline_s, priority)
        elif isinstance(admission.enter(now, priority, now + deadline_s, len(busy)), Refused):
            result.refused += 1
        result.waiting_most = max(result.waiting_most, admission.waiting)
    return results


@pytest.mark.parametrize("seed", range(5))
@pytest.mark.parametrize("deadline_s", [2.0, 10.0, 60.0])
def test_under_ten_times_overload_capacity_is_used_and_who_is_let_in_is_in_time(seed: int, deadline_s: float) -> None:
    slots, service_s, seconds = 8, 0.5, 120.0
    result = drive(seed, slots, service_s, 10 * slots / service_s, seconds, deadline_s)["normal"]
    capacity = slots / service_s * seconds
    assert result.in_time >= 0.9 * capacity
    assert result.late + result.dropped <= 0.01 * (result.in_time + result.late + result.dropped)
    assert result.refused >= 0.85 * result.asked
    assert result.waiting_most <= 200


@pytest.mark.parametrize("seed", range(3))
def test_under_overload_high_priorities_are_served_first(seed: int) -> None:
    results = drive(seed, 8, 0.5, 80, 120, 10.0, ("high", "normal", "normal", "low", "low", "low", "low", "low"))
    assert results["high"].in_time >= 0.99 * results["high"].asked
    assert results["low"].in_time <= 0.05 * results["low"].asked
    assert results["low"].refused >= 0.8 * results["low"].asked


@pytest.mark.parametrize("seed", range(3))
def test_without_overload_nobody_is_refused(seed: int) -> None:
    result = drive(seed, 8, 0.5, 0.7 * 16, 300, 10.0)["normal"]
    assert result.refused == result.late == result.dropped == 0
    assert result.in_time == result.asked


def test_first_come_first_served_within_a_priority() -> None:
    admission = Admission()
    tickets = [entered(admission, 0.0) for _ in range(5)]
    assert [admission.take(0.1)[0] for _ in range(5)] == tickets
    assert admission.take(0.1) == (None, [])


def test_an_instant_burst_is_measured_against_what_is_being_served() -> None:
    """Nothing was taken yet, so only the places and the time of a service tell."""
    admission = Admission()
    admission.served(2.0)
    let_in = sum(isinstance(admission.enter(5.0, "normal", 25.0, 4), Ticket) for _ in range(500))
    assert 20 <= let_in <= 30  # 4 places / 2 s: 2 a second, for 20 s less a service, its spread and a margin


def test_who_cannot_be_served_in_time_is_refused_and_told_when_to_come_again() -> None:
    admission = Admission()
    admission.served(1.0)
    for _ in range(10):
        assert isinstance(admission.enter(0.0, "normal", 100.0, 1), Ticket)
    refused = admission.enter(0.0, "normal", 5.0, 1)
    assert isinstance(refused, Refused)
    assert refused.why == "late"
    assert refused.retry_after_s == pytest.approx(1.25 * 11 + 1 + 3 * 0.5 - 5)


def test_behind_a_queue_that_stands_nobody_waits_long() -> None:
    admission = Admission(AdmissionPolicy(standing_after_s=1.0, standing_wait_s=5.0))
    admission.served(1.0)
    for _ in range(20):
        assert isinstance(admission.enter(0.0, "normal", 100.0, 1), Ticket)
    admission.take(1.5)
    refused = admission.enter(1.5, "normal", 100.0, 1)
    assert isinstance(refused, Refused)
    assert refused.why == "standing"


def test_who_cannot_make_it_any_more_is_dropped_instead_of_served() -> None:
    admission = Admission()
    late, fine = entered(admission, 0.0, deadline=5.0), entered(admission, 0.0, deadline=50.0)
    assert admission.take(6.0) == (fine, [late])
    assert late.state == "dropped"


def test_who_comes_behind_a_queue_that_does_not_move_is_refused_whatever_was_known_before() -> None:
    admission = Admission()
    admission.served(0.1)
    assert isinstance(admission.enter(0.0, "normal", 60.0, 4), Ticket)
    assert isinstance(admission.enter(0.5, "normal", 10.0, 4), Ticket)
    assert isinstance(admission.enter(20.0, "normal", 30.0, 4), Refused)


def test_a_stalled_pool_lets_an_empty_queue_in_again() -> None:
    """Whatever was learned while nothing answered, one that finds nobody before it may try."""
    admission = Admission()
    first = entered(admission, 0.0, deadline=100.0)
    assert isinstance(admission.enter(90.0, "normal", 95.0), Refused)
    assert admission.leave(100.0, first)
    assert isinstance(admission.enter(100.0, "normal", 105.0), Ticket)


def test_one_that_comes_after_its_deadline_is_refused() -> None:
    refused = Admission().enter(10.0, "high", 10.0)
    assert isinstance(refused, Refused)
    assert refused.why == "late"


def test_a_full_queue_makes_room_for_a_higher_priority_only() -> None:
    admission = Admission(AdmissionPolicy(waiting_max=3))
    low, normal, lowest = (entered(admission, 0.0, p) for p in ("low", "normal", "low"))
    refused = admission.enter(0.0, "low", 1e9)
    assert isinstance(refused, Refused)
    assert refused.why == "full"
    high = entered(admission, 0.0, "high")
    assert high.instead_of is lowest
    assert lowest.state == "dropped"
    assert (low.state, normal.state, admission.waiting) == ("waiting", "waiting", 3)


def test_who_left_is_not_served() -> None:
    admission = Admission()
    first, second = entered(admission, 0.0), entered(admission, 0.0)
    assert admission.leave(0.0, first)
    assert admission.take(0.0) == (second, [])
    assert not admission.leave(0.0, first)


@pytest.mark.parametrize("event", ["take", "drop", "leave"])
@pytest.mark.parametrize("state", ["taken", "dropped", "left"])
def test_a_ticket_that_has_ended_does_not_move_again(state: Any, event: Any) -> None:
    assert (state, event) not in TRANSITIONS
    admission = Admission()
    ticket = Ticket("normal", 10.0, 0.0)
    ticket.state = state
    with pytest.raises(InvariantBroken, match=f"a ticket that is {state} was asked to {event}"):
        admission._end(ticket, event, 0.0)


@pytest.mark.parametrize(
    "wrong",
    [{"waiting_max": -1}, {"memory_s": 0}, {"standing_wait_s": 31}, {"standing_wait_s": -1}, {"retry_after_min_s": 0},
     {"retry_after_min_s": 70}],
)  # fmt: skip
def test_what_is_not_possible_is_refused(wrong: dict[str, Any]) -> None:
    with pytest.raises(ConfigurationError, match="not possible"):
        AdmissionPolicy(**wrong)


class Waiting(RuleBasedStateMachine):
    """Arrivals, departures and services in any order, against a plain list."""

    def __init__(self) -> None:
        super().__init__()
        self.policy = AdmissionPolicy(waiting_max=6, wait_max_s=1e9, standing_wait_s=1e9)
        self.admission = Admission(self.policy)
        self.now = 0.0
        self.queue: list[Ticket] = []
        self.all: list[Ticket] = []

    @rule(step=st.floats(0, 5), priority=st.sampled_from(PRIORITIES), patience=st.floats(-1, 20))
    def enter(self, step: float, priority: Priority, patience: float) -> None:
        self.now += step
        deadline = self.now + patience
        got = self.admission.enter(self.now, priority, deadline)
        if isinstance(got, Refused):
            assert self.policy.retry_after_min_s <= got.retry_after_s <= self.policy.retry_after_max_s
            if got.why == "full":
                assert len(self.queue) == 6
                below = PRIORITIES[PRIORITIES.index(priority) + 1 :]
                assert not [ticket for ticket in self.queue if ticket.priority in below]
            else:
                assert deadline <= self.now or any(ticket.priority == priority for ticket in self.queue)
            return
        assert deadline > self.now
        if got.instead_of is not None:
            self.queue.remove(got.instead_of)
            assert got.instead_of.state == "dropped"
            assert PRIORITIES.index(got.instead_of.priority) > PRIORITIES.index(priority)
        self.queue.append(got)
        self.all.append(got)

    @rule(step=st.floats(0, 5))
    def take(self, step: float) -> None:
        self.now += step
        ticket, dropped = self.admission.take(self.now)
        for gone in dropped:
            assert gone.deadline <= self.now
            self.queue.remove(gone)
        alive = sorted(self.queue, key=lambda waiting: PRIORITIES.index(waiting.priority))
        assert ticket is (alive[0] if alive else None)
        if ticket is not None:
            assert ticket.deadline > self.now
            self.queue.remove(ticket)

    @precondition(lambda self: self.all)
    @rule(data=st.data())
    def leave(self, data: st.DataObject) -> None:
        ticket = data.draw(st.sampled_from(self.all))
        before = ticket.state
        assert self.admission.leave(self.now, ticket) == (ticket in self.queue)
        if before == "waiting":
            self.queue.remove(ticket)
        else:
            assert ticket.state == before

    @invariant()
    def the_queue_is_what_it_should_be(self) -> None:
        assert self.admission.waiting == len(self.queue) <= 6
        assert all(ticket.state == "waiting" for ticket in self.queue)
        assert all(ticket.state != "waiting" for ticket in self.all if ticket not in self.queue)


TestWaiting = Waiting.TestCase
