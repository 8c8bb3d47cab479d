"""The crash injector: an agent is killed at every position of its journal, taken over, and compared."""

from __future__ import annotations

import copy
from collections import Counter
from collections.abc import Callable
from typing import Any, Literal, TypeVar, cast

import msgspec

from outlast.adapters.scripted.endpoint import Scripted
from outlast.agent.app import Agent
from outlast.model.endpoint import Endpoint
from outlast.testing.ledger import Effects
from outlast.testing.play import OWN_DEPS, Finished, Signals, forgetting, on_a_loop, play
from outlast.testing.stage import Fate, Stage

R = TypeVar("R")


class DidNotSurvive(AssertionError):
    """After a crash something was doubled, lost or different; says at which position the crash was."""


class Survived(msgspec.Struct, frozen=True):
    """What `survives` did: the appends of a run without a crash, by name, and how often the agent was killed."""

    positions: list[str]
    crashes: int


def survives(
    agent: Agent[..., R],
    input: Any = None,
    *,
    effects: Effects | None = None,
    model: Endpoint | Callable[[], Endpoint] | None = None,
    deps: Any = OWN_DEPS,
    signals: Signals = (),
    held_ok: bool = False,
    compare: Callable[[R], object] | None = None,
) -> Survived:
    """Crash `agent` before and after each of its appends, let another worker take over, and compare with no crash.

    Raises DidNotSurvive unless the run ends in the same state with the same result, and `effects` has the same entries,
    none doubled and none lost. `compare` says what about a result must be the same (a result that tells the time is
    never equal to another). With `held_ok` a run may also wait for a person instead of ending; nothing may be doubled
    then either. A `model` from a list starts anew for each crash; any other is made by a function, or shared. The rest
    is as for `outlast.testing.run`.
    """
    stages: list[Stage] = []

    def attempt(fate: Fate | None) -> tuple[Finished[R], Counter[str]]:
        if effects is not None:
            effects.clear()
        finished = on_a_loop(lambda loop: play(loop, stages, agent, input, _fresh(model), deps, signals, fate))
        return finished, Counter(repr(entry) for entry in effects.entries()) if effects is not None else Counter()

    crashes = 0
    with forgetting(stages):
        wanted, booked = attempt(None)
        if wanted.state not in ("completed", "failed", "cancelled"):
            raise DidNotSurvive(f"without any crash the run is {wanted.state}: {wanted.why}")
        positions = list(stages[0].positions)
        sides: tuple[Literal["before", "after"], ...] = ("before", "after")
        for number, what in enumerate(positions, 1):
            for side in sides:
                finished, found = attempt(Fate(side, number))
                crashes += stages[-1].crashed
                problem = _difference(wanted, finished, booked, found, held_ok, compare)
                if problem:
                    raise DidNotSurvive(
                        f"killed {side} append {number} of {len(positions)} ({what}): {problem}\n"
                        f"then: {'; '.join(stages[-1].positions[number - 1 :])}"
                    )
    return Survived(positions, crashes)


def _fresh(model: Endpoint | Callable[[], Endpoint] | None) -> Endpoint:
    if model is None:
        return Scripted()
    if isinstance(model, Scripted):
        return copy.deepcopy(model)
    if hasattr(model, "complete"):
        return cast(Endpoint, model)
    return cast("Callable[[], Endpoint]", model)()


def _difference(
    wanted: Finished[R], finished: Finished[R], booked: Counter[str], found: Counter[str], held_ok: bool,
    compare: Callable[[R], object] | None,
) -> str:  # fmt: skip
    """What is wrong after a crash; "" if nothing is."""
    doubled = found - booked
    if doubled:
        entry = next(iter(doubled))
        return f"{entry} happened {found[entry]} times, {booked[entry]} without a crash"
    if finished.state == "held":
        return "" if held_ok else f"it waits for a person: {finished.why}"
    lost = booked - found
    if lost:
        return f"{next(iter(lost))} is lost"
    if (finished.state, finished.error) != (wanted.state, wanted.error):
        return f"the run is {finished.state} ({finished.why}), without a crash it is {wanted.state} ({wanted.why})"
    if wanted.state != "completed":
        return ""
    one, other = wanted.result, finished.result
    if (compare(one) != compare(other)) if compare is not None else one != other:
        return f"its result is {other!r}, without a crash it is {one!r}"
    return ""
