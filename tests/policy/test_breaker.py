from __future__ import annotations

import itertools

import pytest
from hypothesis import strategies as st
from hypothesis.stateful import Bundle, RuleBasedStateMachine, consumes, initialize, invariant, precondition, rule

from outlast.kernel.error import ConfigurationError, InvariantBroken
from outlast.policy.breaker import TRANSITIONS, Breaker, BreakerPolicy

POLICY = BreakerPolicy()
STATES = ("closed", "open", "half_open")
VERDICTS = ("ok", "slow", "failed", "dropped")
EVENTS = ("tripped", "cooled", "recovered", "reopened", "passed")


def failing(breaker: Breaker, now: float, times: int, chance: float = 0.999_999) -> None:
    for _ in range(times):
        ticket = breaker.begin(now)
        assert ticket
        breaker.failed(now, ticket, chance)


def succeeding(breaker: Breaker, now: float, times: int, slow: bool = False) -> None:
    for _ in range(times):
        ticket = breaker.begin(now)
        assert ticket
        breaker.ok(now, ticket, slow)


def opened(policy: BreakerPolicy = POLICY, now: float = 100.0, chance: float = 0.999_999) -> Breaker:
    breaker = Breaker(policy)
    failing(breaker, now, policy.failures_in_a_row, chance)
    assert breaker.state == "open"
    return breaker


def until(breaker: Breaker) -> float:
    assert breaker.until is not None
    return breaker.until


def test_failures_in_a_row_open_it_and_it_says_why() -> None:
    breaker = Breaker(POLICY)
    failing(breaker, 100.0, 4)
    assert breaker.state == "closed"
    failing(breaker, 100.0, 1)
    assert (breaker.state, breaker.why, breaker.opened) == ("open", "5 failures in a row", 1)
    assert not breaker.may(100.0)
    assert breaker.begin(100.0) == 0


def test_a_success_between_failures_ends_the_row() -> None:
    breaker = Breaker(BreakerPolicy(error_rate=1.0))
    for _ in range(20):
        failing(breaker, 100.0, 4)
        succeeding(breaker, 100.0, 1)
    assert breaker.state == "closed"


def test_a_share_of_failures_opens_it_but_not_before_enough_calls() -> None:
    breaker = Breaker(POLICY)
    succeeding(breaker, 100.0, 4)
    failing(breaker, 100.0, 4)
    assert breaker.state == "closed"
    succeeding(breaker, 100.0, 12)
    failing(breaker, 100.0, 1)
    assert (breaker.state, breaker.why) == ("open", "5 of 21 calls failed")


def test_a_share_of_slow_answers_opens_it() -> None:
    breaker = Breaker(POLICY)
    succeeding(breaker, 100.0, 10)
    succeeding(breaker, 100.0, 9, slow=True)
    assert breaker.state == "closed"
    succeeding(breaker, 100.0, 1, slow=True)
    assert (breaker.state, breaker.why) == ("open", "10 of 20 calls were slow")


@pytest.mark.parametrize(("later", "state"), [(126.0, "closed"), (130.5, "open")])
def test_what_left_the_window_is_forgotten(later: float, state: str) -> None:
    breaker = Breaker(POLICY)
    succeeding(breaker, 100.0, 40)
    succeeding(breaker, later, 8)
    failing(breaker, later, 2)
    assert breaker.state == state


def test_a_verdict_from_before_the_opening_counts_for_nothing() -> None:
    breaker = Breaker(POLICY)
    old = [breaker.begin(100.0) for _ in range(20)]
    for ticket in old[:5]:
        breaker.failed(100.0, ticket, 0.0)
    probe = breaker.begin(until(breaker))
    assert breaker.state == "half_open"
    breaker.ok(102.0, old[5])
    assert breaker.state == "half_open"
    breaker.failed(102.0, old[6], 0.0)
    breaker.dropped(102.0, old[7])
    assert breaker.state == "half_open"
    assert breaker.begin(102.0) == 0
    breaker.ok(102.0, probe)
    assert breaker.state == "closed"
    for ticket in old[8:]:
        breaker.failed(103.0, ticket, 0.0)
    assert breaker.state == "closed"


def test_the_open_time_doubles_to_its_bound_and_is_drawn_from_its_upper_half() -> None:
    for chance in (0.0, 0.25, 0.999_999):
        breaker = opened(chance=chance)
        now, bounds = 100.0, []
        for _ in range(8):
            bounds.append((until(breaker) - now) / (0.5 + 0.5 * chance))
            now = until(breaker)
            breaker.failed(now, breaker.begin(now), chance)
        assert bounds == pytest.approx([1, 2, 4, 8, 16, 30, 30, 30])


def test_flapping_lengthens_and_a_calm_time_forgives() -> None:
    breaker = opened()
    spans: list[float] = []
    now = 100.0
    for calm in (0.0, 59.0, 60.0):
        now = until(breaker)
        breaker.ok(now, breaker.begin(now))
        assert breaker.state == "closed"
        now += calm
        failing(breaker, now, 5)
        spans.append(until(breaker) - now)
    assert spans == pytest.approx([2, 4, 1], rel=1e-3)


def test_back_in_rotation_within_three_seconds_of_a_first_opening() -> None:
    breaker = opened(chance=0.999_999)
    assert breaker.may(100.0 + 3.0)
    breaker.ok(103.0, breaker.begin(103.0))
    assert breaker.state == "closed"


def test_a_slow_probe_opens_it_again() -> None:
    breaker = opened()
    now = until(breaker)
    breaker.ok(now, breaker.begin(now), slow=True, chance=0.0)
    assert (breaker.state, breaker.why) == ("open", "a probe was slow")


def test_only_so_many_probes_and_all_must_succeed() -> None:
    breaker = opened(BreakerPolicy(probes=3))
    now = until(breaker)
    tickets = [breaker.begin(now) for _ in range(5)]
    assert [bool(ticket) for ticket in tickets] == [True, True, True, False, False]
    breaker.ok(now, tickets[0])
    assert not breaker.may(now)
    breaker.dropped(now, tickets[1])
    assert breaker.may(now)
    again = breaker.begin(now)
    breaker.ok(now, again)
    assert breaker.state == "half_open"
    breaker.ok(now, tickets[2])
    assert breaker.state == "closed"


def test_a_health_check_lets_the_probe_through_at_once_and_only_when_open() -> None:
    breaker = opened()
    assert not breaker.may(100.0)
    breaker.recovered(100.0)
    assert (breaker.state, breaker.until) == ("half_open", None)
    ticket = breaker.begin(100.0)
    breaker.recovered(100.0)
    assert breaker.state == "half_open"
    assert not breaker.may(100.0)
    breaker.ok(100.0, ticket)
    breaker.recovered(100.0)
    assert breaker.state == "closed"


def test_after_closing_what_was_before_does_not_count() -> None:
    breaker = opened()
    now = until(breaker)
    breaker.ok(now, breaker.begin(now))
    succeeding(breaker, now, 8)
    failing(breaker, now, 1)
    succeeding(breaker, now, 1)
    assert breaker.state == "closed"


def test_slow_answers_of_every_part_of_the_window_are_forgotten() -> None:
    breaker = Breaker(BreakerPolicy(calls_min=20, slow_rate=0.5))
    for now in range(100, 127, 3):
        succeeding(breaker, now, 1, slow=True)
        succeeding(breaker, now, 1)
    succeeding(breaker, 190.0, 2, slow=True)
    assert breaker.state == "closed"
    succeeding(breaker, 190.0, 15)
    succeeding(breaker, 190.0, 7, slow=True)
    assert breaker.state == "closed"


def test_a_clock_that_goes_back_forgets_nothing() -> None:
    breaker = Breaker(POLICY)
    succeeding(breaker, 1000.0, 40)
    succeeding(breaker, 980.0, 1)
    succeeding(breaker, 1000.0, 8)
    failing(breaker, 1000.0, 2)
    assert breaker.state == "closed"
    failing(breaker, 10.0, 3)
    assert breaker.state == "open"


@pytest.mark.parametrize(("state", "event"), sorted(set(itertools.product(STATES, EVENTS)) - set(TRANSITIONS)))
def test_every_other_transition_breaks_an_invariant(state: str, event: str) -> None:
    breaker = Breaker(POLICY)
    if state != "closed":
        breaker = opened()
    if state == "half_open":
        assert breaker.begin(until(breaker))
    with pytest.raises(InvariantBroken, match=f"breaker: {event} while {state}"):
        breaker._move(event)  # type: ignore[arg-type]
    assert breaker.state == state


@pytest.mark.parametrize("state", STATES)
def test_a_verdict_without_a_call_breaks_an_invariant(state: str) -> None:
    for end in (
        lambda b, t: b.ok(200.0, t), lambda b, t: b.failed(200.0, t, 0.0), lambda b, t: b.dropped(200.0, t),
    ):  # fmt: skip
        breaker = Breaker(POLICY) if state == "closed" else opened()
        ticket = breaker.begin(200.0) if state != "open" else breaker._generation
        if state != "open":
            breaker.dropped(200.0, ticket)
        with pytest.raises(InvariantBroken, match="given back more often than taken"):
            end(breaker, ticket)
        for never in (0, -1, 99):
            with pytest.raises(InvariantBroken, match="was never given"):
                end(breaker, never)


@pytest.mark.parametrize(
    "wrong",
    [
        {"window_s": 0.0}, {"buckets": 0}, {"buckets": 1001}, {"calls_min": 0}, {"error_rate": 0.0},
        {"error_rate": 1.1}, {"slow_rate": 0.0}, {"slow_rate": 1.1}, {"failures_in_a_row": 0}, {"open_s": 0.0},
        {"open_s": 31.0}, {"reset_after_s": -1.0}, {"probes": 0},
    ],
)  # fmt: skip
def test_what_is_not_possible_is_refused(wrong: dict[str, float]) -> None:
    with pytest.raises(ConfigurationError, match="is not possible"):
        BreakerPolicy(**wrong)  # type: ignore[arg-type]


class Breaking(RuleBasedStateMachine):
    """Calls overlap as they like; a book of verdicts, kept the slow way, says what the breaker must do."""

    tickets = Bundle("tickets")

    def __init__(self) -> None:
        super().__init__()
        self.now = 1000.0

    @initialize(
        policy=st.builds(
            lambda *v: BreakerPolicy(10.0, v[0], v[1], v[2], v[3], v[4], 1.0, 6.0, v[5], v[6]),
            st.integers(1, 6), st.integers(1, 6), st.floats(0.1, 1), st.floats(0.1, 1), st.integers(1, 6),
            st.floats(0, 20), st.integers(1, 3),
        )
    )  # fmt: skip
    def start(self, policy: BreakerPolicy) -> None:
        self.policy = policy
        self.breaker = Breaker(policy)
        self.state = "closed"
        self.book: list[tuple[int, str]] = []  # bucket, verdict, since it last closed
        self.row = 0
        self.present: set[int] = set()  # the calls under way in this state
        self.passed = 0
        self.until = 0.0
        self.streak = 0
        self.closed_at: float | None = None
        self.call = 0

    def enter(self, state: str) -> None:
        self.state, self.present, self.passed = state, set(), 0

    def open(self, chance: float) -> None:
        if self.state == "closed":
            calm = self.closed_at is None or self.now - self.closed_at >= self.policy.reset_after_s
            self.streak = 0 if calm else self.streak
        self.until = self.now + min(6.0, 2.0**self.streak) * (0.5 + chance / 2)
        self.streak += 1
        self.enter("open")

    @rule(step=st.floats(0, 12))
    def time_passes(self, step: float) -> None:
        self.now += step

    @rule(target=tickets)
    def begin(self) -> tuple[int, int]:
        allowed = {
            "closed": True,
            "open": self.now >= self.until,
            "half_open": len(self.present) + self.passed < self.policy.probes,
        }[self.state]
        assert self.breaker.may(self.now) == allowed
        ticket = self.breaker.begin(self.now)
        assert bool(ticket) == allowed
        self.call += 1
        if ticket:
            if self.state == "open":
                self.enter("half_open")
            self.present.add(self.call)
        return self.call, ticket

    @rule(call=consumes(tickets), verdict=st.sampled_from(VERDICTS), chance=st.floats(0, 0.99))
    def end(self, call: tuple[int, int], verdict: str, chance: float) -> None:
        number, ticket = call
        if not ticket:
            return
        if verdict == "dropped":
            self.breaker.dropped(self.now, ticket)
        elif verdict == "failed":
            self.breaker.failed(self.now, ticket, chance)
        else:
            self.breaker.ok(self.now, ticket, verdict == "slow", chance)
        if number not in self.present:
            return
        self.present.remove(number)
        if verdict == "dropped":
            return
        if self.state == "half_open":
            if verdict == "ok":
                self.passed += 1
                if self.passed == self.policy.probes:
                    self.enter("closed")
                    self.closed_at, self.book, self.row = self.now, [], 0
            else:
                self.open(chance)
            return
        width = 10.0 / self.policy.buckets
        bucket = int(self.now // width)
        self.book.append((bucket, verdict))
        self.row = self.row + 1 if verdict == "failed" else 0
        recent = [kind for at, kind in self.book if at > bucket - self.policy.buckets]
        enough = len(recent) >= self.policy.calls_min
        failed = recent.count("failed") >= self.policy.error_rate * len(recent)
        slow = recent.count("slow") >= self.policy.slow_rate * len(recent)
        if self.row >= self.policy.failures_in_a_row or (verdict != "ok" and enough and (failed or slow)):
            self.open(chance)

    @rule()
    def recovered(self) -> None:
        self.breaker.recovered(self.now)
        if self.state == "open":
            self.enter("half_open")

    @precondition(lambda self: not self.present)
    @rule()
    def a_verdict_for_nothing_is_refused(self) -> None:
        with pytest.raises(InvariantBroken):
            self.breaker.ok(self.now, self.breaker._generation)

    @invariant()
    def it_is_in_the_state_that_the_book_says(self) -> None:
        if not hasattr(self, "breaker"):
            return
        assert self.breaker.state == self.state
        assert (self.breaker.until is not None) == (self.state == "open")
        if self.state == "open":
            assert self.breaker.until == pytest.approx(self.until)


TestBreaking = Breaking.TestCase
