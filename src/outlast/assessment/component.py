"""One thing that can fail: where and how often it runs, what takes over, what it carries and holds."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Literal

import msgspec

from outlast.assessment.disruption import DisruptionKind
from outlast.assessment.figure import Figure
from outlast.assessment.objective import Target
from outlast.assessment.place import Place, nowhere

DataClass = Literal["critical", "eventual", "rebuildable", "disposable"]
Kind = Literal[
    "agent",  # runs agents of the app; any other code of one's own is a service
    "service",
    "function",  # code that a platform starts on demand
    "edge",  # what clients connect to first: DNS, CDN, global accelerator
    "balancer",
    "gateway",
    "model",  # a name behind which model endpoints stand
    "endpoint",  # one model endpoint
    "journal",
    "sql",
    "table",  # key-value and document stores
    "vector",
    "cache",
    "blobs",
    "volume",  # file systems and disks
    "queue",
    "stream",
    "external",  # somebody else's
    "training",
    "secret",  # secrets, keys and identity
    "network",  # gateways, links, endpoints of a network
    "other",
]
state_kinds: frozenset[Kind] = frozenset(
    ("journal", "sql", "table", "vector", "cache", "blobs", "volume", "queue", "stream")
)
"""Kinds that hold data."""
compute_kinds: frozenset[Kind] = frozenset(("agent", "service", "function", "gateway", "endpoint", "training"))
"""Kinds that run code."""


class Site(msgspec.Struct, frozen=True):
    """What of a component runs in one region. Instance i stands in zone ``zones[i % len(zones)]``."""

    region: str
    zones: tuple[str, ...] = ()
    """Empty: a regional service, which survives the loss of any one zone by itself."""
    instances: int = 1
    needed: int = 1
    """So many of the instances carry the peak; fewer: the component is down here."""
    standby: bool = False
    """It serves only after a failover."""
    running: float = 1.0
    """The share of the full capacity that runs before it is needed; 0: it is launched then."""

    def by_zone(self) -> dict[str, int]:
        """How many instances stand in each zone that has any; nothing of a regional service."""
        found: dict[str, int] = {}
        if self.zones:
            each, more = divmod(self.instances, len(self.zones))
            for i, zone in enumerate(self.zones):
                found[zone] = found.get(zone, 0) + each + (i < more)
        return {zone: count for zone, count in found.items() if count}


class Copies(msgspec.Struct, frozen=True):
    """How what a component holds or does is kept a second time, across processes, zones or regions."""

    mode: Literal["none", "sync", "async"] = "none"
    """sync: acknowledged when the copy has it; async: the copy follows within `lag_s`."""
    lag_s: Figure = Figure(0.0)
    """Seconds that the copy may be behind: the data that a takeover loses."""
    detect_s: Figure = Figure(0.0)
    """Seconds until the loss is noticed."""
    takeover_s: Figure = Figure(0.0)
    """Seconds from there until the copy serves."""
    automatic: bool = True
    """Whether it takes over without a person."""
    launches: bool = False
    """Whether something must be started or changed in a control plane first: recovery is not statically stable."""
    strong: bool = False
    """Whether a write elsewhere cannot overwrite this one: False for last-writer-wins."""
    quorum: int = 0
    """So many regions must hold it, and most of them be there, for a write to be acknowledged; 0: none need."""


class QueueTerms(msgspec.Struct, frozen=True):
    """How a queue treats its messages."""

    visibility_s: float | None = None
    """Seconds that a taken message is hidden from others."""
    keep_s: float | None = None
    """Seconds after which an unread message is gone."""
    dead_letters: bool = False
    attempts: int | None = None
    """Tries before a message becomes a dead letter."""


class Component(msgspec.Struct, frozen=True, kw_only=True):
    """One thing that can fail."""

    name: str
    kind: Kind
    technology: str = ""
    """What it is built on: ``dynamodb``, ``aurora_global``, ``fargate``, ``postgres``; empty: not said."""
    provider: str = ""
    """``aws``, ``local``, or empty."""
    classes: tuple[str, ...] = ()
    """The classes of work it serves; for what others need, derived along the edges."""
    sites: tuple[Site, ...] = ()
    """Empty: outside of our regions (somebody else's, or global)."""
    cells: int = 1
    """Isolated units over which tenants are spread: the loss of one is felt by 1/cells of them."""
    instances_max: int | None = None
    """As far as it scales out in one region; None: it does not scale."""
    scale_on: str = ""
    availability: Figure = Figure(0.999)
    """Of one instance; of the whole in one region where `Site.zones` is empty. Share of time."""
    restart_s: Figure = Figure(1.0)
    """Seconds until a process that died serves again, detection included."""
    relaunch_s: Figure = Figure(120.0)
    """Seconds until a lost node is replaced by a launched one."""
    repair_s: Figure = Figure(3600.0)
    """Seconds until what nothing takes over for is back: a zone that returns, a person who mends it."""
    warm_up_s: Figure = Figure(0.0)
    """Seconds from running to full speed."""
    across_processes: Copies = Copies()
    across_zones: Copies = Copies()
    across_regions: Copies = Copies()
    capacity: Figure | None = None
    """Requests a second that one instance carries."""
    quota: Figure | None = None
    """Requests a second that the provider admits in one region."""
    quota_standby: Figure | None = None
    """The same where it stands by; None: not said to be there."""
    quota_scope: Literal["region", "account"] = "region"
    data: DataClass | None = None
    rebuilt_from: str = ""
    rebuild_s: Figure | None = None
    """Seconds to make it again from `rebuilt_from`."""
    residency: str = ""
    """Where its data may be (``eu``); empty: what the system says."""
    processes_in: tuple[str, ...] = ()
    """Geographies or regions where data that it is given may be processed or kept: ``("eu",)``, ``("global",)``."""
    on_loss: str = ""
    """What those who need it do without it: ``wait``, ``skip``, ``keyword_search``, ``fail``; empty: not said."""
    effect: Literal["", "pure", "idempotent", "once"] = ""
    deadline_s: Figure | None = None
    """Seconds in which a request (a turn) must end: the outermost time-out."""
    ttl_s: float | None = None
    """How long a cached value is used."""
    queue: QueueTerms | None = None
    budget: tuple[str, ...] = ()
    """What bounds one run: of ``steps``, ``tokens``, ``cost``, ``time``."""
    survive: Mapping[DisruptionKind, Target] = {}
    """Promises of its own, weaker or stronger than those of its classes."""
    shares: tuple[str, ...] = ()
    """In what it shares its fate with others, besides zones and regions: an account, a provider's region, a host."""
    settings: Mapping[str, str | float | bool] = {}
    """What only one technology has: ``{"multi_az": "instance"}``, ``{"health_check": "deep"}``."""
    place: Place = nowhere


def holds_data(component: Component) -> bool:
    """Whether there is something in it that can be lost or spoiled."""
    return component.data is not None or component.kind in ("journal", "sql", "table", "vector", "blobs", "volume")
