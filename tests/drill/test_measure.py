from __future__ import annotations

from collections.abc import Mapping

import pytest
from hypothesis import given
from hypothesis import strategies as st

from outlast.drill.measure import (
    Blow,
    Event,
    Recovery,
    in_doubt_verified,
    intents_open,
    owned,
    percentile,
    recovery,
    standstill_s,
)


def history(*events: tuple[float, str] | tuple[float, str, Mapping[str, object]]) -> list[Event]:
    return [Event(seq, event[0], event[1], event[2] if len(event) > 2 else {}) for seq, event in enumerate(events, 1)]


def claim(at: float, worker: str) -> tuple[float, str, Mapping[str, object]]:
    return at, "run.claimed", {"worker": worker}


def test_a_worker_owns_from_its_claim_until_another_claims_or_it_lets_go() -> None:
    events = history(
        (0, "run.created"), claim(1, "a"), (2, "step.done"), claim(3, "b"), (4, "run.parked"), claim(6, "a")
    )
    assert [owned(events, "a", at) for at in (0.5, 1, 2.5, 3, 5, 6)] == [False, True, True, False, False, True]
    assert [owned(events, "b", at) for at in (2.5, 3, 5)] == [False, True, False]


def test_recovery_is_from_the_blow_to_the_first_recorded_progress_of_any_of_its_runs() -> None:
    histories = {
        "one": history((0, "run.created"), claim(1, "a"), claim(10.2, "b"), (10.9, "step.done")),
        "two": history((0, "run.created"), claim(1, "a"), claim(10.3, "c"), (10.5, "step.cleared")),
        "other": history((0, "run.created"), claim(1, "b"), (10.01, "step.done")),
        "ended": history((0, "run.created"), claim(1, "a"), (9, "run.completed")),
    }
    found = recovery(histories, Blow("a", 10.0))
    assert found.runs == 2
    assert found.taken_over_s == pytest.approx(0.2)
    assert found.recovered_s == pytest.approx(0.5)


def test_a_worker_that_owned_nothing_has_nothing_to_recover() -> None:
    histories = {"one": history((0, "run.created"), claim(1, "b"), (12, "step.done"))}
    assert recovery(histories, Blow("a", 10.0)) == Recovery(0, None, None)


def test_a_run_that_never_goes_on_has_no_recovery_time() -> None:
    assert recovery({"one": history((0, "run.created"), claim(1, "a"))}, Blow("a", 10.0)) == Recovery(1, None, None)


def test_a_standstill_ends_with_the_second_append_because_the_first_may_have_waited() -> None:
    histories = {
        "one": history(
            (0, "run.created"), claim(1, "a"), (10.1, "step.done"), (10.1, "run.parked"), (11.5, "step.done")
        ),
        "late": history((10.2, "run.created"), claim(10.3, "a"), (10.4, "step.done")),
    }
    assert standstill_s(histories, 10.0) == pytest.approx(1.5)
    assert standstill_s(histories, 20.0) is None


def test_only_what_verify_decided_counts_as_verified() -> None:
    histories = {
        "one": history(
            (1, "step.done", {"by": "verify"}),
            (2, "step.cleared", {"by": "verify"}),
            (3, "step.cleared", {"by": "person"}),
            (4, "step.done", {"by": "call"}),
            (5, "step.done"),
            (6, "step.doubted", {"by": "verify"}),
        )
    }
    assert in_doubt_verified(histories) == 2


def test_an_intent_is_open_until_its_outcome_is_recorded() -> None:
    intended = (1.0, "step.intended", {"place": "0.1"})
    assert intents_open(history(intended)) == {"0.1"}
    assert intents_open(history(intended, (2, "step.done", {"place": "0.2"}))) == {"0.1"}
    assert intents_open(history(intended, (2, "step.doubted", {"place": "0.1"}))) == {"0.1"}
    assert intents_open(history(intended, (2, "step.done", {"place": "0.1"}))) == set()
    assert intents_open(history(intended, (2, "step.cleared", {"place": "0.1"}))) == set()


def test_percentiles_are_by_nearest_rank() -> None:
    assert percentile([], 0.5) is None
    assert percentile([3.0], 0.99) == 3.0
    assert percentile([4.0, 1.0, 3.0, 2.0], 0.5) == 2.0
    assert percentile([float(i) for i in range(1, 101)], 0.99) == 99.0
    assert percentile([float(i) for i in range(1, 9)], 0.99) == 8.0


@given(st.lists(st.floats(0, 1e6), min_size=1, max_size=50), st.integers(1, 100))
def test_a_percentile_is_the_smallest_value_that_covers_its_share(values: list[float], hundredths: int) -> None:
    found = percentile(values, hundredths / 100)
    assert found in values
    assert sum(value <= found for value in values) * 100 >= hundredths * len(values)
    assert sum(value < found for value in values) * 100 < hundredths * len(values)
