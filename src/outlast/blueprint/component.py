"""What every part of a system may say of itself: how often it is there, what it carries, what it needs."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Annotated, Literal

import msgspec

from outlast.blueprint.value import Age, Count, DataClass, Form, Name, Number, Rate, Seconds, Share


class Retry(msgspec.Struct, frozen=True):
    """``{attempts: 3, budget: 10%}`` or ``3``: how often a call is tried."""

    attempts: Annotated[Count, Form.ALONE] = 1
    """Tries in all, the first one included; 1: no retry."""
    budget: Share | None = None
    """Retries, as a share of the first tries; None: each call may use all its attempts."""
    backoff: Seconds | None = None
    """The wait before the second try, doubled for each later one; None: not known."""


class NeedCache(msgspec.Struct, frozen=True):
    """``{max_age: 10m, store: answers}`` or ``10m``: answers kept for when what is needed does not answer."""

    max_age: Annotated[Seconds, Form.ALONE]
    """How old an answer may be that is used in place of a fresh one."""
    store: Name | None = None
    """The one of ``stores:`` that holds them; None: the caller's own memory."""


class Need(msgspec.Struct, frozen=True):
    """``hard``, ``soft`` or ``{strength: soft, mode: synchronous, timeout: 300ms, retry: 3}``: one dependency."""

    strength: Annotated[Literal["hard", "soft"], Form.ALONE] = "hard"
    """hard: without it nothing is answered · soft: without it the answer is a lesser one."""
    mode: Literal["synchronous", "asynchronous"] = "synchronous"
    """synchronous: the caller waits for it · asynchronous: the work waits in between, such as in a queue."""
    timeout: Seconds | None = None
    """How long one try may take; None: the `timeout` of what is needed."""
    retry: Retry | None = None
    """None: a call is tried once."""
    cache: NeedCache | None = None
    """None: no old answer stands in."""
    calls: Number = 1.0
    """Calls for each piece of work of the caller, on average."""
    on_loss: Name | None = None
    """What the caller does while it is away; None: the `on_loss` of what is needed."""


class Redundancy(msgspec.Struct, frozen=True):
    """``{instances: 3, needed: 2, zones: 3}`` or ``3``: how many of it run, and where, in each of its regions."""

    instances: Annotated[Count, Form.ALONE] = 1
    """How many of it run."""
    needed: Count = 1
    """How many of them must run to carry the peak."""
    max: Count | None = None
    """Instances that scaling may start, at most; None: `instances`, it does not scale."""
    zones: Count | None = None
    """The zones that they are spread over; None: as many as there are instances and zones of the region."""
    mode: Literal["active", "standby"] = "active"
    """active: all of them serve · standby: one serves and the others wait to take over."""
    takeover: Age | None = None
    """How long it takes until the others have taken over; None: what is known of its kind."""


class Component(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """What every component may say; each kind of component adds its own keys."""

    data: DataClass | None = None
    """What the data that it holds is worth; None: it holds none, or nobody has said."""
    residency: Name | None = None
    """The geography that its data may not leave, such as ``eu``; None: the residency of ``regions:``."""
    regions: tuple[Name, ...] = ()
    """Where it runs: names of ``regions:`` such as ``home``, or regions of AWS; none: in all of ``regions:``."""
    redundancy: Redundancy | None = None
    """None: what other keys say (`workers`, `replicas`, `standbys`), and else one instance."""
    capacity: Rate | None = None
    """Requests that one instance carries; None: not known."""
    quota: Rate | None = None
    """Requests that its provider lets all instances have together in a region; None: no such bound is known."""
    limit: Count | None = None
    """Requests that all instances hold at once, at most; None: no such bound is known."""
    availability: Share | None = None
    """How much of the time one instance is there; None: what is documented of its kind."""
    repair: Seconds | None = None
    """How long an instance is away after a failure; None: what is known of its kind."""
    on_loss: Name | None = None
    """What its callers do while it is away: ``wait``, ``skip``, ``fail``, ``recompute`` (the same answer, later), or a
    word of your own for another way."""
    needs: Mapping[Name, Need] = {}
    """By name, the other components that it depends on."""
