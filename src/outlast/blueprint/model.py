"""Models: the endpoints behind one name, and how they are guarded."""

from __future__ import annotations

from typing import Annotated, Literal

import msgspec

from outlast.blueprint.component import Component
from outlast.blueprint.secret import Secret
from outlast.blueprint.value import (
    AwsRegion,
    Count,
    CountOrNone,
    Name,
    Number,
    Rate,
    Score,
    Seconds,
    Share,
    Text,
    Times,
    Url,
)


class ModelEndpoint(msgspec.Struct, frozen=True):
    """What answers: an OpenAI-compatible server, a model of Amazon Bedrock, or a SageMaker endpoint. One of the three.

    ``{name: own, url: "http://127.0.0.1:8001/v1", model: smollm2, key: env:KEY}``,
    ``{name: nova, bedrock: eu.amazon.nova-lite-v1:0, region: eu-central-1}`` or ``{name: ours, sagemaker: writer}``.
    """

    name: Name
    """What it is called here."""
    url: Url | None = None
    """The base URL, up to and including ``/v1``."""
    model: str | None = None
    """What the server calls the model; a SageMaker container may need none."""
    key: Secret | None = None
    """The API key; None: it asks for none."""
    weight: Number = 1.0
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
    region: AwsRegion | None = None
    """Where Bedrock or SageMaker is asked; None: as the environment says."""
    source: Name | None = msgspec.field(default=None, name="from")
    """From where it is asked: ``each_region`` asks its own, ``home`` and other names ask there; None: as `region`."""
    type: str | None = None
    """The class of its machines, such as ``ml.g6.2xlarge``; None: not ours to start."""
    min: CountOrNone | None = None
    """Machines that always run; None: not ours to start."""
    max: Count | None = None
    """Machines that scaling may start, at most; None: `min`, it does not scale."""
    capacity: Rate | None = None
    """Requests that one machine carries; None: not known."""


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
    """The time over which failures and slowness are counted."""
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
    """The time between two rounds."""
    min_score: Score | None = None
    """The share of answers that must be right; None: learned in the first rounds."""
    keep_versions: Count | None = None
    """Earlier versions of the model that are kept to roll back to; None: none are."""


class Model(Component, frozen=True):
    """What answers behind one model name."""

    endpoints: tuple[ModelEndpoint, ...]
    """Equal ones, over which requests are spread."""
    fallback: Fallback | None = None
    """None: when no endpoint can answer, the request fails."""
    guard: ModelGuard = ModelGuard()
    """When an endpoint is taken out, and how often a request is tried."""
    canary: Canary | None = None
    """None: nobody notices when its answers get worse."""
    timeout: Seconds | None = None
    """How long a caller waits for one answer; None: the caller says, or nobody."""
