"""Whether another model stands ready for the one that is asked first."""

from __future__ import annotations

import math
from collections.abc import Iterator

import msgspec

from outlast.assessment.arithmetic import Line
from outlast.assessment.choice import Change, Choice, Estimated, Limit, Rung, choose
from outlast.assessment.disruption import Disruption
from outlast.assessment.endpoint import endpoint_name
from outlast.assessment.facts import Facts
from outlast.assessment.redundancy import downtime_of, month_s
from outlast.blueprint.model import Model
from outlast.blueprint.schema import Blueprint


def fallback(facts: Facts, name: str, key: str, declared: Model) -> Choice | None:
    """Whether a declared fallback is needed; None where there is none, for which one it would be is not ours to say."""
    if declared.fallback is None:
        return None
    limits = (*_limits(facts, name), *downtime_of(facts, name))
    asked = [endpoint_name(name, endpoint) for endpoint in declared.endpoints]
    spare = endpoint_name(name, declared.fallback)
    rungs = (
        Rung(f"none beside {', '.join(asked)}", tuple(_given(facts, asked, limits)), _with(key, None)),
        Rung(f"{spare} as fallback", tuple(_given(facts, [*asked, spare], limits)), _with(key, declared)),
    )
    return choose("fallback", name, rungs, limits)


def _limits(facts: Facts, name: str) -> Iterator[Limit]:
    for work in facts.graph.hard_works_of[name]:
        objective = facts.system.objectives.get(work)
        target = objective.survive.get("dependency") if objective is not None else None
        if target is not None and target.rto_s is not None:
            yield Limit(work, "dependency", "rto", target.rto_s)


def _given(facts: Facts, endpoints: list[str], limits: tuple[Limit, ...]) -> Iterator[Estimated]:
    """With one of the endpoints away, or all of them at once, independently."""
    for limit in limits:
        parts = [facts.graph.component(name) for name in endpoints]
        if limit.kind is None:
            yield Estimated(math.prod(1 - part.availability.value for part in parts) * month_s)
        elif len(parts) > 1:
            yield Estimated(0.0, (Line("another one answers", "0s"),))
        else:
            hit = facts.recovery(limit.owner, Disruption("dependency", endpoints[0]))
            alone = parts[0].repair_s
            yield Estimated(
                max(hit.rto_s, alone.value), (Line(f"{endpoints[0]}: until it is back", f"{alone.value:g}s"),)
            )


def _with(key: str, declared: Model | None) -> Change:
    def change(blueprint: Blueprint) -> Blueprint:
        if declared is not None:
            return blueprint
        without = msgspec.structs.replace(blueprint.models[key], fallback=None)
        return msgspec.structs.replace(blueprint, models={**blueprint.models, key: without})

    return change
