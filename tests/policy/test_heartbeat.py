from __future__ import annotations

from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, precondition, rule

from outlast.policy.heartbeat import Heartbeat, beat, begin, look

POLICY = Heartbeat(silent_after_s=1.0, hung_after_s=10.0)


def looked_until(pulse, start: float, end: float, step: float = 0.1):
    now = start
    while now < end:
        now += step
        pulse = look(POLICY, pulse, now)
    return pulse


def test_who_stops_beating_is_silent_and_then_hung() -> None:
    pulse = begin(0.0)
    assert looked_until(pulse, 0.0, 0.9).verdict == "alive"
    assert looked_until(pulse, 0.0, 1.2).verdict == "silent"
    assert looked_until(pulse, 0.0, 10.2).verdict == "hung"


def test_a_silent_one_that_beats_is_alive_again() -> None:
    pulse = looked_until(begin(0.0), 0.0, 5.0)
    assert pulse.verdict == "silent"
    assert beat(pulse, 1, 5.0).verdict == "alive"


def test_old_and_doubled_beats_keep_nobody_alive() -> None:
    pulse = beat(begin(0.0), 7, 0.0)
    for now in range(1, 20):
        pulse = look(POLICY, beat(beat(pulse, 7, now / 10), 3, now / 10), now / 10)
    assert pulse.verdict == "silent"


def test_an_observer_that_was_paused_blames_nobody() -> None:
    pulse = looked_until(begin(0.0), 0.0, 0.5)
    assert look(POLICY, pulse, 600.0).verdict == "alive"
    assert looked_until(look(POLICY, pulse, 600.0), 600.0, 601.2).verdict == "silent"


class Watching(RuleBasedStateMachine):
    """Beats and looks in any order, on a clock that only goes forward and with an observer that looks often enough."""

    def __init__(self) -> None:
        super().__init__()
        self.now = 100.0
        self.last_beat = 100.0
        self.count = 0
        self.pulse = begin(self.now)

    @rule(step=st.floats(0.001, 0.2))
    def look(self, step: float) -> None:
        self.now += step
        self.pulse = look(POLICY, self.pulse, self.now)

    @rule(step=st.floats(0.001, 0.2))
    def beat(self, step: float) -> None:
        self.look(step)
        self.count += 1
        self.pulse = beat(self.pulse, self.count, self.now)
        self.last_beat = self.now

    @rule(count=st.integers(-5, 0))
    def old_beat(self, count: int) -> None:
        before = self.pulse
        self.pulse = beat(self.pulse, self.count + count, self.now)
        assert self.pulse == before

    @precondition(lambda self: self.pulse.verdict == "hung")
    @rule()
    def hung_stays_hung_while_it_is_only_looked_at(self) -> None:
        assert look(POLICY, self.pulse, self.now + 0.1).verdict == "hung"

    @invariant()
    def the_verdict_follows_the_age_of_the_last_beat(self) -> None:
        age = self.now - self.last_beat
        if age < POLICY.silent_after_s - 1e-6:
            assert self.pulse.verdict == "alive"
        if self.pulse.verdict == "hung":
            assert age >= POLICY.hung_after_s - 1e-6
        if age >= POLICY.silent_after_s + 1e-6:
            assert self.pulse.verdict != "alive"


TestWatching = Watching.TestCase
