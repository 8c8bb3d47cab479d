"""The system as the assessment sees it: components, what they need, where they run, what was promised.

`describe.py` makes one from a blueprint. Everything here is frozen and plain; the arithmetic stands elsewhere.

::

    System
    ├── components: name -> Component     sites (region, zones, instances), copies, capacity, data, time-outs
    ├── edges: source needs target        hard or soft, synchronous or asynchronous, alternatives in groups
    ├── regions, routing, failover        who serves, who stands by, how traffic moves
    ├── objectives: class of work         availability, latency, RTO and RPO per disruption
    └── load, backups, alarms, drills, evidence, deployments
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Literal, get_args

import msgspec

Strategy = Literal["single_region", "backup_restore", "pilot_light", "warm_standby", "active_active"]
Mechanism = Literal["", "health_check", "records", "arc"]
Source = Literal["declared", "default", "documented", "measured"]
DisruptionKind = Literal["process", "node", "zone", "region", "corruption", "dependency"]
disruption_kinds: tuple[DisruptionKind, ...] = get_args(DisruptionKind)
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


evidence_version = 1
"""Of the lines in which drills write down what they have shown."""


class Place(msgspec.Struct, frozen=True):
    """Where in the blueprint something is said: line and column from 1, and the keys that lead there."""

    line: int = 0
    column: int = 0
    path: tuple[str, ...] = ()
    """Such as ``("stores", "orders")``; empty: nowhere, it is implied."""

    def __str__(self) -> str:
        return ".".join(self.path)


nowhere = Place()


class Figure(msgspec.Struct, frozen=True):
    """A number and where it comes from."""

    value: float
    source: Source = "default"
    reference: str = ""
    """The key in the file, the page and its date, the drill and its date, or why the default is what it is."""


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


class Edge(msgspec.Struct, frozen=True, kw_only=True):
    """`source` needs `target`."""

    source: str
    target: str
    hard: bool = True
    """Whether `source` cannot do its work without it."""
    synchronous: bool = True
    """Whether `source` waits for the answer; else a queue, a copy or a schedule stands between."""
    timeout_s: Figure | None = None
    """Of one attempt; None: none is said."""
    retries: int = 0
    """Attempts after the first, at this place."""
    backoff: bool = True
    retry_budget: float | None = None
    """Retries as a share of the requests, at most; None: not bounded."""
    breaker: bool = False
    """Whether calls stop while the target fails."""
    cache_s: float | None = None
    """How long an earlier answer is used when there is none."""
    on_loss: str = ""
    """What `source` does without it; goes before `Component.on_loss` of the target."""
    calls: float = 1.0
    """Calls for one request of `source`."""
    any_of: str = ""
    """Edges of one source with the same name here are alternatives: one of them is enough."""
    degrades: bool = False
    """Whether an answer by this alternative is a worse one, and marked so."""
    place: Place = nowhere


class Target(msgspec.Struct, frozen=True):
    """What was promised for one disruption."""

    rto_s: float | None = None
    """Seconds until a client's next success."""
    rpo_s: float | None = None
    """Seconds of acknowledged work that may be lost."""
    place: Place = nowhere


class Objective(msgspec.Struct, frozen=True, kw_only=True):
    """Promises for one class of work."""

    name: str
    availability: float | None = None
    """Share of requests answered, over `window_s`."""
    window_s: float = 30 * 86400.0
    latency_s: Mapping[str, float] = {}
    """Such as ``{"first_token_p95": 1.5, "turn_p99": 20.0}``."""
    survive: Mapping[DisruptionKind, Target] = {}
    rank: int = 0
    """0: the most important class; shed last."""
    place: Place = nowhere


class Load(msgspec.Struct, frozen=True, kw_only=True):
    """Requests of one class of work."""

    name: str
    steady: float = 0.0
    """A second."""
    peak: float = 0.0
    """A second."""
    turns_per_session: float = 1.0
    model_calls_per_turn: float = 1.0
    place: Place = nowhere


class Region(msgspec.Struct, frozen=True, kw_only=True):
    """One region of a provider, or this machine."""

    name: str
    zones: tuple[str, ...] = ()
    standby: bool = False
    share: float = 1.0
    """Of the traffic, in normal times."""
    running: float = 1.0
    """Share of the full capacity that runs there in normal times."""
    provider: str = ""
    place: Place = nowhere


class Routing(msgspec.Struct, frozen=True, kw_only=True):
    """How clients find a region."""

    host: str = ""
    ttl_s: Figure = Figure(60.0)
    probe_every_s: Figure = Figure(30.0)
    probe_failures: int = 3
    observers: int = 1
    mechanism: Mechanism = ""
    """What moves the traffic: health checks, changed DNS records (a control plane), ARC; empty: not said."""
    place: Place = nowhere


class Failover(msgspec.Struct, frozen=True, kw_only=True):
    """When another region takes over, and the way back."""

    automatic: bool = False
    when: str = ""
    max_lag_s: float | None = None
    decide_s: Figure = Figure(900.0)
    """Seconds that a person takes to decide, where it is not automatic."""
    takes_s: Figure = Figure(10.0)
    """Seconds that the taking over lasts, once decided."""
    failback: Literal["", "manual", "automatic"] = ""
    reconciled: bool = False
    place: Place = nowhere


class Backup(msgspec.Struct, frozen=True, kw_only=True):
    """How one component's data is kept for a bad day."""

    component: str
    point_in_time_s: float | None = None
    """How far back any instant can be restored."""
    full_every_s: float | None = None
    versions_s: float | None = None
    """How long overwritten versions are kept."""
    copies: tuple[str, ...] = ()
    """Where else it lies: ``standby``, ``vault``, a region."""
    lock_s: float | None = None
    """How long nobody can delete it."""
    test_every_s: float | None = None
    """How often a restore is tried."""
    restore_s: Figure = Figure(3600.0)
    region_copies: tuple[str, ...] = ()
    """Regions where copies lie, where they are named."""
    place: Place = nowhere


class Alarm(msgspec.Struct, frozen=True, kw_only=True):
    """What is noticed, and what is done then."""

    name: str
    metric: str = ""
    """``turns_failing``, ``replication_lag``, ``queue_age``, ``slo:live.availability``; empty: composed of others."""
    watches: tuple[str, ...] = ()
    """Components or classes that it is about, where that is said."""
    parts: tuple[str, ...] = ()
    """The alarms that a composite one is made of."""
    above: float | None = None
    """The threshold, in the metric's unit."""
    after_s: float = 60.0
    """Seconds from the first bad sample to the alarm."""
    page: str = ""
    do: str = ""
    place: Place = nowhere


class Drill(msgspec.Struct, frozen=True, kw_only=True):
    """An experiment that is planned."""

    name: str
    proves: DisruptionKind | None = None
    subject: str = ""
    """The component it breaks; empty: whichever."""
    every_s: float | None = None
    place: Place = nowhere


class Evidence(msgspec.Struct, frozen=True, kw_only=True):
    """What a drill measured."""

    v: int = evidence_version
    drill: str
    at: float
    """Seconds since 1970."""
    passed: bool
    verdict: Literal["", "passed", "failed", "invalid"] = ""
    """``invalid``: its load never ran or its fault never bit, so it shows nothing; empty: as `passed` says."""
    system: str = ""
    """The name of the system that was drilled; empty: the one whose file it lies next to."""
    disruption: DisruptionKind | None = None
    subject: str = ""
    work: str = ""
    """The class of work; empty: all."""
    rto_s: float | None = None
    """Seconds until a client's next success; None: not measured, such as where work waits."""
    rpo_s: float | None = None
    """Seconds of acknowledged work that was lost; None: not measured."""
    version: str = ""
    """The version of Outlast."""
    commit: str = ""
    """What git says of the directory of the blueprint; empty: nothing."""


SeenKind = Literal["journal", "guard", "model", "endpoint", "agent", "tool"]
"""How it was seen: in its own history, a guard or a name that the tool gave, a model step, a member of a pool, a child,
a tool that acts on the world and does not say where."""


class Seen(msgspec.Struct, frozen=True, kw_only=True):
    """An edge that runs have shown: an agent has asked something, or a model one of its endpoints."""

    source: str
    target: str
    kind: SeenKind
    runs: int
    """Runs that have shown it."""
    last_at: float
    """Seconds since 1970."""
    via: tuple[str, ...] = ()
    """The tools that asked."""


class Deployment(msgspec.Struct, frozen=True, kw_only=True):
    """How a change reaches production."""

    order: tuple[str, ...] = ()
    first: str = ""
    bake_s: float = 0.0
    roll_back_on: tuple[str, ...] = ()
    place: Place = nowhere


class System(msgspec.Struct, frozen=True, kw_only=True):
    """All of it. Names of components are unique; edges name components that exist."""

    name: str
    file: str = ""
    """The file that it was read from, as errors show it."""
    components: Mapping[str, Component] = {}
    edges: tuple[Edge, ...] = ()
    regions: tuple[Region, ...] = ()
    strategy: Strategy = "single_region"
    residency: str = ""
    """The geography that data must not leave: ``eu``; empty: any."""
    routing: Routing | None = None
    failover: Failover | None = None
    objectives: Mapping[str, Objective] = {}
    load: Mapping[str, Load] = {}
    backups: Mapping[str, Backup] = {}
    alarms: tuple[Alarm, ...] = ()
    escalations: tuple[str, ...] = ()
    """The names that an alarm may page."""
    drills: tuple[Drill, ...] = ()
    drill_stops: bool = False
    """Whether something ends a drill that harms."""
    evidence: tuple[Evidence, ...] = ()
    observed: tuple[Seen, ...] = ()
    """What runs have shown of it, where somebody has looked."""
    deployment: Deployment | None = None
    zone_availability: Figure = Figure(0.9995, "default", "an assumption: 4.4 h a year; declare your own")
    region_availability: Figure = Figure(0.99995, "default", "an assumption: 26 min a year; declare your own")

    def home(self) -> Region | None:
        """The region that serves in normal times; the one with the largest share."""
        serving = [region for region in self.regions if not region.standby]
        return max(serving, key=lambda region: region.share) if serving else None


class Disruption(msgspec.Struct, frozen=True):
    """Something that happens: ``zone eu-central-1a``, ``region eu-central-1``, ``process support``."""

    kind: DisruptionKind
    subject: str

    def __str__(self) -> str:
        return f"{self.kind} {self.subject}"
