"""Assembles a gateway from a blueprint, or from addresses alone, and runs it: on its own or as a child of a cell."""

from __future__ import annotations

import asyncio
import hashlib
import os
import re
import signal
import ssl
import traceback
from collections.abc import Callable, Coroutine, Iterable, Mapping
from pathlib import Path
from typing import Any

import msgspec

from outlast.adapters.host.clock import SystemClock
from outlast.adapters.host.randomness import OsRandomness
from outlast.adapters.openai.connection import Upstream
from outlast.blueprint.model import Model, ModelEndpoint
from outlast.blueprint.schema import Blueprint, GatewayKey, Listen
from outlast.blueprint.schema import Gateway as GatewaySection
from outlast.blueprint.secret import Secret
from outlast.bootstrap.pool import build_pool
from outlast.bootstrap.service import is_service, service_of
from outlast.bootstrap.vault import vault
from outlast.kernel.error import ConfigurationError
from outlast.model.member import Member
from outlast.model.pool import Pool
from outlast.policy.limiter import Limit, Limiter
from outlast.server.gateway.admin import Admin
from outlast.server.gateway.gateway import Catalog, Gateway
from outlast.server.gateway.key import Account, Keys
from outlast.server.gateway.limit import GatewayLimits
from outlast.server.gateway.line import HttpLine, Line, ServiceLine
from outlast.server.gateway.page import Pages
from outlast.server.gateway.peer import Peers
from outlast.server.gateway.serve import bind, serve

_LISTEN = re.compile(r"(\[[0-9A-Fa-f:.]+\]|[A-Za-z0-9_.-]+):([0-9]{1,5})\Z")


class Plan(msgspec.Struct, frozen=True):
    """What a gateway serves: read again on a reload."""

    section: GatewaySection
    models: Mapping[str, Model]


def parse_listen(text: str) -> Listen:
    """``HOST:PORT``. Raises ConfigurationError."""
    match = _LISTEN.match(text)
    if match is None or int(match[2]) > 65535:
        raise ConfigurationError(f"address {text[:64]!r} is not understood: expected HOST:PORT, such as 127.0.0.1:7789")
    return Listen(match[1].strip("[]"), int(match[2]))


def plan_for(urls: list[str], model: str, key: Secret | None, section: GatewaySection) -> Plan:
    """One model behind `urls`, no file: every endpoint is asked for the model by the name that clients give."""
    endpoints = tuple(
        ModelEndpoint(name=f"endpoint-{number}", url=url, model=model, key=key) for number, url in enumerate(urls, 1)
    )
    return Plan(section, {model: Model(endpoints)})


def plan_of(blueprint: Blueprint, listen: Listen | None = None) -> Plan:
    """What a blueprint says; `listen` goes before it. Raises ConfigurationError if it names no models."""
    if not blueprint.models:
        raise ConfigurationError("outlast.yaml names no models, so there is nothing to be a gateway to: write models:")
    section = blueprint.gateway or GatewaySection()
    return Plan(section if listen is None else msgspec.structs.replace(section, listen=listen), blueprint.models)


class Assembly:
    """A gateway and what it was made from; `reload` reads that again. Nothing under way is disturbed by it."""

    def __init__(
        self, read: Callable[[], Plan], home: Path, environ: Mapping[str, str], limits: GatewayLimits | None = None
    ) -> None:
        self._read = read
        self._home = home
        self._environ = environ
        self._clock = SystemClock()
        self._randomness = OsRandomness()
        self._models: dict[str, tuple[Model, Pool]] = {}
        self.retired: list[Pool] = []
        """Pools of a configuration before, until their last request has ended."""
        self._closing: set[asyncio.Task[None]] = set()
        self._lines: dict[Member, Line] = {}
        self._accounts: dict[str, Account] = {}
        self.plan = read()
        self.gateway = Gateway(self._catalog(self.plan), self._clock, limits)
        self.stop = asyncio.Event()
        self.peers = self._peers()
        admin = Admin(self.gateway, self.reload)

        def metrics() -> Iterable[str]:
            return (*admin.metrics(), *self.peers.metrics())

        Pages(self.gateway, self._clock, extra=metrics, stopping=self.stop.is_set)

    def reload(self) -> None:
        """Read the configuration again. What it says of a model that has not changed leaves that model's state alone.

        Raises ConfigurationError, and then everything stays as it is. Where the gateway listens and who
        its peers are does not change.
        """
        plan = self._read()
        self.gateway.catalog = self._catalog(plan)
        self.plan = plan

    def sweep(self) -> None:
        """Close connections that idle, and pools that nobody needs any more."""
        for line in self._lines.values():
            line.upstream.sweep()
        for pool in list(self.retired):
            if _is_idle(pool):
                self.retired.remove(pool)
                closing = asyncio.get_running_loop().create_task(pool.close())
                self._closing.add(closing)
                closing.add_done_callback(self._closing.discard)

    async def close(self) -> None:
        """Stop all checks and close all connections."""
        for pool in (*self.retired, *(pool for _, pool in self._models.values())):
            await pool.close()
        for line in self._lines.values():
            line.upstream.close()
        self.peers.close()

    def _catalog(self, plan: Plan) -> Catalog:
        section = plan.section
        accounts = {name: self._account(name, key) for name, key in section.keys.items()}
        keys = Keys((self._secret(key.key), accounts[name]) for name, key in section.keys.items())
        admin = hashlib.sha256(self._secret(section.admin).encode()).digest() if section.admin is not None else b""
        models: dict[str, tuple[Model, Pool]] = {}
        lines: dict[Member, Line] = {}
        for name, model in plan.models.items():
            known = self._models.get(name)
            same = known is not None and known[0] == model
            if known is not None and same:
                pool = known[1]
            else:
                pool = build_pool(name, model, self._clock, self._randomness, home=self._home)
            models[name] = (model, pool)
            for member in pool.everybody:
                lines[member] = self._lines.get(member) or self._line(member)
        for member, line in self._lines.items():
            if member not in lines:
                line.upstream.close()
        kept = {pool for _, pool in models.values()}
        self.retired += [pool for _, pool in self._models.values() if pool not in kept]
        self._models, self._lines, self._accounts = models, lines, accounts
        return Catalog({name: pool for name, (_, pool) in models.items()}, lines, keys, section.deadline, admin)

    def _peers(self) -> Peers:
        section = self.plan.section

        def token() -> str:
            return self._secret(section.admin) if section.admin is not None else ""

        return Peers(section.peers, lambda: self.gateway.catalog.everything, token, self._clock, self._randomness)

    def _account(self, name: str, key: GatewayKey) -> Account:
        """What a key allows; what it has taken of its limits is kept where these have not changed."""
        limit = Limit(requests_per_minute=key.requests_per_minute, tokens_per_minute=key.tokens_per_minute)
        known = self._accounts.get(name)
        limiter = known.limiter if known is not None and known.limit == limit else Limiter(limit)
        return Account(name, frozenset(key.models), key.priority, limit, limiter)

    def _line(self, member: Member) -> Line:
        secret = member.secret
        if is_service(member):
            return ServiceLine(service_of(member, self._clock))
        return HttpLine(Upstream(member.url, self._clock), (lambda: self._secret(secret)) if secret else (lambda: ""))

    def _secret(self, secret: Secret) -> str:
        return secret.resolve(self._environ, self._home, vault())


def _is_idle(pool: Pool) -> bool:
    fallback = pool.fallback
    return (
        pool.view().queued == 0
        and all(member.in_flight == 0 for member in pool.members)
        and (fallback is None or _is_idle(fallback))
    )


async def run_gateway(
    read: Callable[[], Plan],
    home: Path,
    *,
    ready: Callable[[str], None],
    note: Callable[[str], None],
    beat: Callable[[int], None] | None = None,
    assembled: Callable[[Assembly], None] = lambda assembly: None,
) -> None:
    """Serve until SIGTERM or SIGINT; SIGHUP reads the configuration again. `note` takes lines for people.

    Raises ConfigurationError if the configuration or the address cannot be used.
    """
    assembly = Assembly(read, home, os.environ)
    section = assembly.plan.section
    listening = bind(section.listen, keys=bool(section.keys))
    context = _tls(section, home)
    loop = asyncio.get_running_loop()

    def reload() -> None:
        try:
            assembly.reload()
        except ConfigurationError as error:
            note(f"the new configuration cannot be used, the old one stands: {error}")
        else:
            note("the configuration was read again")

    loop.add_signal_handler(signal.SIGHUP, reload)
    for number in (signal.SIGTERM, signal.SIGINT):
        loop.add_signal_handler(number, assembly.stop.set)
    assembled(assembly)
    following = loop.create_task(assembly.peers.run())
    try:
        await serve(
            assembly.gateway,
            listening,
            SystemClock(),
            stop=assembly.stop,
            ready=ready,
            tls=context,
            beat=beat,
            broken=lambda error: note("".join(traceback.format_exception(error)).rstrip()),
            sweep=assembly.sweep,
        )
    finally:
        following.cancel()
        listening.close()
        await assembly.close()


def run(main: Callable[[], Coroutine[Any, Any, None]]) -> None:
    """Run a coroutine function on uvloop."""
    import uvloop

    with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
        runner.run(main())


def _tls(section: GatewaySection, home: Path) -> ssl.SSLContext | None:
    if section.tls is None:
        return None
    context = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
    try:
        context.load_cert_chain(home / section.tls.certificate, home / section.tls.key)
    except (OSError, ssl.SSLError) as error:
        why = (error.strerror or str(error)).lower()
        raise ConfigurationError(f"gateway.tls cannot be used: {why}; give certificate and key as PEM files") from None
    return context
