from __future__ import annotations

import itertools
from typing import Any

import pytest
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, rule

from outlast.kernel.error import ConfigurationError
from outlast.policy.health import LAYERS, TRANSITIONS, Health, HealthPolicy, Layer, LayerPolicy, State

STATES: tuple[State, ...] = ("unknown", "up", "down")


def up() -> Health:
    health = Health()
    health.passed(0.0, "model")
    return health


def test_what_was_never_checked_is_healthy() -> None:
    health = Health()
    assert health.failing is None
    assert health.why == ""
    assert [health.state(layer) for layer in LAYERS] == ["unknown"] * 3


@pytest.mark.parametrize("layer", LAYERS)
def test_the_first_check_decides(layer: Layer) -> None:
    health = Health()
    health.failed(0.0, layer, "connection refused")
    assert health.failing == layer
    assert health.why == "connection refused"


@pytest.mark.parametrize(("layer", "fall", "rise"), [("connection", 3, 2), ("application", 3, 2), ("model", 2, 1)])
def test_it_takes_some_in_a_row_to_fall_and_to_rise(layer: Layer, fall: int, rise: int) -> None:
    health = up()
    for _ in range(10):
        for _ in range(fall - 1):
            health.failed(1.0, layer)
        assert health.failing is None
        health.passed(1.0, layer)
    for _ in range(fall):
        health.failed(1.0, layer)
    assert health.failing == layer
    for _ in range(10):
        for _ in range(rise - 1):
            health.passed(1.0, layer)
        assert health.failing == layer
        health.failed(1.0, layer)
    for _ in range(rise):
        health.passed(1.0, layer)
    assert health.failing is None


def test_an_answer_of_the_model_proves_the_layers_below() -> None:
    health = Health()
    health.failed(0.0, "connection")
    health.passed(1.0, "model")
    assert health.failing == "connection"
    health.passed(2.0, "model")
    assert health.failing is None
    assert [health.state(layer) for layer in LAYERS] == ["up"] * 3


def test_a_connection_says_nothing_for_the_application() -> None:
    health = Health()
    health.failed(0.0, "application", "HTTP 500")
    for now in range(5):
        health.passed(float(now), "connection")
    assert health.failing == "application"


def test_after_the_connection_was_down_the_application_is_unknown_but_a_bad_model_stays_bad() -> None:
    health = up()
    for _ in range(2):
        health.failed(0.0, "model", "score 0.3")
    for _ in range(3):
        health.failed(1.0, "connection", "refused")
    assert (health.state("application"), health.state("model")) == ("unknown", "down")
    assert (health.failing, health.why) == ("connection", "refused")
    for _ in range(2):
        health.passed(2.0, "connection")
    assert (health.failing, health.why) == ("model", "score 0.3")


def test_checks_are_due_from_below_and_none_above_what_is_down() -> None:
    health = Health()
    seen: list[Layer] = []
    while (layer := health.due(0.0)) is not None:
        health.passed(0.0, layer)
        seen.append(layer)
    assert seen == list(LAYERS)
    assert health.due(0.9) is None
    assert health.due(1.0) == "connection"
    for _ in range(3):
        health.failed(1.0, "connection")
    assert health.due(1.4) is None
    assert health.due(1.5) == "connection"
    health.failed(100.0, "connection")
    assert health.due(100.4) is None


def test_what_is_back_is_seen_within_three_seconds() -> None:
    health = up()
    now, alive = 0.0, False
    back_at = 30.0
    while now < 40.0:
        now += 0.1
        alive = now >= back_at
        while (layer := health.due(now)) is not None:
            if alive:
                health.passed(now, layer)
            else:
                health.failed(now, layer)
        if alive and health.failing is None:
            break
    assert now - back_at <= 3.0


def test_real_answers_make_checks_of_the_same_layer_needless() -> None:
    health = up()
    for tenth in range(300):
        health.passed(tenth / 10, "application")
        assert health.due(tenth / 10) is None


@pytest.mark.parametrize("wrong", [{"rise": 0}, {"fall": 0}, {"every_s": 0}, {"down_every_s": -1}])
def test_what_is_not_possible_is_refused(wrong: dict[str, Any]) -> None:
    with pytest.raises(ConfigurationError, match="not possible"):
        LayerPolicy(**wrong)


class Checking(RuleBasedStateMachine):
    """Checks of any layer in any order; each layer against a count of its own."""

    def __init__(self) -> None:
        super().__init__()
        self.policy = HealthPolicy()
        self.health = Health(self.policy)
        self.now = 0.0
        self.before: dict[Layer, State] = dict.fromkeys(LAYERS, "unknown")
        self.results: dict[Layer, list[bool]] = {layer: [] for layer in LAYERS}

    @rule(layer=st.sampled_from(LAYERS), step=st.floats(0, 30))
    def passes(self, layer: Layer, step: float) -> None:
        self.now += step
        self.health.passed(self.now, layer)
        for each in LAYERS[: LAYERS.index(layer) + 1]:
            self.results[each].append(True)

    @rule(layer=st.sampled_from(LAYERS), step=st.floats(0, 30))
    def fails(self, layer: Layer, step: float) -> None:
        self.now += step
        self.health.failed(self.now, layer, f"{layer} at {self.now}")
        self.results[layer].append(False)

    @invariant()
    def only_listed_transitions_happen_and_only_after_enough_in_a_row(self) -> None:
        for layer in LAYERS:
            before, after = self.before[layer], self.health.state(layer)
            if before != after and not (before == "up" and after == "unknown"):
                expected, count = TRANSITIONS[(before, "pass" if after == "up" else "fail")]
                assert expected == after
                needed = getattr(getattr(self.policy, layer), count) if count else 1
                assert self.results[layer][-needed:] == [after == "up"] * needed
            self.before[layer] = after

    @invariant()
    def a_layer_that_failed_often_enough_is_down_and_one_that_passed_often_enough_is_up(self) -> None:
        for layer in LAYERS:
            policy: LayerPolicy = getattr(self.policy, layer)
            results = self.results[layer]
            if len(results) >= policy.fall and not any(results[-policy.fall :]):
                assert self.health.state(layer) == "down"
            if len(results) >= policy.rise and all(results[-policy.rise :]):
                assert self.health.state(layer) in ("up", "unknown")

    @invariant()
    def the_lowest_failing_layer_is_named_with_its_reason(self) -> None:
        down = [layer for layer in LAYERS if self.health.state(layer) == "down"]
        assert self.health.failing == (down[0] if down else None)
        assert self.health.why.startswith(down[0] if down else "")
        due = self.health.due(self.now)
        if down and due is not None:
            assert LAYERS.index(due) <= LAYERS.index(down[0])


def test_every_pair_that_is_not_listed_changes_nothing() -> None:
    for state, event in itertools.product(STATES, ("pass", "fail")):
        if (state, event) in TRANSITIONS:
            continue
        health = Health(HealthPolicy(connection=LayerPolicy(rise=1, fall=1)))
        health._checks["connection"].state = state
        if event == "pass":
            health.passed(0.0, "connection")
        else:
            health.failed(0.0, "connection")
        assert health.state("connection") == state


TestChecking = Checking.TestCase
