"""What a verification needs to know of the system that it plays with: one example, with all that it stands on."""

from __future__ import annotations

import asyncio
from collections.abc import Mapping
from contextlib import AbstractAsyncContextManager
from pathlib import Path
from typing import Protocol

import msgspec

from outlast.drill.part import Part
from outlast.drill.process import Process
from outlast.drill.system import NotUp, System
from outlast.kernel.clock import Clock

gateway_within_s = 60.0
_poll_s = 0.05
supervised_kinds: Mapping[str, str] = {"journal": "writer", "front": "gateway"}
"""By component, the kind of the child of ``outlast up`` that it is; the agent is its workers."""


class Reckoning(msgspec.Struct, frozen=True):
    """Pieces of work: those that were acknowledged, and of these those that failed (and say so), and those that had
    not ended in time.
    """

    acknowledged: int
    failed: int
    lost: int


class Subject(AbstractAsyncContextManager["Subject"], Protocol):
    """One running example. Entering it starts all of it."""

    agent: str
    """The one whose work it is about."""
    work: str
    """Its class of work."""

    @property
    def system(self) -> System: ...

    @property
    def project(self) -> Path: ...

    @property
    def parts(self) -> Mapping[str, Part]:
        """The servers beside the system, by the name of the component that each is."""
        ...

    @property
    def models(self) -> tuple[str, ...]:
        """The models that are seen through the gateway."""
        ...

    async def affected(self) -> set[str]:
        """The components that do not answer, or answer worse."""
        ...

    async def serves(self) -> bool:
        """Whether work that is begun now ends soon, well or with less than everything."""
        ...

    async def begin(self) -> None:
        """Begin work, and wait for nothing."""
        ...

    def forget(self) -> None:
        """From now on, only work that begins from now on counts."""
        ...

    async def reckoning(self, within_s: float) -> Reckoning:
        """What became of all acknowledged work, `within_s` from now at the latest."""
        ...


def targets(subject: Subject) -> dict[str, tuple[str, ...]]:
    """What is lost, and the parts that are killed for it: a model is lost with all of its endpoints."""
    found: dict[str, tuple[str, ...]] = {name: (name,) for name in (subject.agent, *supervised_kinds)}
    found |= {name: (name,) for name in subject.parts}
    for model in subject.models:
        found[model] = (model, *(name for name in subject.parts if name.startswith(f"{model}.")))
    return found


def processes(subject: Subject, component: str) -> list[Process]:
    """The living processes that a component is, children of ``outlast up``."""
    return subject.system.named("worker" if component == subject.agent else supervised_kinds[component])


async def gateway_up(path: Path, clock: Clock) -> None:
    """Return when a gateway has announced itself. Raises NotUp."""
    until = clock.monotonic() + gateway_within_s
    while not await asyncio.to_thread(path.exists):
        if clock.monotonic() > until:
            raise NotUp(f"the gateway said no address within {gateway_within_s:g} s")
        await clock.sleep(_poll_s)
