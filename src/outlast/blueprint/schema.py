"""The schema of ``outlast.yaml``: what may stand there, with its unit and default.

Every key is optional, and so is the file. `blueprint/load.py` reads it; names and units are checked there.
"""

from __future__ import annotations

import enum
import ipaddress
from collections.abc import Mapping
from typing import Annotated, Literal

import msgspec

from outlast.blueprint.secret import KeyPlace, Secret


class Quantity(enum.Enum):
    """Marks a number that is written with its unit (`kernel/unit.py`)."""

    DURATION = "duration"
    SIZE = "size"
    MONEY = "money"
    SHARE = "share"
    TIMES = "times"
    RATE = "rate"
    NUMBER = "number"
    """Has no unit."""
    SCORE = "score"
    """Has no unit, and is more than 0 and less than 1."""


class Text(enum.Enum):
    """Marks text that must have a form."""

    NAME = "name"
    MODULE_OBJECT = "module:object"
    URL = "url"
    LOAD = "load"


Count = Annotated[int, msgspec.Meta(ge=1, le=1_000_000_000)]
WorkerCount = Annotated[int, msgspec.Meta(ge=1, le=64)]
Seconds = Annotated[float, Quantity.DURATION]
ByteCount = Annotated[int, Quantity.SIZE]
Dollars = Annotated[float, Quantity.MONEY]
Share = Annotated[float, Quantity.SHARE]
Times = Annotated[float, Quantity.TIMES]
Rate = Annotated[float, Quantity.RATE]
Name = Annotated[str, Text.NAME]
ModuleObject = Annotated[str, Text.MODULE_OBJECT]
Url = Annotated[str, Text.URL]

default_pool = "default"
"""The pool of every agent that has no workers of its own."""


class Workers(msgspec.Struct, frozen=True, omit_defaults=True):
    """``{min: 2, memory_max: 1GiB}``: how many worker processes always run, and when one is killed for its memory."""

    min: WorkerCount = 2
    """Processes; one spare always runs beside them."""
    memory_max: ByteCount | None = None
    """Bytes of resident memory; None: that of the default pool, whose own default is 1 GiB."""


class Budget(msgspec.Struct, frozen=True, omit_defaults=True):
    """``{steps: 60, tokens: 40000, cost: 0.25USD, time: 10m}``: per run; what is left out is not bounded here."""

    steps: Count | None = None
    tokens: Count | None = None
    cost: Dollars | None = None
    time: Seconds | None = None


class Reads(msgspec.Struct, frozen=True, omit_defaults=True):
    """``{queue: documents_in, attempts: 5}``: each message of a queue becomes a run, its text the agent's input."""

    queue: Name
    """One of ``queues:``."""
    attempts: Count = 5
    """Tries of a message that cannot become a run; then it is a dead letter."""


class QueueAddress(msgspec.Struct, frozen=True):
    """``{sqs: "https://sqs.eu-central-1.amazonaws.com/…/in", dead_letters: "https://…/in-dead", visibility: 5m}``."""

    sqs: Url
    dead_letters: Url
    """Where messages go that cannot become a run: the queue that the redrive policy names."""
    region: str | None = None
    """None: as the environment says."""
    endpoint_url: Url | None = None
    """Another address of the service: an emulator, a private link."""
    visibility: Seconds = 300.0
    """How long a message that somebody takes is hidden from others."""


class Agent(msgspec.Struct, frozen=True, omit_defaults=True):
    """What the operator says about one agent of the app; it goes before what the code says."""

    workers: Workers | None = None
    """Workers of its own, that fail apart from all others; None: the default pool."""
    deadline: Seconds | None = None
    """Seconds from a run's start to its latest end."""
    budget: Budget | None = None
    reads: Reads | None = None
    """None: its runs are started by clients and other runs alone."""


class ModelEndpoint(msgspec.Struct, frozen=True):
    """What answers: an OpenAI-compatible server, a model of Amazon Bedrock, or a SageMaker endpoint. One of the three.

    ``{name: own, url: "http://127.0.0.1:8001/v1", model: smollm2, key: env:KEY}``,
    ``{name: nova, bedrock: eu.amazon.nova-lite-v1:0, region: eu-central-1}`` or ``{name: ours, sagemaker: writer}``.
    """

    name: Name
    url: Url | None = None
    """The base URL, up to and including ``/v1``."""
    model: str | None = None
    """What the server calls the model; a SageMaker container may need none."""
    key: Secret | None = None
    weight: Annotated[float, Quantity.NUMBER] = 1.0
    """Its share of the requests, relative to the weights of its peers; what it can carry."""
    quota: Rate | None = None
    """Requests it may be sent, such as ``1500/m``; None: it says itself when it has enough."""
    limit: Count | None = None
    """Requests it may hold at once, at most; None: found out."""
    warm_up: Seconds | None = None
    """How long its share rises after it came into rotation."""
    context: Count | None = None
    """Tokens of prompt and answer together, at most; None: not known."""
    lacks: tuple[Literal["tools", "schema", "vision"], ...] = ()
    """What it cannot do: requests that need it go elsewhere."""
    load: tuple[Annotated[str, Text.LOAD], ...] = ()
    """Where its load is read: ``metrics`` or ``slots`` at its own server, ``nvml:0`` on this machine, a URL."""
    bedrock: str | None = None
    """The id of a model or of an inference profile, asked through Converse."""
    sagemaker: str | None = None
    """The name of an endpoint whose container speaks chat completions."""
    region: str | None = None
    """Where Bedrock or SageMaker is asked; None: as the environment says."""


class Fallback(ModelEndpoint, frozen=True):
    """Another model, asked when no endpoint of the model can answer."""

    mark: Literal["degraded"] = "degraded"
    """How its answers are marked."""


class ModelGuard(msgspec.Struct, frozen=True):
    """``{error_rate: 20%, slower_than_peers: 3x, window: 30s, open_for: 5s, retry_budget: 10%, hedge_after: p95}``."""

    error_rate: Share = 0.2
    """Failures, as a share of the requests of a window, that take an endpoint out."""
    slower_than_peers: Times = 3.0
    """How many times slower than its peers an endpoint may be."""
    window: Seconds = 30.0
    open_for: Seconds = 1.0
    """How long an endpoint that failed is left alone at first; doubled each time."""
    retry_budget: Share = 0.1
    """Retries and hedges, as a share of the requests."""
    hedge_after: Literal["p50", "p90", "p95", "p99", "never"] = "p95"
    """When a request that waits is sent to a second endpoint: when so many others had their first token."""


class Canary(msgspec.Struct, frozen=True):
    """``{prompts: golden/writer.jsonl, every: 60s, min_score: 0.85}``: asks the model what its answers are known to."""

    prompts: str
    """A file with one JSON object a line: ``{"prompt": …, "expect": …}``."""
    every: Seconds = 60.0
    min_score: Annotated[float, Quantity.SCORE] | None = None
    """None: learned in the first rounds."""


class Model(msgspec.Struct, frozen=True):
    """What answers behind one model name."""

    endpoints: tuple[ModelEndpoint, ...]
    fallback: Fallback | None = None
    guard: ModelGuard = ModelGuard()
    canary: Canary | None = None


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
    token: Secret | None = None
    """What clients send as bearer token; required as soon as others than this machine can connect."""


class GatewayKey(msgspec.Struct, frozen=True):
    """``{key: env:TEAM_KEY, requests_per_minute: 60, models: [writer]}``: what one client of the gateway may do."""

    key: Secret
    models: tuple[Name, ...] = ()
    """The models it may ask for; none named: all."""
    requests_per_minute: Count | None = None
    tokens_per_minute: Count | None = None
    priority: Literal["high", "normal", "low"] = "normal"
    """The highest that its requests may have."""


class Certificate(msgspec.Struct, frozen=True):
    """``{certificate: tls/cert.pem, key: tls/key.pem}``: PEM files, relative to the project directory."""

    certificate: str
    key: str


class Gateway(msgspec.Struct, frozen=True):
    """``{listen: 127.0.0.1:7789, keys: {…}, admin: env:ADMIN}``: the models of this file behind one address."""

    listen: Listen = Listen(port=7789)
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
    region: str | None = None
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
    region: str | None = None
    """None: that of the journal on DynamoDB, or as the environment says."""
    endpoint_url: Url | None = None
    """Another address of the service: an emulator, a private link."""
    content: bool = False
    """Whether inputs, results, messages and reasons are told too."""


class JournalStore(msgspec.Struct, frozen=True):
    """``{postgres: {…}, dynamodb: {…}, encrypt: env:OUTLAST_KEYS}``: the engines that the journal may be on.

    `run_on` chooses one of them; SQLite needs nothing here.
    """

    postgres: PostgresJournal | None = None
    dynamodb: DynamoJournal | None = None
    encrypt: KeyPlace | None = None
    """Where the keys are with which payloads are sealed on whatever engine; None: they are stored as they are."""
    publish: Publish | None = None
    """None: nobody is told."""


class Stores(msgspec.Struct, frozen=True):
    """What holds data."""

    journal: JournalStore = JournalStore()


class Local(msgspec.Struct, frozen=True):
    """``{journal: sqlite, durability: power}``: the engines that this machine uses."""

    journal: Literal["sqlite", "postgres", "dynamodb"] = "sqlite"
    """The two last are shared by many machines; how to reach them stands in ``stores: journal:``."""
    durability: Literal["power", "process"] = "power"
    """What an event that SQLite acknowledged survives: loss of power, or only the death of processes."""


class RunOn(msgspec.Struct, frozen=True):
    """Where it runs."""

    local: Local = Local()


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
    """Where the `outlast.App` is: ``module:object``, found from the project directory."""
    workers: Workers = Workers()
    """The default pool."""
    takeover_after: Seconds = 1.0
    """Seconds without a sign of life after which a worker's runs are taken over."""
    agents: Mapping[Name, Agent] = {}
    models: Mapping[Name, Model] = {}
    server: Server = Server()
    gateway: Gateway | None = None
    """None: `outlast up` runs no gateway."""
    stores: Stores = Stores()
    queues: Mapping[Name, QueueAddress] = {}
    run_on: RunOn = RunOn()

    def pools(self) -> dict[str, Pool]:
        """Every pool by name: the default one, and one named after each agent with workers of its own."""
        memory = self.workers.memory_max or (1 << 30)
        pools = {default_pool: Pool(default_pool, self.workers.min, memory)}
        for name, agent in self.agents.items():
            if agent.workers is not None:
                pools[name] = Pool(name, agent.workers.min, agent.workers.memory_max or memory)
        return pools
