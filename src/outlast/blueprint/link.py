"""Names in one section of the file that must be there in another."""

from __future__ import annotations

import re
from collections.abc import Collection, Iterator, Mapping
from functools import cached_property
from typing import Any

from outlast.blueprint.agent import Agent
from outlast.blueprint.component import Component
from outlast.blueprint.document import did_you_mean
from outlast.blueprint.schema import Blueprint, JournalStore
from outlast.blueprint.store import Stored
from outlast.blueprint.training import Training

components_max = 2_000
"""Bound of the components of one file."""

each_region = "each_region"
"""In ``from:`` of an endpoint: every region asks its own."""
vault = "vault"
"""In ``copies:`` of a backup: another account."""

Problem = tuple[str, str]
"""The path of what is wrong, and what is wrong with it."""

_AWS_REGION = re.compile(r"[a-z]{2}(-[a-z]+)+-[0-9]{1,2}\Z")


def components(blueprint: Blueprint) -> dict[str, Component | Training]:
    """Every component by its path, such as ``stores.orders``: agents first, then what they may need.

    The journal is among them, also where the file does not name it.
    """
    sections: tuple[tuple[str, Mapping[str, Component | Training]], ...] = (
        ("agents", blueprint.agents),
        ("services", blueprint.services),
        ("models", blueprint.models),
        ("stores", {"journal": blueprint.stores.journal, **blueprint.stores.more}),
        ("queues", blueprint.queues),
        ("external", blueprint.external),
        ("training", blueprint.training),
    )
    return {f"{section}.{name}": found for section, named in sections for name, found in named.items()}


class Names:
    """What the names in ``needs:``, ``from:`` and their like mean."""

    def __init__(self, blueprint: Blueprint) -> None:
        """The names that `blueprint` gives."""
        self.components = components(blueprint)

    @cached_property
    def _paths(self) -> dict[str, list[str]]:
        found: dict[str, list[str]] = {}
        for path in self.components:
            found.setdefault(path.partition(".")[2], []).append(path)
        return found

    def resolve(self, name: str) -> str | None:
        """The path of the component that `name` means: its name, or, where two have it, its path. None: no such one."""
        if name in self.components:
            return name
        paths = self._paths.get(name, [])
        return paths[0] if len(paths) == 1 else None

    def problem(self, name: str) -> str:
        """Why `name` means none."""
        paths = self._paths.get(name, [])
        if paths:
            return f"could be {' or '.join(paths)}: write the one that you mean in place of {name}"
        return f"names {name}, which is not a component of this file: {did_you_mean(name, self._paths)}"


def broken_links(blueprint: Blueprint) -> Iterator[Problem]:
    """Whatever names something that is not there, or is there too often."""
    names = Names(blueprint)
    if len(names.components) > components_max:
        yield "", f"has {len(names.components)} components, the bound components_max is {components_max}"
    for path, component in names.components.items():
        yield from _of_component(blueprint, names, path, component)
    yield from _of_classes(blueprint)
    yield from _of_alarms(blueprint, names)
    yield from _of_regions(blueprint)
    yield from _of_stores(blueprint)


def _of_component(blueprint: Blueprint, names: Names, path: str, component: Component | Training) -> Iterator[Problem]:
    for name, need in component.needs.items():
        here = f"{path}.needs.{name}"
        target = names.resolve(name)
        if target is None:
            yield here, names.problem(name)
        elif target == path:
            yield here, "is itself: a component does not need itself"
        if need.cache is not None and need.cache.store is not None:
            yield from _one_of(f"{here}.cache.store", need.cache.store, "stores", _stores(blueprint))
    if isinstance(component, Training):
        yield from _of_training(blueprint, path, component)
        return
    for index, region in enumerate(component.regions):
        if not _AWS_REGION.match(region):
            yield from _one_of(f"{path}.regions[{index}]", region, "regions", _regions(blueprint))
    if isinstance(component, Agent) and component.reads is not None:
        yield from _one_of(f"{path}.reads.queue", component.reads.queue, "queues", blueprint.queues)
    if isinstance(component, Stored) and component.source is not None:
        target = names.resolve(component.source)
        if target is None:
            yield f"{path}.from", names.problem(component.source)
        elif target == path:
            yield f"{path}.from", "is itself: name what it can be made from again"


def _of_training(blueprint: Blueprint, path: str, training: Training) -> Iterator[Problem]:
    for key, name in (("data", training.data), ("checkpoints", training.checkpoints)):
        if name is not None:
            yield from _one_of(f"{path}.{key}", name, "stores", _stores(blueprint))
    if training.serves is not None:
        yield from _one_of(f"{path}.serves", training.serves, "models", blueprint.models)


def _of_classes(blueprint: Blueprint) -> Iterator[Problem]:
    known = blueprint.objectives
    named: Iterator[tuple[str, Any]] = (
        (f"{section}.{name}.class", found.work_class)
        for section, every in (
            ("agents", blueprint.agents), ("services", blueprint.services), ("training", blueprint.training),
        )
        for name, found in every.items()
    )  # fmt: skip
    for path, work_class in named:
        if work_class is not None:
            yield from _one_of(path, work_class, "objectives", known)
    for section, classes in (("load", blueprint.load), ("drills.load", blueprint.drills.load.classes)):
        for name in classes:
            yield from _one_of(f"{section}.{name}", name, "objectives", known)
    for key in blueprint.drills.stop_if.errors:
        expected = [f"{name}_errors" for name in known]
        yield from _one_of(f"drills.stop_if.{key}", key, "objectives, followed by _errors", expected)


def _of_alarms(blueprint: Blueprint, names: Names) -> Iterator[Problem]:
    for name, alarm in blueprint.alarms.items():
        path = f"alarms.{name}"
        if alarm.slo is not None:
            yield from _of_promise(blueprint, f"{path}.slo", alarm.slo)
        for index, measured in enumerate(alarm.of):
            if names.resolve(measured) is None:
                yield f"{path}.of[{index}]", names.problem(measured)
        if alarm.page is not None:
            yield from _one_of(f"{path}.page", alarm.page, "escalation", blueprint.escalation)
        for key, others in (("all", alarm.all), ("any", alarm.any)):
            for index, other in enumerate(others):
                here = f"{path}.{key}[{index}]"
                yield from _one_of(here, other, "alarms", blueprint.alarms)
                if other in blueprint.alarms and _depends(blueprint, other, name):
                    yield here, f"is {other}, which waits for {name} itself: alarms may not go in a circle"
    for index, name in enumerate(blueprint.deploy.roll_back_on):
        yield from _one_of(f"deploy.roll_back_on[{index}]", name, "alarms", blueprint.alarms)


def _of_promise(blueprint: Blueprint, path: str, promise: str) -> Iterator[Problem]:
    work_class, _, of = promise.rpartition(".")
    problems = list(_one_of(path, work_class, "objectives", blueprint.objectives))
    yield from problems
    if problems:
        return
    objective = blueprint.objectives[work_class]
    latency = objective.latency
    promised = {"availability": objective.availability, **{n: getattr(latency, n) for n in latency.__struct_fields__}}
    if promised.get(of) is None:
        said = ", ".join(name for name, value in promised.items() if value is not None) or "nothing"
        yield path, f"is {promise}: objectives.{work_class} does not promise {of} (it promises {said})"


def _depends(blueprint: Blueprint, start: str, end: str) -> bool:
    """Whether the alarm `start` waits for the alarm `end`."""
    seen: set[str] = set()
    open_: list[str] = [start]
    while open_:
        name = open_.pop()
        if name == end:
            return True
        if name in seen or name not in blueprint.alarms:
            continue
        seen.add(name)
        open_ += [*blueprint.alarms[name].all, *blueprint.alarms[name].any]
    return False


def _of_regions(blueprint: Blueprint) -> Iterator[Problem]:
    known = _regions(blueprint)
    for name, model in blueprint.models.items():
        every = [(f"models.{name}.endpoints[{index}]", endpoint) for index, endpoint in enumerate(model.endpoints)]
        for path, endpoint in [*every, *([(f"models.{name}.fallback", model.fallback)] if model.fallback else [])]:
            if endpoint.source is not None and endpoint.source != each_region:
                yield from _one_of(f"{path}.from", endpoint.source, f"regions, nor {each_region}", known)
    for index, name in enumerate(blueprint.deploy.order):
        yield from _one_of(f"deploy.order[{index}]", name, "regions", known)
    for store, backup in blueprint.backup.items():
        for index, name in enumerate(backup.copies):
            if name != vault:
                yield from _one_of(f"backup.{store}.copies[{index}]", name, f"regions, nor {vault}", known)


def _of_stores(blueprint: Blueprint) -> Iterator[Problem]:
    for name in blueprint.backup:
        yield from _one_of(f"backup.{name}", name, "stores", _stores(blueprint))
    local = blueprint.run_on.local
    for name in local.stores:
        yield from _one_of(f"run_on.local.{name}", name, "stores", ["durability", "models", *_stores(blueprint)])
    if local.journal != "sqlite" and getattr(blueprint.stores.journal, local.journal) is None:
        where = f"write stores: {{journal: {{{local.journal}: …}}}}"
        yield "run_on.local.journal", f"is {local.journal}, and nothing says where that is: {where}"


def _stores(blueprint: Blueprint) -> Mapping[str, Stored | JournalStore]:
    return {"journal": blueprint.stores.journal, **blueprint.stores.more}


def _regions(blueprint: Blueprint) -> Collection[str]:
    return [] if blueprint.regions is None else list(blueprint.regions.all())


def _one_of(path: str, name: str, section: str, known: Collection[str]) -> Iterator[Problem]:
    if name not in known:
        yield path, f"names {name}, which is not one of {section}: {did_you_mean(name, known)}"
