"""What a blueprint says of needs, as edges: also those that it implies."""

from __future__ import annotations

from collections.abc import Iterator

from outlast.assessment.component import Component
from outlast.assessment.described import Described
from outlast.assessment.edge import Edge
from outlast.assessment.endpoint import endpoint_name
from outlast.assessment.figure import Figure
from outlast.blueprint.agent import Agent
from outlast.blueprint.component import Need
from outlast.blueprint.model import Model, ModelEndpoint
from outlast.blueprint.training import Training


def edges(described: Described) -> Iterator[Edge]:
    """Every edge of the blueprint."""
    for path, declared in described.declared.items():
        name = described.name_of[path]
        for key, need in declared.needs.items():
            yield from _needed(described, path, name, key, need)
        if isinstance(declared, Agent):
            yield from _of_agent(described, path, name, declared)
        elif isinstance(declared, Model):
            yield from _of_model(described, path, name, declared)
        elif isinstance(declared, Training):
            yield from _of_training(described, path, name, declared)


def _needed(described: Described, path: str, name: str, key: str, need: Need) -> Iterator[Edge]:
    target = described.named(key)
    target_path = described.names.resolve(key)
    if target is None or target_path is None:
        return
    declared = described.declared[target_path]
    here = f"{path}.needs.{key}"
    timeout: float | None = getattr(declared, "timeout", None)
    of_target = None if timeout is None else Figure(timeout, "declared", f"{target_path}.timeout")
    calls = need.calls
    if isinstance(declared, Model) and calls == 1.0:
        calls = _model_calls(described, path)
    yield Edge(
        source=name,
        target=target,
        hard=need.strength == "hard",
        synchronous=need.mode == "synchronous",
        timeout_s=of_target if need.timeout is None else Figure(need.timeout, "declared", f"{here}.timeout"),
        retries=need.retry.attempts - 1 if need.retry is not None else 0,
        backoff=need.retry is None or need.retry.attempts == 1 or need.retry.backoff is not None,
        retry_budget=need.retry.budget if need.retry is not None else None,
        cache_s=need.cache.max_age if need.cache is not None else None,
        on_loss=need.on_loss or "",
        calls=calls,
        place=described.place(here),
    )
    if need.cache is not None and need.cache.store is not None:
        store = described.named(f"stores.{need.cache.store}")
        if store is not None and need.cache.store not in declared.needs:
            yield Edge(source=name, target=store, hard=False, on_loss="skip", place=described.place(f"{here}.cache"))


def _model_calls(described: Described, path: str) -> float:
    declared = described.declared[path]
    work = declared.work_class if isinstance(declared, Agent) else None
    load = described.blueprint.load.get(work or next(iter(described.blueprint.objectives), ""))
    return load.model_calls_per_turn if load is not None else 1.0


def _of_agent(described: Described, path: str, name: str, agent: Agent) -> Iterator[Edge]:
    journal = described.name_of["stores.journal"]
    if all(described.named(key) != journal for key in agent.needs):
        yield Edge(source=name, target=journal, place=described.place(path))
    if agent.reads is not None:
        queue = described.named(f"queues.{agent.reads.queue}")
        if queue is not None:
            yield Edge(source=name, target=queue, synchronous=False, place=described.place(f"{path}.reads"))


def _of_model(described: Described, path: str, name: str, model: Model) -> Iterator[Edge]:
    """Endpoints are alternatives; a request is tried once more elsewhere, on the budget of the guard."""
    budget = model.guard.retry_budget
    count = len(model.endpoints) + (model.fallback is not None)
    everybody: list[ModelEndpoint] = [*model.endpoints, *([model.fallback] if model.fallback else [])]
    for index, endpoint in enumerate(everybody):
        fallback = endpoint is model.fallback
        yield Edge(
            source=name,
            target=endpoint_name(name, endpoint),
            timeout_s=None,
            retries=1 if count > 1 else 0,
            retry_budget=budget,
            breaker=True,
            any_of="endpoints",
            degrades=fallback,
            place=described.place(f"{path}.fallback" if fallback else f"{path}.endpoints[{index}]"),
        )


def _of_training(described: Described, path: str, name: str, training: Training) -> Iterator[Edge]:
    for key in dict.fromkeys((training.data, training.checkpoints or training.data)):
        store = described.named(f"stores.{key}")
        if store is not None:
            yield Edge(source=name, target=store, synchronous=False, place=described.place(f"{path}.data"))


def first_edges(components: dict[str, Component], known: list[Edge], edge: str, described: Described) -> Iterator[Edge]:
    """What clients reach over `edge`: whatever serves a class of work, is needed by nothing else and reads no queue."""
    needed = {one.target for one in known}
    reading = {one.source for one in known if not one.synchronous and components[one.target].kind == "queue"}
    for name, component in components.items():
        if component.classes and name not in needed and name not in reading and component.kind != "training":
            yield Edge(source=edge, target=name, place=described.place("regions.edge"))
