"""What a tool's `verify` answers when it is asked whether an effect happened."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Generic, TypeVar

from outlast.kernel.error import NotDone

T_co = TypeVar("T_co", covariant=True)


@dataclass(frozen=True)
class Done(Generic[T_co]):
    """It happened, and this is what the call would have returned."""

    value: T_co


@dataclass(frozen=True)
class Unknown:
    """It cannot be told. A person is asked."""

    reason: str = ""


Verdict = Done[T_co] | Unknown | NotDone | type[NotDone] | type[Unknown]
"""``Done(value)``, ``NotDone`` (or ``NotDone("why")``), ``Unknown`` (or ``Unknown("why")``)."""
