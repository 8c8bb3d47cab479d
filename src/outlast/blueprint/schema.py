"""The schema of ``outlast.yaml``: what may stand there, with its unit and default.

Every key is optional, and so is the file. `blueprint/load.py` reads it; names and units are checked there.
"""

from __future__ import annotations

import ipaddress
from collections.abc import Mapping
from typing import Annotated, Literal

import msgspec

from outlast.blueprint.acceptance import Acceptance
from outlast.blueprint.agent import Agent, Workers
from outlast.blueprint.alarm import Alarm, Escalation
from outlast.blueprint.backup import Backup
from outlast.blueprint.deploy import Deploy
from outlast.blueprint.drill import Drills
from outlast.blueprint.model import Model
from outlast.blueprint.objective import Load, Objective
from outlast.blueprint.queue import Queue
from outlast.blueprint.region import Regions
from outlast.blueprint.run_on import RunOn
from outlast.blueprint.secret import KeyPlace, Secret
from outlast.blueprint.service import External, Service
from outlast.blueprint.store import Store, Stored
from outlast.blueprint.training import Training
from outlast.blueprint.value import AwsRegion, Count, DataClass, Form, ModuleObject, Name, Seconds, Url

default_pool = "default"
"""The pool of every agent that has no workers of its own."""


class Listen(msgspec.Struct, frozen=True):
    """A host (name or address) and a TCP port; port 0: any free one."""

    host: str = "127.0.0.1"
    port: int = 7788

    @property
    def loopback(self) -> bool:
        """Whether only this machine can reach it."""
        if self.host.lower() == "localhost":
            return True
        try:
            return ipaddress.ip_address(self.host).is_loopback
        except ValueError:
            return False

    def __str__(self) -> str:
        return f"[{self.host}]:{self.port}" if ":" in self.host else f"{self.host}:{self.port}"


class Server(msgspec.Struct, frozen=True):
    """``{listen: 127.0.0.1:7788, token: env:OUTLAST_TOKEN}``: the HTTP API."""

    listen: Listen = Listen()
    """Where it is reached."""
    token: Secret | None = None
    """What clients send as bearer token; required as soon as others than this machine can connect."""


class GatewayKey(msgspec.Struct, frozen=True):
    """``{key: env:TEAM_KEY, requests_per_minute: 60, models: [writer]}``: what one client of the gateway may do."""

    key: Secret
    """What the client sends as bearer token."""
    models: tuple[Name, ...] = ()
    """The models it may ask for; none named: all."""
    requests_per_minute: Count | None = None
    """None: any number."""
    tokens_per_minute: Count | None = None
    """Of prompts and answers; None: any number."""
    priority: Literal["high", "normal", "low"] = "normal"
    """The highest that its requests may have."""


class Certificate(msgspec.Struct, frozen=True):
    """``{certificate: tls/cert.pem, key: tls/key.pem}``: PEM files, relative to the project directory."""

    certificate: str
    """The certificate, and those that vouch for it."""
    key: str
    """Its private key."""


class Gateway(msgspec.Struct, frozen=True):
    """``{listen: 127.0.0.1:7789, keys: {…}, admin: env:ADMIN}``: the models of this file behind one address."""

    listen: Listen = Listen(port=7789)
    """Where it is reached."""
    keys: Mapping[Name, GatewayKey] = {}
    """Who may ask; required as soon as others than this machine can connect."""
    admin: Secret | None = None
    """The token of whoever may see and change the pools; None: this machine."""
    tls: Certificate | None = None
    """None: plain HTTP."""
    deadline: Seconds = 600.0
    """Seconds from a request's arrival to the end of its answer, retries included."""
    peers: tuple[Url, ...] = ()
    """Other replicas, such as ``http://10.0.0.7:7789``: what they see of the endpoints is taken as a hint."""
    shared: Secret | None = None
    """The URL of a Valkey or Redis server where replicas count together what each key has used. Extra ``valkey``."""


class PostgresJournal(msgspec.Struct, frozen=True):
    """``{url: env:OUTLAST_POSTGRES, strong: true}``: a journal on PostgreSQL, RDS or Aurora. Extra ``postgres``."""

    url: Secret
    """``postgresql://user:password@host1,host2/database?sslmode=verify-full``; several hosts: the writable one."""
    namespace: Name = "outlast"
    """The schema that holds the tables."""
    strong: bool = False
    """Refuse a server that acknowledges before a synchronous standby has what was written."""
    replicas: Secret | None = None
    """The URL of read replicas, for lists that may be a little old."""


class DynamoJournal(msgspec.Struct, frozen=True):
    """``{table: outlast, bucket: outlast-blobs, region: eu-central-1}``: DynamoDB with S3. Extra ``aws``."""

    bucket: str
    """The S3 bucket of large payloads."""
    table: Name = "outlast"
    """The table of DynamoDB."""
    region: AwsRegion | None = None
    """None: as the environment says."""
    endpoint_url: Url | None = None
    """Another address for all services: an emulator, a private link."""
    queue: Url | None = None
    """The address of an SQS queue that wakes hosts at once; None: they look."""
    keep: Seconds | None = None
    """How long runs stay after their end, and blobs that nothing names go then; None: all is kept for ever."""
    archive: bool = False
    """Write what goes by `keep` to the bucket first."""


class Publish(msgspec.Struct, frozen=True):
    """``{eventbridge: decisions, region: eu-central-1}``: tells others what happened to runs. Extra ``aws``."""

    eventbridge: str
    """The name or the ARN of an event bus."""
    region: AwsRegion | None = None
    """None: that of the journal on DynamoDB, or as the environment says."""
    endpoint_url: Url | None = None
    """Another address of the service: an emulator, a private link."""
    content: bool = False
    """Whether inputs, results, messages and reasons are told too."""


class Anchors(msgspec.Struct, frozen=True):
    """``{s3: outlast-anchors, lock: 90d}``: where the ends of streams are kept besides, so that what is cut off shows.

    Extra ``aws``. Each host keeps them in a file of its own in any case.
    """

    s3: str
    """A bucket, at best of another account than the journal's."""
    prefix: str = "anchors/"
    """What the names of the objects begin with."""
    region: AwsRegion | None = None
    """None: that of the journal on DynamoDB, or as the environment says."""
    endpoint_url: Url | None = None
    """Another address of the service: an emulator, a private link."""
    lock: Seconds | None = None
    """How long nobody can delete what was written (object lock); None: as the bucket says by itself."""
    every: Seconds = 60.0
    """How often they are written."""


class JournalStore(Stored, frozen=True):
    """``{postgres: {…}, dynamodb: {…}, encrypt: env:OUTLAST_KEYS}``: the engines that the journal may be on.

    `run_on` chooses one of them; SQLite needs nothing here. In the cloud it is what `aws` says.
    """

    postgres: PostgresJournal | None = None
    """Where a PostgreSQL is that it may be on."""
    dynamodb: DynamoJournal | None = None
    """Where a table of DynamoDB is that it may be on."""
    encrypt: KeyPlace | None = None
    """Where the keys are with which payloads are sealed on whatever engine; None: they are stored as they are."""
    publish: Publish | None = None
    """None: nobody is told."""
    anchors: Anchors | None = None
    """Where else the ends of streams on PostgreSQL or DynamoDB are kept; None: on each host alone."""
    keep: Seconds | None = None
    """How long runs stay after their end, and blobs that nothing names go then; None: all is kept for ever."""
    kind: Literal["journal"] = "journal"
    """What it is."""
    data: DataClass | None = "critical"
    """What the data that it holds is worth."""


class Stores(msgspec.Struct, frozen=True):
    """The journal, and any number of other stores by a name of your own."""

    journal: JournalStore = JournalStore()
    """What every run, session and step is written to."""
    more: Annotated[Mapping[Name, Store], Form.REST] = {}
    """What else holds data."""


class Pool(msgspec.Struct, frozen=True):
    """A group of workers with all defaults filled in."""

    name: str
    workers_min: int
    worker_memory_max: int
    """Bytes."""


class Blueprint(msgspec.Struct, frozen=True):
    """All of ``outlast.yaml``."""

    outlast: Literal[1] = 1
    """Version of this schema."""
    name: Name = "outlast"
    """Name of the system; without a file, that of the project directory."""
    app: ModuleObject = "app:app"
    """Where the ``outlast.App`` is, found from the project directory."""
    workers: Workers = Workers()
    """The default pool."""
    takeover_after: Seconds = 1.0
    """Seconds without a sign of life after which a worker's runs are taken over."""
    objectives: Mapping[Name, Objective] = {}
    """By class of work, what is promised."""
    load: Mapping[Name, Load] = {}
    """By class of ``objectives:``, how much work arrives: sizes pools, quotas, drills and the cost."""
    regions: Regions | None = None
    """Where it runs and what takes over; None: one region, or one machine, and nothing takes over."""
    agents: Mapping[Name, Agent] = {}
    """By name in the app, its agents."""
    services: Mapping[Name, Service] = {}
    """Parts that are neither agent, model, store nor queue: an API, a load balancer, a function."""
    models: Mapping[Name, Model] = {}
    """What answers prompts."""
    stores: Stores = Stores()
    """What holds data."""
    queues: Mapping[Name, Queue] = {}
    """What waits between two parts."""
    external: Mapping[Name, External] = {}
    """What belongs to others and is called."""
    training: Mapping[Name, Training] = {}
    """Jobs that make models."""
    server: Server = Server()
    """The HTTP API."""
    gateway: Gateway | None = None
    """None: `outlast up` runs no gateway."""
    backup: Mapping[Name, Backup] = {}
    """By name of ``stores:``, how it is copied."""
    alarms: Mapping[Name, Alarm] = {}
    """What must not stay unseen."""
    escalation: Mapping[Name, tuple[Escalation, ...]] = {}
    """Who is told, and who then."""
    drills: Drills = Drills()
    """What is broken on purpose, and how often."""
    deploy: Deploy = Deploy()
    """How a change comes to the system."""
    accept: tuple[Acceptance, ...] = ()
    """What `outlast assess` finds and the owner lives with for a time."""
    run_on: RunOn = RunOn()
    """What it runs on."""

    def pools(self) -> dict[str, Pool]:
        """Every pool by name: the default one, and one named after each agent with workers of its own."""
        memory = self.workers.memory_max or (1 << 30)
        pools = {default_pool: Pool(default_pool, self.workers.min, memory)}
        for name, agent in self.agents.items():
            if agent.workers is not None:
                pools[name] = Pool(name, agent.workers.min, agent.workers.memory_max or memory)
        return pools
