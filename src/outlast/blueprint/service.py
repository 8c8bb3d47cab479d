"""What else a system consists of: its own services that are neither agent nor store, and those of others."""

from __future__ import annotations

from typing import Literal

import msgspec

from outlast.blueprint.component import Component
from outlast.blueprint.value import Name, Rate, Seconds, Url

ServiceKind = Literal[
    "api", "load_balancer", "function", "container", "machine", "cluster", "workflow", "stream", "event_bus", "topic",
    "scheduler", "cdn", "dns", "gateway", "network", "nat", "identity", "secret", "key", "log", "metric", "trace",
    "pipeline", "other",
]  # fmt: skip
"""What a service is, whoever makes it."""


class Service(Component, frozen=True, kw_only=True, omit_defaults=True):
    """``{kind: api, class: live, redundancy: {instances: 3, zones: 3}, needs: {orders: hard}}``: any other part."""

    kind: ServiceKind
    """What it is."""
    work_class: Name | None = msgspec.field(default=None, name="class")
    """The one of ``objectives:`` whose work it does; None: that of whoever needs it."""
    aws: Name | None = None
    """The service of AWS that it is, such as ``alb``, ``lambda``, ``fargate``, ``api_gateway``."""
    type: str | None = None
    """The class of its machines, such as ``m7g.large``; None: what the service has by default."""
    timeout: Seconds | None = None
    """How long a caller waits for one answer; None: the caller says, or nobody."""
    health: Literal["none", "shallow", "deep"] | None = None
    """What is asked before an instance is replaced. shallow: itself · deep: what it needs, too; None: not said."""
    keep: Seconds | None = None
    """How long it keeps what it is given (logs, metrics, messages of a stream); None: not said."""


class External(Component, frozen=True, kw_only=True, omit_defaults=True):
    """``{url: "https://pay.example.com", effect: once, timeout: 4s, rate: 30/s, on_loss: wait}``: somebody else's."""

    url: Url | None = None
    """Where it is reached."""
    effect: Literal["once", "repeatable", "read"] = "once"
    """once: a call must not happen twice · repeatable: it may · read: it changes nothing."""
    timeout: Seconds | None = None
    """How long a caller waits for one answer; None: the caller says, or nobody."""
    rate: Rate | None = None
    """Requests that it lets us send; None: not known."""
