"""What must hold between the values of one section of ``outlast.yaml``."""

from __future__ import annotations

import re
from collections.abc import Callable
from typing import Any

from outlast.blueprint.acceptance import Acceptance
from outlast.blueprint.agent import Workers
from outlast.blueprint.alarm import Alarm
from outlast.blueprint.component import Redundancy
from outlast.blueprint.model import Fallback, Model, ModelEndpoint, ModelGuard
from outlast.blueprint.objective import Load
from outlast.blueprint.queue import Queue
from outlast.blueprint.region import Regions
from outlast.blueprint.schema import Anchors, DynamoJournal, Gateway, Publish, Server
from outlast.blueprint.store import Store
from outlast.kernel.identity import is_bucket

endpoints_max = 64
"""Bound of the endpoints of one model."""

_BUS = re.compile(r"(arn:aws[a-z-]*:events:[a-z0-9-]+:[0-9]{12}:event-bus/)?[A-Za-z0-9._/-]{1,256}\Z")


def _check_model(model: Model) -> str | None:
    everybody = [*model.endpoints, *([model.fallback] if model.fallback else [])]
    if not model.endpoints:
        return "has 0 endpoints, expected at least one"
    if len(everybody) > endpoints_max:
        return f"has {len(everybody)} endpoints, the bound endpoints_max is {endpoints_max}"
    names = [endpoint.name for endpoint in everybody]
    twice = sorted({name for name in names if names.count(name) > 1})
    if twice:
        return f"has two endpoints named {twice[0]!r}: rename one"
    if not any(endpoint.weight for endpoint in model.endpoints):
        return "has only endpoints of weight 0: give at least one more"
    return None


def _check_endpoint(endpoint: ModelEndpoint) -> str | None:
    given = [kind for kind in ("url", "bedrock", "sagemaker") if getattr(endpoint, kind) is not None]
    if len(given) != 1:
        found = " and ".join(given) or "none of them"
        return f"has {found}: expected one of url (with model), bedrock and sagemaker"
    if endpoint.max is not None and endpoint.max < (endpoint.min or 0):
        return f"has max {endpoint.max}, which is less than min {endpoint.min}"
    if endpoint.load and isinstance(endpoint, Fallback):
        return "has load: a fallback stands alone, there is nothing to balance"
    (kind,) = given
    if endpoint.load and kind != "url":
        return f"has load: {kind} does not tell its load"
    if kind == "url":
        if endpoint.model is None:
            return "lacks model: write what the server calls it"
        return None if endpoint.region is None else "has a region: only bedrock and sagemaker have one"
    if endpoint.key is not None:
        return f"has a key: {kind} uses the AWS credentials of the process"
    if kind == "bedrock" and endpoint.model is not None:
        return "has a model: bedrock names it already"
    return None


def _check_guard(guard: ModelGuard) -> str | None:
    return None if guard.slower_than_peers > 1 else "has slower_than_peers 1x or less: expected more, such as 3x"


def _check_server(server: Server) -> str | None:
    if server.listen.loopback or server.token is not None:
        return None
    return f"listens on {server.listen}, which others can reach: set token: env:NAME or listen on 127.0.0.1"


def _check_gateway(gateway: Gateway) -> str | None:
    if gateway.listen.loopback or gateway.keys:
        return None
    return (
        f"listens on {gateway.listen}, which others can reach: set keys: {{team: {{key: env:TEAM_KEY}}}} "
        "or listen on 127.0.0.1"
    )


def _check_dynamo(journal: DynamoJournal) -> str | None:
    if not is_bucket(journal.bucket):
        return f"has bucket {journal.bucket[:64]!r}: expected 3 to 63 lower-case letters, digits, dots and hyphens"
    if journal.archive and journal.keep is None:
        return "has archive and no keep: what is archived is what goes, so write how long runs stay, such as keep: 90d"
    return None


def _check_anchors(anchors: Anchors) -> str | None:
    if not is_bucket(anchors.s3):
        return f"has s3 {anchors.s3[:64]!r}: expected a bucket: 3 to 63 lower-case letters, digits, dots and hyphens"
    if anchors.every <= 0:
        return "has every 0s: expected more, such as 60s"
    return None


def _check_publish(publish: Publish) -> str | None:
    if not _BUS.match(publish.eventbridge):
        return f"has eventbridge {publish.eventbridge[:64]!r}: expected the name of an event bus, or its ARN"
    return None


def _check_queue(queue: Queue) -> str | None:
    if queue.sqs is not None and queue.dead_letters is None:
        return "lacks dead_letters: write where messages go that cannot become a run"
    if queue.sqs is None and queue.dead_letters is not None:
        return "lacks sqs: write the address of the queue itself"
    return None


def _check_redundancy(redundancy: Redundancy) -> str | None:
    if redundancy.needed > redundancy.instances:
        return f"has needed {redundancy.needed} of {redundancy.instances} instances: expected no more than there are"
    if redundancy.max is not None and redundancy.max < redundancy.instances:
        return f"has max {redundancy.max}, which is less than instances {redundancy.instances}"
    return None


def _check_store(store: Store) -> str | None:
    if store.indexes is not None and store.kind not in ("key_value", "document"):
        return f"has indexes, which are described of key_value and document stores only, and is {store.kind}"
    return None


def _check_workers(workers: Workers) -> str | None:
    if workers.max is not None and workers.max < workers.min:
        return f"has max {workers.max}, which is less than min {workers.min}"
    return None


def _check_load(load: Load) -> str | None:
    if load.peak is not None and load.peak < load.steady:
        return "has a peak that is less than steady"
    return None


def _check_regions(regions: Regions) -> str | None:
    share = sum(region.share or 0.0 for region in regions.all().values())
    if share > 1.000001:
        return f"has shares of {share * 100:g}% together: expected 100% at most"
    if regions.strategy != "backup_restore" and len(regions.all()) == 1:
        return f"has strategy {regions.strategy} and only one region: name another one, such as standby"
    return None


def _check_alarm(alarm: Alarm) -> str | None:
    given = [key for key in ("slo", "metric", "all", "any") if getattr(alarm, key)]
    if len(given) != 1:
        return f"has {' and '.join(given) or 'none of them'}: expected one of slo, metric, all and any"
    bounds = [key for key in ("above", "below", "outside") if getattr(alarm, key) is not None]
    if given == ["metric"] and not bounds:
        return "has a metric and no bound: write above, below or outside"
    if given != ["metric"] and bounds:
        return f"has {bounds[0]}, which only an alarm on a metric has"
    if given != ["metric"] and alarm.of:
        return "has of, which only an alarm on a metric has"
    if bool(alarm.burn_rate) != (given == ["slo"]):
        return "has a burn_rate without slo" if alarm.burn_rate else "has slo and no burn_rate: write [14x over 1h]"
    return None


def _check_acceptance(acceptance: Acceptance) -> str | None:
    if acceptance.component is not None and acceptance.subject is not None:
        return "has a component and a subject: expected one of them"
    return None


CHECKS: dict[Any, Callable[[Any], str | None]] = {
    Acceptance: _check_acceptance,
    Alarm: _check_alarm,
    Anchors: _check_anchors,
    DynamoJournal: _check_dynamo,
    Fallback: _check_endpoint,
    Gateway: _check_gateway,
    Load: _check_load,
    Model: _check_model,
    ModelEndpoint: _check_endpoint,
    ModelGuard: _check_guard,
    Publish: _check_publish,
    Queue: _check_queue,
    Redundancy: _check_redundancy,
    Regions: _check_regions,
    Server: _check_server,
    Store: _check_store,
    Workers: _check_workers,
}
"""By section: what is wrong with one, or None."""
