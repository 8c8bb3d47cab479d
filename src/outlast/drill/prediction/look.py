"""Whether each part does what it does on other days, as a client sees it: by its answers alone."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable
from typing import Any

import aiohttp
import msgspec

from outlast.drill.prediction.desk import Desk, endpoints
from outlast.kernel.clock import Clock

answer_within_s = 4.0
"""An answer that takes longer is none."""
run_within_s = 6.0
_poll_s = 0.1
_TICKET = {"id": "T-1", "customer": "c-17", "text": "Where is my order 1004?"}


class _Run(msgspec.Struct, frozen=True):
    run: str


class _View(msgspec.Struct, frozen=True):
    state: str = ""


class Look:
    """Looks at every component of the desk at once."""

    def __init__(self, desk: Desk, session: aiohttp.ClientSession, clock: Clock) -> None:
        self._desk = desk
        self._session = session
        self._clock = clock

    async def affected(self) -> set[str]:
        """The components that do not answer, or answer worse."""
        names: dict[str, Awaitable[bool]] = {
            f"{model}.{name}": self._endpoint(name) for name, model in endpoints.items()
        }
        names |= {"writer": self._model("writer"), "helper": self._model("helper"), "support": self._agent()}
        names["journal"] = self._journal()
        found = await asyncio.gather(*names.values())
        affected = {name for name, good in zip(names, found, strict=True) if not good}
        if affected & {"writer", "helper"}:
            affected.add("front")  # what it gives out is what its models give
        return affected

    async def _endpoint(self, name: str) -> bool:
        return (await self._ask("GET", f"{self._desk.endpoints[name].url}/models"))[0] == 200

    async def _model(self, name: str) -> bool:
        """Asked through the gateway: an answer of the model itself, not of a lesser one."""
        address = self._desk.gateway()
        if address is None:
            return False
        body = {"model": name, "messages": [{"role": "user", "content": "hello"}], "max_tokens": 8}
        status, _, headers = await self._ask("POST", f"{address}/v1/chat/completions", body)
        return status == 200 and "x-outlast-degraded" not in headers

    async def _journal(self) -> bool:
        return await self._start("journal") is not None

    async def _agent(self) -> bool:
        """A run that is started now ends in time, and no lesser model answered in it."""
        until = self._clock.monotonic() + run_within_s
        run = await self._start("support")
        address = self._desk.system.address()
        while run is not None and address is not None and self._clock.monotonic() < until:
            status, raw, _ = await self._ask("GET", f"{address}/v1/runs/{run}")
            state = msgspec.json.decode(raw, type=_View).state if status == 200 else ""
            if state in ("succeeded", "completed", "done"):
                status, raw, _ = await self._ask("GET", f"{address}/v1/runs/{run}/events?limit=200")
                return status == 200 and b'"degraded":true' not in raw.replace(b" ", b"")
            if state in ("failed", "held", "cancelled"):
                return False
            await self._clock.sleep(_poll_s)
        return False

    async def _start(self, purpose: str) -> str | None:
        address = self._desk.system.address()
        if address is None:
            return None
        body = {"input": {"ticket": {**_TICKET, "id": f"T-{purpose}"}}}
        status, raw, _ = await self._ask("POST", f"{address}/v1/agents/support/runs", body)
        return msgspec.json.decode(raw, type=_Run).run if status in (200, 201, 202) else None

    async def _ask(self, method: str, url: str, body: Any = None) -> tuple[int, bytes, dict[str, str]]:
        """Status, content, headers; status 0 where there is no answer."""
        bound = aiohttp.ClientTimeout(total=answer_within_s)
        try:
            async with self._session.request(method, url, json=body, timeout=bound) as answer:
                headers = {key.lower(): value for key, value in answer.headers.items()}
                return answer.status, await answer.read(), headers
        except (aiohttp.ClientError, TimeoutError, OSError):
            return 0, b"", {}
