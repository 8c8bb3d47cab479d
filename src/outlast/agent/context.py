"""What a tool is told about the call that it serves."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Generic, TypeVar

from outlast.kernel.use import note_use

if TYPE_CHECKING:
    from typing_extensions import TypeVar as _TypeVar

    D = _TypeVar("D", default=Any)
else:  # defaults of type variables are for checkers only before Python 3.13
    D = TypeVar("D")


@dataclass(frozen=True, slots=True)
class Context(Generic[D]):
    """First parameter of a tool that asks for it; hidden from callers and models."""

    deps: D
    """What the app's lifespan yielded in this worker."""
    run: str
    """The run's identifier."""
    key: str
    """The same for every attempt at this step, in every process and region, for ever: hand it to the receiver as its
    idempotency key."""
    attempt: int
    """1 for the first."""
    deadline: float
    """Seconds since 1970 by which this attempt must end."""
    remaining_s: float
    """Seconds that this attempt had when it began: pass them on as a time-out."""

    def uses(self, component: str) -> None:
        """Say that this step asks a component of ``outlast.yaml`` before which no guard stands.

        It is recorded with the step's outcome, and ``outlast graph --observed`` tells it from what the file says.
        """
        note_use(component)
