"""What operators see of the pools and tell them: GET /v1/pools; POST /v1/pools/drain, undrain, eject, weight, reload.

With the admin token; where none is set, from this machine alone.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import Any

import msgspec

from outlast.kernel.error import ConfigurationError, UsageError
from outlast.model.pool import Pool
from outlast.model.view import MemberView
from outlast.server.gateway.gateway import Gateway, Page
from outlast.server.gateway.pool_metric import pool_metrics
from outlast.server.gateway.refusal import Refusal
from outlast.server.gateway.request import Request
from outlast.server.gateway.wire import Client

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

    async def _view(self, request: Request, client: Client) -> None:
        self._gateway.command(request, client)
        client.reply(200, msgspec.json.encode({"pools": [pool.view() for pool in self._gateway.catalog.everything]}))

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
        return pool_metrics(self._gateway.catalog.everything)


def _state(member: MemberView) -> dict[str, Any]:
    return {"state": member.state, "why": member.why, "out_for_s": member.out_for_s, "weight": member.weight}
