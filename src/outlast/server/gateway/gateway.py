"""Answers requests: finds the pool behind the model's name, asks it, says what happened."""

from __future__ import annotations

import asyncio
import hmac
import re
from collections.abc import Awaitable, Callable, Mapping

import msgspec

from outlast.blueprint.schema import Listen
from outlast.kernel.clock import Clock
from outlast.model.attempt import Attempt
from outlast.model.endpoint import (
    EndpointError,
    EndpointOverloaded,
    EndpointRefused,
    Interrupted,
    PoolOverloaded,
)
from outlast.model.member import Member
from outlast.model.pool import Ask, Pool
from outlast.policy.admission import Priority
from outlast.policy.limiter import Taken
from outlast.server.gateway.dialect import Dialect, dialects
from outlast.server.gateway.key import Account, Keys, digest, key_in
from outlast.server.gateway.limit import GatewayLimits
from outlast.server.gateway.line import Line
from outlast.server.gateway.metric import Metrics
from outlast.server.gateway.refusal import Refusal, Shape
from outlast.server.gateway.relay import Body, Passed, Relay, bytes_per_token
from outlast.server.gateway.request import Request
from outlast.server.gateway.wire import Client

_FORWARDED = (
    b"anthropic-version", b"anthropic-beta", b"openai-beta", b"idempotency-key", b"traceparent", b"tracestate",
    b"x-request-id",
)  # fmt: skip
_anthropic_version = b"2023-06-01"
_PRIORITIES: dict[bytes, Priority] = {b"high": "high", b"normal": "normal", b"low": "low"}
_RANK = {"high": 2, "normal": 1, "low": 0}
_PORT = re.compile(r":[0-9]+\Z")
_everybody = Account("")


class Catalog(msgspec.Struct, frozen=True):
    """What a configuration says: replaced as a whole when it is read again; requests under way keep the old one."""

    pools: Mapping[str, Pool]
    """By the name that clients ask for."""
    lines: Mapping[Member, Line]
    keys: Keys
    deadline_s: float
    admin: bytes = b""
    """SHA-256 of the admin token; empty: only this machine may command."""

    @property
    def everything(self) -> list[Pool]:
        """Every pool, and what stands behind it."""
        found: list[Pool] = []
        for first in self.pools.values():
            pool: Pool | None = first
            while pool is not None:
                found.append(pool)
                pool = pool.fallback
        return found


class Page(msgspec.Struct, frozen=True):
    """What is answered at one path; `keyed`: whether it takes a key, where there are keys."""

    method: bytes
    answer: Callable[[Request, Client], Awaitable[None]]
    keyed: bool = False


class Gateway:
    """Implements `wire.Service`. `catalog` may be replaced at any time."""

    def __init__(self, catalog: Catalog, clock: Clock, limits: GatewayLimits | None = None) -> None:
        self.catalog = catalog
        self.limits = limits or GatewayLimits()
        self.metrics = Metrics()
        self.answered: dict[str, float] = {}
        """When a model last answered, in monotonic seconds, by its name."""
        self.pages: dict[bytes, Page] = {}
        """What is answered beside the protocols, by path; one that ends with a slash stands for all below it."""
        self._monotonic = clock.monotonic
        self._dialects = {dialect.path: dialect for dialect in dialects}

    def shape(self, request: Request) -> Shape:
        """Whose error objects the sender reads."""
        return "anthropic" if request.path == b"/v1/messages" else "openai"

    def admit(self, request: Request) -> None:
        """Refuse before the body is read: paths and methods that are not there, keys that are not known."""
        dialect = self._dialects.get(request.path)
        if dialect is None:
            page = self._page(request)
            if request.method != page.method and not (page.method == b"GET" and request.method == b"HEAD"):
                raise _wrong_method(request, page.method)
            if page.keyed:
                self.identify(request)
            return
        if request.method != b"POST":
            raise _wrong_method(request, b"POST")
        self.identify(request)

    def identify(self, request: Request) -> Account:
        """Who asks. Raises Refusal if nobody may who has no key, or another one."""
        keys = self.catalog.keys
        if not keys:
            request.key = _everybody
            return _everybody
        given = key_in(request.headers)
        account = keys.find(given)
        if account is None:
            found = "another key" if given else "no key"
            raise Refusal(401, "key", f"the request has {found}: send Authorization: Bearer with a key of this gateway")
        request.key = account
        return account

    def command(self, request: Request, client: Client) -> None:
        """Refuse whoever may not see or change the state: only who has the admin token, or, without one, who asks from
        this machine and is no browser that was led here.
        """
        admin, headers = self.catalog.admin, request.headers
        if admin:
            if not hmac.compare_digest(digest(key_in(headers)), admin):
                raise Refusal(401, "admin", "this takes the admin token: send Authorization: Bearer with gateway.admin")
            return
        host = _PORT.sub("", headers.get(b"host", b"").decode("latin-1"))
        browser = b"origin" in headers or headers.get(b"sec-fetch-site", b"none") not in (b"none", b"same-origin")
        if not Listen(client.peer).loopback or not Listen(host.strip("[]")).loopback or browser:
            raise Refusal(403, "admin", "only this machine may ask that: set gateway.admin to ask from elsewhere")

    def _page(self, request: Request) -> Page:
        path = request.path
        page = self.pages.get(path) or self.pages.get(path[: path.find(b"/", 4) + 1] if path.count(b"/") > 2 else b"")
        if page is None:
            shown = path[:100].decode("ascii", "backslashreplace")
            raise Refusal(404, "path", f"path {shown!r} is not there: ask /v1/models, /v1/chat/completions …")
        return page

    async def answer(self, request: Request, client: Client) -> None:
        """Answer one request. Raises Refusal before the answer has begun."""
        dialect = self._dialects.get(request.path)
        label = _label(request.path)
        try:
            if dialect is None:
                await self._page(request).answer(request, client)
            else:
                await self._relay(dialect, request, client)
        except Refusal as refusal:
            self.metrics.requests.add((label, str(refusal.status)))
            raise
        except asyncio.CancelledError:
            self.metrics.gone.add((label,))
            raise
        self.metrics.requests.add((label, str(client.status)))

    async def _relay(self, dialect: Dialect, request: Request, client: Client) -> None:
        arrived = self._monotonic()
        catalog = self.catalog
        body, model, stream = _read(request, dialect)
        account = request.key
        assert isinstance(account, Account)
        pool = catalog.pools.get(model)
        if pool is None or not account.may_ask(model):
            self.metrics.refused.add(("", "model"))
            known = sorted(filter(account.may_ask, catalog.pools))
            raise Refusal(
                404, "model_not_found", f"model {model[:100]!r} is not here, expected one of {', '.join(known)}",
                param="model",
            )  # fmt: skip
        members = pool.members

        def tags(attempt: Attempt) -> bytes:
            return _tags(attempt.member.name, attempt.number, attempt.member not in members)

        relay = Relay(
            dialect, body, _forwarded(request, dialect), catalog.lines.get, self.limits, self._monotonic,
            client if stream else None, tags,
        )  # fmt: skip
        ask = _ask(dialect, body, request, account, catalog.deadline_s, stream)
        taken = self._take(account, model, ask.tokens, arrived)
        problem = ""
        try:
            served = await pool.call(relay.send, ask)
            if served.degraded:
                self.metrics.degraded.add((model,))
            else:
                self.answered[model] = self._monotonic()
            if stream:
                client.end()
            else:
                client.reply(200, served.value, _tags(served.endpoint, served.attempts, served.degraded))
        except Passed as refused:
            problem = str(refused.status)
            client.reply(refused.status, refused.body, content_type=refused.content_type)
        except Interrupted as error:
            problem = error.code
            self.metrics.interrupted.add((model,))
            if not client.status:
                raise Refusal(502, "interrupted", str(error)) from error
            client.write(dialect.interrupted(str(error)))
            client.end()
        except EndpointError as error:
            refusal = _refused(error)
            problem = refusal.code
            self.metrics.refused.add((model, refusal.code))
            raise refusal from error
        except asyncio.CancelledError:
            problem = "client_gone"
            raise
        finally:
            self._observe(dialect, model, relay, arrived, problem)
            if account is not _everybody:
                metrics, labels = self.metrics, (account.name, model)
                metrics.key_requests.add(labels)
                metrics.key_tokens.add(labels, relay.tokens)
            if taken is not None and account.limiter is not None:
                account.limiter.settle(self._monotonic(), taken, relay.tokens)

    def _take(self, account: Account, model: str, tokens: int, now: float) -> Taken | None:
        """Count a request against what its key allows. Raises Refusal."""
        if account.limiter is None:
            return None
        taken = account.limiter.take(now, tokens)
        if isinstance(taken, Taken):
            return taken
        self.metrics.refused.add((model, taken.bound))
        raise Refusal(
            429,
            "rate_limit_exceeded",
            f"key {account.name!r} has used up its {taken.bound}: come back later",
            retry_after_s=taken.retry_after_s,
        )

    def _observe(self, dialect: Dialect, model: str, relay: Relay, arrived: float, problem: str) -> None:
        metrics, now, operation = self.metrics, self._monotonic(), dialect.name
        metrics.duration.observe((operation, model, problem), now - arrived)
        if relay.first:
            metrics.first_token.observe((operation, model), relay.first - arrived)
            if relay.frames > 1:
                metrics.per_token.observe((operation, model), (now - relay.first) / (relay.frames - 1))
        if relay.input_tokens:
            metrics.tokens.observe((operation, model, "input"), relay.input_tokens)
        if relay.output_tokens:
            metrics.tokens.observe((operation, model, "output"), relay.output_tokens)


def _label(path: bytes) -> str:
    """A path as a label: what stands below /v1/models and /v1/pools is left out."""
    shown = path.decode("ascii", "replace")
    return shown if shown.count("/") < 3 or shown == "/v1/chat/completions" else "/".join(shown.split("/")[:3]) + "/…"


def _read(request: Request, dialect: Dialect) -> tuple[Body, str, bool]:
    """The body, the model it asks for, and whether the answer shall come as a stream."""
    try:
        body = Body(request.body)
        model, stream = body.value("model"), body.value("stream")
    except (msgspec.MsgspecError, UnicodeDecodeError, RecursionError):
        raise Refusal(400, "body", "the body is no JSON object that can be read") from None
    if not isinstance(model, str) or not model:
        raise Refusal(400, "model", "the body names no model: give one that /v1/models lists", param="model")
    if stream and not dialect.streams:
        raise Refusal(400, "stream", f"{dialect.name} are not streamed: leave stream out", param="stream")
    return body, model, stream is True


def _ask(
    dialect: Dialect, body: Body, request: Request, account: Account, deadline_s: float, stream: bool
) -> Ask:
    headers, fields = request.headers, body.fields
    given = headers.get(b"x-outlast-deadline")
    if given is not None:
        deadline_s = min(deadline_s, _seconds(given))
    priority = account.priority
    wanted = headers.get(b"x-outlast-priority")
    if wanted is not None:
        asked = _PRIORITIES.get(wanted.lower())
        if asked is None:
            raise Refusal(400, "priority", "header x-outlast-priority is not understood: write high, normal or low")
        priority = asked if _RANK[asked] < _RANK[priority] else priority
    session = headers.get(b"x-outlast-session", b"").decode("latin-1")
    if not session and "prompt_cache_key" in fields:
        session = str(body.value("prompt_cache_key"))
    needs: set[str] = set()
    if "tools" in fields:
        needs.add("tools")
    if "response_format" in fields or "text" in fields:
        needs.add("schema")
    return Ask(
        deadline_s=deadline_s,
        priority=priority,
        affinity=session[:256],
        tokens=_estimate(dialect, body),
        stream=stream,
        needs=frozenset(needs),
    )


def _estimate(dialect: Dialect, body: Body) -> int:
    """Tokens of prompt and answer: four bytes a token, and what the request allows for the answer."""
    tokens = len(body.raw) // bytes_per_token
    for name in dialect.limits:
        if name in body.fields:
            allowed = body.value(name)
            if isinstance(allowed, int):
                tokens += max(allowed, 0)
            break
    return tokens


def _seconds(text: bytes) -> float:
    try:
        value = float(text)
    except ValueError:
        value = 0.0
    if not 0 < value < 1e9:
        raise Refusal(400, "deadline", "header x-outlast-deadline is not understood: write seconds, more than 0")
    return value


def _forwarded(request: Request, dialect: Dialect) -> bytes:
    headers = request.headers
    lines = b"".join([b"%b: %b\r\n" % (name, headers[name]) for name in _FORWARDED if name in headers])
    if dialect.shape == "anthropic" and b"anthropic-version" not in headers:
        lines += b"anthropic-version: " + _anthropic_version + b"\r\n"
    return lines


def _tags(endpoint: str, attempts: int, degraded: bool) -> bytes:
    """The header lines that say who answered."""
    return b"x-outlast-endpoint: %b\r\nx-outlast-attempts: %d\r\n%b" % (
        endpoint.encode("ascii", "replace"),
        attempts,
        b"x-outlast-degraded: true\r\n" if degraded else b"",
    )


def _refused(error: EndpointError) -> Refusal:
    """What a client is told when no member answered."""
    if isinstance(error, PoolOverloaded):
        return Refusal(429, "overloaded", str(error), retry_after_s=error.retry_after_s or 1.0)
    if isinstance(error, EndpointOverloaded):
        return Refusal(429, "overloaded", str(error), retry_after_s=error.retry_after_s or 1.0)
    if isinstance(error, EndpointRefused):
        return Refusal(502, error.code, str(error))
    return Refusal(503, error.code, str(error), retry_after_s=error.retry_after_s or 1.0)


def _wrong_method(request: Request, expected: bytes) -> Refusal:
    shown = request.method[:20].decode("ascii", "backslashreplace")
    return Refusal(405, "method", f"method {shown} is not for this path: use {expected.decode()}", allow=expected)
