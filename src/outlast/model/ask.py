"""What a pool is asked, and what it gives back."""

from __future__ import annotations

from typing import Generic, TypeVar

import msgspec

from outlast.policy.admission import Priority

T = TypeVar("T")

attempts_max = 4
"""Attempts of one call and of all that it leads to, fallback models included."""


class RetryTree:
    """What all attempts of one request share, whatever pools they go to: how many more there may be.

    Hand the same one to every call that one request leads to, so that retries below retries do not multiply.
    """

    __slots__ = ("left",)

    def __init__(self, attempts: int = attempts_max) -> None:
        self.left = attempts


class Ask(msgspec.Struct, frozen=True):
    """What the pool must know of a request. Its content is the sender's own business."""

    deadline_s: float
    """Seconds from now within which the call ends, whatever happens."""
    priority: Priority = "normal"
    affinity: str = ""
    """Requests with the same one go to the same member while it is well: a session's name, for its prompt cache."""
    tokens: int = 0
    """An estimate of prompt and answer; 0: not known."""
    hedge: bool = True
    """Whether the same request may be under way twice at once."""
    stream: bool = False
    """Whether the answer comes piece by piece: the first piece and a whole answer are timed apart."""
    needs: frozenset[str] = frozenset()
    """Features without which the answer is of no use: ``tools``, ``schema``, ``vision``."""
    tree: RetryTree | None = None


class Served(msgspec.Struct, Generic[T], frozen=True):
    """A value and who gave it."""

    value: T
    endpoint: str
    """The name of the member that answered."""
    model: str
    """What that member calls its model."""
    degraded: bool = False
    """Whether another model than the one asked for answered."""
    attempts: int = 1
    """How many were made in all."""
    hedged: bool = False
    """Whether the attempt that answered was sent beside one that had not failed."""
