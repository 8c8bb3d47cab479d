"""The pages beside the protocols: /livez, /readyz, /metrics, /v1/models."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Iterable
from typing import Any, Literal

import msgspec

from outlast.kernel.clock import Clock
from outlast.model.endpoint import EndpointError
from outlast.model.pool import Ask, Pool
from outlast.server.gateway.dialect import chat
from outlast.server.gateway.gateway import Gateway, Page
from outlast.server.gateway.refusal import Refusal
from outlast.server.gateway.relay import Body, Passed, Relay
from outlast.server.gateway.request import Request
from outlast.server.gateway.wire import Client

evidence_s = 10.0
"""An answer that a client got proves for so long that its model answers."""
probe_timeout_s = 5.0
"""How long a model that nobody asked lately may take to answer a probe."""
probe_again_s = 5.0
"""A probe's verdict is repeated for so long: whoever asks /readyz more often does not ask the models more often."""

_exposition = b"text/plain; version=0.0.4; charset=utf-8"

Verdict = Literal["answers", "degraded", "down"]
"""``degraded``: only another model answers in its place."""


class Ready(msgspec.Struct, frozen=True):
    """What /readyz says. `ready` is false only while the gateway stops."""

    ready: bool
    degraded: bool
    models: dict[str, Verdict]


class Pages:
    """Puts its pages into a gateway. `extra` are more lines of metrics, `stopping` whether it takes nothing new."""

    def __init__(
        self,
        gateway: Gateway,
        clock: Clock,
        *,
        extra: Callable[[], Iterable[str]] = lambda: (),
        stopping: Callable[[], bool] = lambda: False,
    ) -> None:
        self._gateway = gateway
        self._clock = clock
        self._extra = extra
        self._stopping = stopping
        self._probed: dict[str, tuple[float, Verdict]] = {}
        self._probing: asyncio.Task[None] | None = None
        gateway.pages[b"/livez"] = Page(b"GET", self._livez)
        gateway.pages[b"/readyz"] = Page(b"GET", self._readyz)
        gateway.pages[b"/metrics"] = Page(b"GET", self._metrics)
        gateway.pages[b"/v1/models"] = Page(b"GET", self._models, keyed=True)
        gateway.pages[b"/v1/models/"] = Page(b"GET", self._model, keyed=True)

    async def _livez(self, request: Request, client: Client) -> None:
        """The process answers: never depends on a model."""
        client.reply(200, b'{"live":true}')

    async def _readyz(self, request: Request, client: Client) -> None:
        """Proves that models answer. When none does it fails open, and says so: a balancer that took every gateway out
        for that would make an outage of models an outage of everything (Amazon Builders' Library, "Implementing health
        checks").
        """
        if self._stopping():
            client.reply(503, msgspec.json.encode(Ready(False, False, {})))
            return
        if self._probing is None:
            self._probing = asyncio.get_running_loop().create_task(self._probe())
            self._probing.add_done_callback(self._probe_ended)
        await asyncio.shield(self._probing)
        models: dict[str, Verdict] = {name: self._verdict(name) for name in self._gateway.catalog.pools}
        degraded = any(verdict != "answers" for verdict in models.values())
        body = msgspec.json.encode(Ready(True, degraded, models))
        client.reply(200, body, b"x-outlast-degraded: true\r\n" if degraded else b"")

    def _probe_ended(self, probing: asyncio.Task[None]) -> None:
        self._probing = None

    async def _probe(self) -> None:
        """Ask every model that has neither answered a client nor been probed lately, all at once."""
        now = self._clock.monotonic()
        for name in self._probed.keys() - self._gateway.catalog.pools.keys():
            del self._probed[name]
        async with asyncio.TaskGroup() as group:
            for name, pool in self._gateway.catalog.pools.items():
                fresh = now - self._gateway.answered.get(name, -evidence_s) < evidence_s
                probed, _ = self._probed.get(name, (-probe_again_s, "down"))
                if not fresh and now - probed >= probe_again_s:
                    group.create_task(self._ask(name, pool))

    async def _ask(self, name: str, pool: Pool) -> None:
        question = {"model": name, "messages": [{"role": "user", "content": "ping"}], "max_tokens": 1}
        gateway = self._gateway
        relay = Relay(
            chat, Body(msgspec.json.encode(question)), b"", gateway.catalog.lines.get, gateway.limits,
            self._clock.monotonic, None, lambda attempt: b"",
        )  # fmt: skip
        verdict: Verdict = "answers"
        try:
            served = await pool.call(relay.send, Ask(deadline_s=probe_timeout_s, hedge=False))
            verdict = "degraded" if served.degraded else "answers"
        except Passed:
            pass  # a model for embeddings, say: it answered
        except EndpointError:
            verdict = "down"
        self._probed[name] = (self._clock.monotonic(), verdict)

    def _verdict(self, name: str) -> Verdict:
        if self._clock.monotonic() - self._gateway.answered.get(name, -evidence_s) < evidence_s:
            return "answers"
        return self._probed.get(name, (0.0, "down"))[1]

    async def _metrics(self, request: Request, client: Client) -> None:
        self._gateway.command(request, client)
        lines = [*self._gateway.metrics.lines(), *self._extra()]
        client.reply(200, ("\n".join(lines) + "\n").encode(), content_type=_exposition)

    async def _models(self, request: Request, client: Client) -> None:
        """The models that the key may ask for, as both OpenAI's and Anthropic's clients read them."""
        shown = [_shown(name) for name in self._names(request)]
        body = {
            "object": "list",
            "data": shown,
            "has_more": False,
            "first_id": shown[0]["id"] if shown else None,
            "last_id": shown[-1]["id"] if shown else None,
        }
        client.reply(200, msgspec.json.encode(body))

    async def _model(self, request: Request, client: Client) -> None:
        name = request.path.removeprefix(b"/v1/models/").decode("utf-8", "replace")
        if name not in self._names(request):
            raise Refusal(404, "model_not_found", f"model {name[:100]!r} is not here: see /v1/models", param="model")
        client.reply(200, msgspec.json.encode(_shown(name)))

    def _names(self, request: Request) -> list[str]:
        return sorted(filter(self._gateway.identify(request).may_ask, self._gateway.catalog.pools))


def _shown(name: str) -> dict[str, Any]:
    return {
        "id": name,
        "object": "model",
        "created": 0,
        "owned_by": "outlast",
        "type": "model",
        "display_name": name,
        "created_at": "1970-01-01T00:00:00Z",
    }
