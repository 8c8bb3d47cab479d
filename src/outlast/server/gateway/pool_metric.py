"""What pools count and know, as lines of metrics: read from them when somebody asks, nothing is kept."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence

from outlast.model.pool import Pool
from outlast.model.view import MemberView, PoolView
from outlast.server.gateway.metric import family

_COMMON = {"answered": 0, "failed": 0}
"""Outcomes that are shown before there was one: a rate needs its zero."""


def pool_metrics(pools: Sequence[Pool]) -> Iterable[str]:
    """The lines of these pools."""
    views = [pool.view() for pool in pools]
    yield from _of_pools(views)
    yield from _of_members([(view.name, member) for view in views for member in view.members])
    yield from family(
        "outlast_pool_breaker_state",
        "Whether the breaker of an endpoint is in this state.",
        "gauge",
        ("model", "endpoint", "state"),
        [
            ((pool.name, member.name, state), float(member.breaker.state == state))
            for pool in pools
            for member in pool.members
            for state in ("closed", "open", "half_open")
        ],
    )


def _of_pools(views: list[PoolView]) -> Iterable[str]:
    columns: tuple[tuple[str, str, str, Callable[[PoolView], float]], ...] = (
        ("requests_total", "counter", "Requests that got as far as an endpoint.", lambda view: view.requests),
        ("retries_total", "counter", "Attempts after a failed one.", lambda view: view.extra - view.hedged),
        ("hedges_total", "counter", "Attempts beside one that had not failed.", lambda view: view.hedged),
        ("moved_total", "counter", "Requests moved off an endpoint that was ejected.", lambda view: view.moved),
        ("amplification", "gauge", "Attempts for each request.", lambda view: view.amplification),
        ("queue_depth", "gauge", "Requests that wait for a place.", lambda view: view.queued),
    )
    for name, kind, help, read in columns:
        yield from family(
            f"outlast_pool_{name}", help, kind, ("model",), [((view.name,), float(read(view))) for view in views]
        )


def _of_members(members: list[tuple[str, MemberView]]) -> Iterable[str]:
    columns: tuple[tuple[str, str, str, Callable[[MemberView], float | None]], ...] = (
        ("in_flight", "gauge", "Requests under way.", lambda member: member.in_flight),
        ("limit", "gauge", "Requests that it may hold at once, now.", lambda member: member.limit),
        ("weight", "gauge", "Its share, relative to its peers'.", lambda member: member.weight),
        ("ejections_total", "counter", "How often its peers' example put it out.", lambda member: member.ejections),
        ("breaker_opened_total", "counter", "How often its breaker opened.", lambda member: member.opened),
        ("first_token_seconds", "gauge", "Time to first content, lately.", lambda member: member.first_token_s),
        ("token_gap_seconds", "gauge", "Time between pieces of content, lately.", lambda member: member.gap_s),
        ("canary_score", "gauge", "What its last golden prompts scored, 0 to 1.", lambda member: member.score),
        ("canary_rounds_total", "counter", "Rounds of golden prompts that it answered.", lambda member: member.rounds),
        ("cost_usd_total", "counter", "What its tokens cost by list price.", lambda member: member.cost),
    )
    for name, kind, help, read in columns:
        values = [((model, member.name), read(member)) for model, member in members]
        yield from family(
            f"outlast_pool_{name}",
            help,
            kind,
            ("model", "endpoint"),
            [(labels, float(value)) for labels, value in values if value is not None],
        )
    yield from family(
        "outlast_pool_attempts_total",
        "Attempts that have ended, each once, by outcome.",
        "counter",
        ("model", "endpoint", "outcome"),
        [
            ((model, member.name, outcome), float(count))
            for model, member in members
            for outcome, count in sorted({**_COMMON, **member.outcomes}.items())
        ],
    )
    yield from family(
        "outlast_pool_tokens_total",
        "Tokens of prompts and answers.",
        "counter",
        ("model", "endpoint", "type"),
        [
            ((model, member.name, kind), float(count))
            for model, member in members
            for kind, count in (("input", member.input_tokens), ("output", member.output_tokens))
        ],
    )
    yield from _of_reports(members)
    yield from family(
        "outlast_pool_layer_up",
        "Whether checks found a layer well: connection, application, model; layers never checked are left out.",
        "gauge",
        ("model", "endpoint", "layer"),
        [
            ((model, member.name, layer), float(state == "up"))
            for model, member in members
            for layer, state in member.layers.items()
            if state != "unknown"
        ],
    )
    yield from family(
        "outlast_pool_member_info",
        "What an endpoint says in its answers that it is.",
        "gauge",
        ("model", "endpoint", "version", "fingerprint"),
        [((model, member.name, member.told.model, member.told.fingerprint), 1.0) for model, member in members],
    )
    yield from family(
        "outlast_pool_member_state",
        "1 for the state that an endpoint is in.",
        "gauge",
        ("model", "endpoint", "state"),
        [((model, member.name, member.state), 1.0) for model, member in members],
    )


def _of_reports(members: list[tuple[str, MemberView]]) -> Iterable[str]:
    """What endpoints say of their own load; nothing of those that say nothing."""
    reports = [(model, member.name, member.report) for model, member in members if member.report is not None]
    yield from family(
        "outlast_pool_used_ratio",
        "What an endpoint says is used, as a share of 1: gpu (its time), slots (or KV cache), memory.",
        "gauge",
        ("model", "endpoint", "resource", "source"),
        [
            ((model, name, resource, report.source), value)
            for model, name, report in reports
            for resource, value in (("gpu", report.gpu), ("slots", report.slots), ("memory", report.memory))
            if value is not None
        ],
    )
    yield from family(
        "outlast_pool_server_requests",
        "Requests that an endpoint says it has, whoever sent them.",
        "gauge",
        ("model", "endpoint", "state", "source"),
        [
            ((model, name, state, report.source), value)
            for model, name, report in reports
            for state, value in (("running", report.running), ("waiting", report.waiting))
            if value is not None
        ],
    )
    yield from family(
        "outlast_pool_reports_total",
        "How often an endpoint was asked for its load, by outcome.",
        "counter",
        ("model", "endpoint", "outcome"),
        [
            ((model, member.name, outcome), float(count))
            for model, member in members
            if member.reports_read or member.reports_failed
            for outcome, count in (("read", member.reports_read), ("failed", member.reports_failed))
        ],
    )
