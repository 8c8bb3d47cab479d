"""Replacing what production code calls, for as long as a block runs."""

from __future__ import annotations

import contextlib
import importlib
from collections.abc import Callable, Generator, Iterable
from typing import Any

import msgspec


class Patch(msgspec.Struct, frozen=True):
    """`name` of a class or module is to be `value`."""

    owner: Any
    name: str
    value: Any


class Mutant(msgspec.Struct, frozen=True):
    """A deliberate bug: what it does in a line, how, and the workload and faults under which it shows soonest."""

    name: str
    bug: str
    workload: str
    faults: str
    patches: Callable[[], Iterable[Patch]]
    shown_by: int = 0
    """A seed that once showed it, if it shows in few: where `hunt` may look first. 0: none is written down."""

    @contextlib.contextmanager
    def on(self) -> Generator[None]:
        """Production code has this bug inside the block."""
        before: list[tuple[Patch, Any]] = [(patch, vars(patch.owner)[patch.name]) for patch in self.patches()]
        try:
            for patch, _ in before:
                setattr(patch.owner, patch.name, patch.value)
            yield
        finally:
            for patch, value in before:
                setattr(patch.owner, patch.name, value)


def everywhere(name: str, value: Any, *modules: str) -> list[Patch]:
    """Patches of a function under its name in each of the modules that import it."""
    return [Patch(importlib.import_module(f"outlast.{module}"), name, value) for module in modules]
