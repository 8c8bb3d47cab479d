"""A history folded into what replay asks of it."""

from __future__ import annotations

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from outlast.agent import event as ev
from outlast.agent.history import History
from outlast.journal.blob import Payload
from outlast.kernel.error import InvariantBroken

NULL = Payload(msgspec.Raw(b"null"))
CREATED = ev.RunCreated("a", NULL, "digest", "default", 100.0)


def folded(*events: ev.RunEvent) -> History:
    history = History()
    for at, event in enumerate((CREATED, *events)):
        history.apply(event, float(at))
    return history


def intended(place: str = "1", attempt: int = 1) -> ev.StepIntended:
    return ev.StepIntended(place, "pay", "", attempt, f"run:{place}", 0.0)


def done(place: str = "1") -> ev.StepDone:
    return ev.StepDone(place, "pay", "", 1.0, NULL)


CLAIMS = st.lists(st.sampled_from(["claim", "solo", "trial", "parked", "step"]), max_size=15)


@given(CLAIMS)
def test_only_claims_in_a_row_without_another_event_count_against_a_run(said: list[str]) -> None:
    events: list[ev.RunEvent] = []
    fruitless = trials = place = 0
    for n, what in enumerate(said, 1):
        if what in ("claim", "solo"):
            events.append(ev.RunClaimed(f"w{n}", n, fruitless, what == "solo"))
            fruitless, trials = fruitless + 1, trials + (what == "solo")
        elif what == "trial":
            events.append(ev.RunTrial(fruitless))
        else:
            place += 1
            events.append(ev.RunParked("waits", 0.0) if what == "parked" else done(str(place)))
            fruitless = trials = 0
    history = folded(*events)
    assert (history.fruitless, history.trials) == (fruitless, trials)
    assert history.on_trial == (bool(said) and said[-1] == "trial")


PATHS = st.lists(st.integers(1, 9), min_size=1, max_size=5).filter(lambda path: len(path) % 2 == 1)


@given(st.lists(PATHS, max_size=8))
def test_every_scope_knows_the_highest_place_that_left_a_trace_in_it(paths: list[list[int]]) -> None:
    """A place is ordinal, or ordinal.branch.ordinal, and so on."""
    places = sorted({".".join(map(str, path)) for path in paths})
    history = folded(*(done(place) for place in places))
    expected: dict[str, int] = {}
    for place in places:
        parts = place.split(".")
        for depth in range(0, len(parts), 2):
            scope = "".join(f"{part}." for part in parts[:depth])
            expected[scope] = max(expected.get(scope, 0), int(parts[depth]))
    assert history.last_ordinal == expected


def test_a_step_has_one_outcome() -> None:
    with pytest.raises(InvariantBroken, match="step 1 has two outcomes"):
        folded(done(), done())


def test_an_intent_is_open_until_its_outcome_its_clearance_or_its_next_attempt() -> None:
    failure = ev.Failure("ValueError", "no")
    opened = folded(ev.RunClaimed("w1", 1, 0), intended())
    assert opened.intents["1"].worker == "w1"
    for event in (
        done(),
        ev.StepFailedEvent("1", "pay", "", 1.0, failure),
        ev.StepCleared("1", 1, "verify"),
        ev.StepRetried("1", "pay", 1, failure, 5.0),
    ):
        assert folded(intended(), event).intents == {}


def test_a_crash_is_forgiven_and_so_is_all_that_came_before_a_persons_decision() -> None:
    first, second = ev.StepCleared("1", 1, "verify"), ev.StepCleared("1", 2, "verify")
    crashed = folded(intended(), first, intended(attempt=2), second)
    assert (crashed.crashes["1"], crashed.forgiven["1"]) == (2, 2)
    doubted = ev.StepDoubted("1", 1, "lost", ev.Failure("ConnectionError", "lost"))
    failed = folded(intended(), doubted, first)
    assert failed.crashes == {}, "it failed, its worker did not"
    assert failed.errors["1"].type == "ConnectionError"
    allowed = folded(intended(attempt=3), doubted, ev.StepCleared("1", 3, "person", 7))
    assert (allowed.forgiven["1"], allowed.errors, allowed.mail, allowed.resolved) == (3, {}, {7}, {"1": 7})


def test_a_redrive_lets_everything_go_on_and_grants_the_budget_only_where_that_was_the_reason() -> None:
    spent = folded(ev.RunHeld("budget_exceeded", "spent", seen=3), ev.RunRedriven(4))
    assert (spent.held, spent.grants, spent.redrives_from) == ({}, 1, 4)
    other = folded(ev.RunHeld("agent_stopped", "by hand", seen=3), ev.RunRedriven(4))
    assert other.grants == 0
    killer = folded(ev.RunQuarantined(5, "kills"), ev.RunRedriven(1))
    assert killer.quarantined is None


def test_a_signal_that_agent_code_gave_up_is_there_for_the_next_wait() -> None:
    history = folded(ev.SignalConsumed("1", "go", "id", 4, NULL), ev.StepAbandoned("1", "signal:go"))
    assert history.mail == set()
    assert history.consumed == {}


def test_a_held_step_that_is_given_up_stays_held_while_it_is_in_doubt() -> None:
    held = ev.RunHeld("in_doubt", "may have happened", "1")
    assert "1" in folded(intended(), held, ev.StepAbandoned("1", "pay")).held
    assert folded(held, ev.StepAbandoned("1", "pay")).held == {}
