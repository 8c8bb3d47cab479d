"""What must hold between the values of one section of ``outlast.yaml``."""

from __future__ import annotations

import re
from collections.abc import Callable
from typing import Any

from outlast.blueprint.schema import (
    Blueprint,
    DynamoJournal,
    Fallback,
    Gateway,
    Model,
    ModelEndpoint,
    ModelGuard,
    Publish,
    QueueAddress,
    Server,
)

endpoints_max = 64
"""Bound of the endpoints of one model."""

_REGION = re.compile(r"[a-z]{2}(-[a-z]+)+-[0-9]{1,2}\Z")
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
    if endpoint.region is not None and not _REGION.match(endpoint.region):
        return f"has region {endpoint.region[:32]!r}: expected one such as eu-central-1"
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


def _check_whole(blueprint: Blueprint) -> str | None:
    for name, agent in blueprint.agents.items():
        if agent.reads is not None and agent.reads.queue not in blueprint.queues:
            known = ", ".join(blueprint.queues) or "none"
            return f"has agents.{name}.reads.queue {agent.reads.queue}, which is not one of queues: ({known})"
    chosen = blueprint.run_on.local.journal
    if chosen == "sqlite" or getattr(blueprint.stores.journal, chosen) is not None:
        return None
    return (
        f"has run_on: {{local: {{journal: {chosen}}}}} and does not say where that is: "
        f"write stores: {{journal: {{{chosen}: …}}}}"
    )


def _check_region(place: DynamoJournal | QueueAddress | Publish) -> str | None:
    if place.region is None or _REGION.match(place.region):
        return None
    return f"has region {place.region[:32]!r}: expected one such as eu-central-1"


def _check_dynamo(journal: DynamoJournal) -> str | None:
    problem = _check_region(journal)
    if problem:
        return problem
    if not re.fullmatch(r"[a-z0-9][a-z0-9.-]{1,61}[a-z0-9]", journal.bucket):
        return f"has bucket {journal.bucket[:64]!r}: expected 3 to 63 lower-case letters, digits, dots and hyphens"
    if journal.archive and journal.keep is None:
        return "has archive and no keep: what is archived is what goes, so write how long runs stay, such as keep: 90d"
    return None


def _check_publish(publish: Publish) -> str | None:
    problem = _check_region(publish)
    if problem:
        return problem
    if not _BUS.match(publish.eventbridge):
        return f"has eventbridge {publish.eventbridge[:64]!r}: expected the name of an event bus, or its ARN"
    return None


CHECKS: dict[Any, Callable[[Any], str | None]] = {
    Blueprint: _check_whole,
    DynamoJournal: _check_dynamo,
    Publish: _check_publish,
    QueueAddress: _check_region,
    Model: _check_model,
    ModelEndpoint: _check_endpoint,
    Fallback: _check_endpoint,
    ModelGuard: _check_guard,
    Server: _check_server,
    Gateway: _check_gateway,
}
"""By section: what is wrong with one, or None."""
