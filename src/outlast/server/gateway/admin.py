"""What operators see of the pools and tell them: GET /v1/pools; POST /v1/pools/drain, undrain, eject, weight, reload.

With the admin token; where none is set, from this machine alone.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import Any

import msgspec

from outlast.kernel.error import ConfigurationError, UsageError
from outlast.model.pool import Pool
from outlast.model.view import MemberView, PoolView
from outlast.server.gateway.gateway import Gateway, Page
from outlast.server.gateway.metric import family
from outlast.server.gateway.refusal import Refusal
from outlast.server.gateway.wire import Client, Request

eject_s_max = 86400.0
"""The longest that a command takes an endpoint out: one day. `drain` has no end."""


class Command(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """The body of a command. `model` may be left out where only one model has such an endpoint."""

    endpoint: str = ""
    model: str = ""
    for_s: float = 300.0
    weight: float = 1.0


class Admin:
    """Puts its pages into a gateway. `reload` reads the configuration again; it may raise ConfigurationError."""

    def __init__(self, gateway: Gateway, reload: Callable[[], None]) -> None:
        self._gateway = gateway
        self._reload = reload
        gateway.pages[b"/v1/pools"] = Page(b"GET", self._view)
        acts: dict[bytes, Callable[[Pool, Command], None]] = {
            b"drain": lambda pool, command: pool.drain(command.endpoint),
            b"undrain": lambda pool, command: pool.undrain(command.endpoint),
            b"eject": lambda pool, command: pool.eject(command.endpoint, command.for_s),
            b"weight": lambda pool, command: pool.weight(command.endpoint, command.weight),
        }
        for verb, act in acts.items():
            gateway.pages[b"/v1/pools/" + verb] = Page(b"POST", self._commanded(act))
        gateway.pages[b"/v1/pools/reload"] = Page(b"POST", self._reloaded)

    def _views(self) -> list[PoolView]:
        return [pool.view() for pool in self._pools()]

    def _pools(self) -> list[Pool]:
        """Every pool, and what stands behind it."""
        found: list[Pool] = []
        for first in self._gateway.catalog.pools.values():
            pool: Pool | None = first
            while pool is not None:
                found.append(pool)
                pool = pool.fallback
        return found

    async def _view(self, request: Request, client: Client) -> None:
        self._gateway.command(request, client)
        client.reply(200, msgspec.json.encode({"pools": self._views()}))

    async def _reloaded(self, request: Request, client: Client) -> None:
        self._gateway.command(request, client)
        try:
            self._reload()
        except ConfigurationError as error:
            raise Refusal(422, error.code, f"the new configuration is no good, the old one stands: {error}") from None
        client.reply(200, msgspec.json.encode({"models": sorted(self._gateway.catalog.pools)}))

    def _commanded(self, act: Callable[[Pool, Command], None]) -> Any:
        async def answer(request: Request, client: Client) -> None:
            self._gateway.command(request, client)
            try:
                command = msgspec.json.decode(request.body or b"{}", type=Command)
            except (msgspec.MsgspecError, UnicodeDecodeError) as error:
                raise Refusal(400, "body", f"the command is not understood: {error}") from None
            if not 0 < command.for_s <= eject_s_max:
                raise Refusal(400, "for_s", f"for_s is {command.for_s:g}, expected above 0, at most {eject_s_max:g}")
            name, pool = self._pool(command)
            try:
                act(pool, command)
            except UsageError as error:
                raise Refusal(400, error.code, str(error)) from None
            views = [one.view() for one in (pool, pool.fallback) if one is not None]
            member = next(one for view in views for one in view.members if one.name == command.endpoint)
            client.reply(200, msgspec.json.encode({"model": name, "endpoint": member.name, **_state(member)}))

        return answer

    def _pool(self, command: Command) -> tuple[str, Pool]:
        pools = self._gateway.catalog.pools
        found = [
            (name, pool)
            for name, pool in pools.items()
            if command.model in ("", name) and any(member.name == command.endpoint for member in pool.everybody)
        ]
        if not found:
            known = ", ".join(f"{name}/{member.name}" for name, pool in pools.items() for member in pool.everybody)
            raise Refusal(404, "not_found", f"endpoint {command.endpoint[:100]!r} is not here: there are {known}")
        if len(found) > 1:
            names = ", ".join(name for name, _ in found)
            raise Refusal(400, "model", f"several models have endpoint {command.endpoint!r}: say which of {names}")
        return found[0]

    def metrics(self) -> Iterable[str]:
        """What the pools count, as text."""
        views = self._views()
        members = [(view.name, member) for view in views for member in view.members]
        yield from _of_pools(views)
        yield from _of_members(members)
        yield from family(
            "outlast_pool_breaker_state",
            "Whether the breaker of an endpoint is in this state.",
            "gauge",
            ("model", "endpoint", "state"),
            [
                ((pool.name, member.name, state), float(member.breaker.state == state))
                for pool in self._pools()
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
        "Attempts that have ended, by outcome.",
        "counter",
        ("model", "endpoint", "outcome"),
        [
            ((model, member.name, outcome), float(count))
            for model, member in members
            for outcome, count in (("answered", member.answered), ("failed", member.failed))
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
    yield from family(
        "outlast_pool_member_state",
        "1 for the state that an endpoint is in.",
        "gauge",
        ("model", "endpoint", "state"),
        [((model, member.name, member.state), 1.0) for model, member in members],
    )


def _state(member: MemberView) -> dict[str, Any]:
    return {"state": member.state, "why": member.why, "out_for_s": member.out_for_s, "weight": member.weight}
