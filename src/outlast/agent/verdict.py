"""What a tool's `verify` answers when it is asked whether an effect happened."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Generic, TypeVar

from outlast.kernel.error import NotDone

T = TypeVar("T", covariant=True)


@dataclass(frozen=True)
class Done(Generic[T]):
    """It happened, and this is what the call would have returned."""

    value: T


@dataclass(frozen=True)
class Unknown:
    """It cannot be told. A person is asked."""

    reason: str = ""


Verdict = Done[T] | Unknown | NotDone | type[NotDone] | type[Unknown]
"""``Done(value)``, ``NotDone`` (or ``NotDone("why")``), ``Unknown`` (or ``Unknown("why")``)."""
