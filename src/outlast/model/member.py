"""One endpoint of a pool: what it is, and what the pool knows of it."""

from __future__ import annotations

import msgspec

from outlast.blueprint.secret import Secret


class Target(msgspec.Struct, frozen=True):
    """What stands in the blueprint about one endpoint."""

    name: str
    url: str = ""
    """The base URL, up to and including ``/v1``; empty for an endpoint in this process."""
    model: str = ""
    """What the server calls the model."""
    secret: Secret | None = None
    """Where its API key is; whoever sends resolves it, and never shows it."""
    weight: float = 1.0
    """Its share of the requests, relative to the weights of its peers."""


class Member:
    """An endpoint in a pool. Only the pool changes it; senders read `name`, `url`, `model` and `secret`."""

    __slots__ = ("in_flight", "model", "name", "secret", "target", "url", "weight")

    def __init__(self, target: Target) -> None:
        self.target = target
        self.name = target.name
        self.url = target.url
        self.model = target.model
        self.secret = target.secret
        self.weight = target.weight
        self.in_flight = 0

    def __repr__(self) -> str:
        return f"Member({self.name!r}, in_flight={self.in_flight})"
