"""A proxy on loopback in front of an emulator, that throttles, fails, and loses requests and answers by a seed."""

from __future__ import annotations

import json
import random
from collections import Counter
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

import aiohttp
from aiohttp import web

from outlast.adapters.aws.client import Place

FAULTS = ("throttled", "failed", "lost_request", "lost_answer")
KEPT = ("content-type", "x-amzn-requestid", "x-amz-crc32")


class Proxy:
    """`share` of the requests meet a fault; `counts` says how many met which: faults that never bit prove nothing."""

    def __init__(self, upstream: str, seed: int) -> None:
        self.share = 0.0
        self.partial = False
        self.refuse_once: dict[str, str] = {}
        """The code with which the next call of an operation is refused."""
        self.counts: Counter[str] = Counter()
        self.asked: set[str] = set()
        """Operations that were asked for."""
        self._upstream = upstream
        self._dice = random.Random(seed)
        self._session = aiohttp.ClientSession(auto_decompress=False)

    async def handle(self, request: web.Request) -> web.StreamResponse:
        body = await request.read()
        operation = request.headers.get("x-amz-target", "").rpartition(".")[2]
        self.asked.add(operation)
        if (code := self.refuse_once.pop(operation, None)) is not None:
            return web.json_response({"__type": code, "message": "told to"}, status=400)
        fault = self._dice.choice(FAULTS) if self._dice.random() < self.share else "none"
        self.counts[fault] += 1
        if fault == "throttled":
            return web.json_response({"__type": "ThrottlingException", "message": "slow down"}, status=400)
        if fault == "failed":
            return web.json_response({"__type": "InternalFailure", "message": "it broke"}, status=500)
        if fault == "lost_request":
            return self._cut(request)
        if self.partial and operation == "PutEvents":
            return await self._half(request, json.loads(body)["Entries"])
        async with self._session.request(
            request.method, self._upstream + request.path_qs, data=body, headers=request.headers
        ) as answer:
            content = await answer.read()
            if fault == "lost_answer":
                return self._cut(request)
            kept = {
                name: value for name, value in answer.headers.items() if name.lower().startswith(("x-", "content-t"))
            }
            return web.Response(body=content, status=answer.status, headers=kept)

    async def _half(self, request: web.Request, entries: list[Any]) -> web.Response:
        """Every other entry goes through; the rest, says the answer, was throttled."""
        headers = {name: value for name, value in request.headers.items() if name.lower() != "content-length"}
        kept = json.dumps({"Entries": entries[::2]}).encode()
        async with self._session.post(self._upstream + request.path_qs, data=kept, headers=headers) as answer:
            taken = json.loads(await answer.read())["Entries"]
        told = [taken[n // 2] if n % 2 == 0 else {"ErrorCode": "ThrottlingException"} for n in range(len(entries))]
        self.counts["partial"] += len(entries) > 1
        return web.json_response({"FailedEntryCount": len(entries) // 2, "Entries": told})

    def _cut(self, request: web.Request) -> web.Response:
        assert request.transport is not None
        request.transport.close()
        return web.Response()

    async def close(self) -> None:
        await self._session.close()


@asynccontextmanager
async def faulty(place: Place, seed: int) -> AsyncIterator[tuple[Proxy, Place]]:
    """The proxy and where it is."""
    assert place.endpoint_url is not None
    proxy = Proxy(place.endpoint_url, seed)
    app = web.Application(client_max_size=1 << 22)
    app.router.add_route("*", "/{path:.*}", proxy.handle)
    runner = web.AppRunner(app, shutdown_timeout=0.1)
    await runner.setup()
    site = web.TCPSite(runner, "127.0.0.1", 0)
    await site.start()
    try:
        yield proxy, Place(place.region, f"http://127.0.0.1:{runner.addresses[0][1]}")
    finally:
        await runner.cleanup()
        await proxy.close()
