"""A gateway in the test's own loop, in front of model servers on real sockets."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import AsyncExitStack
from pathlib import Path
from typing import Any

import aiohttp
import pytest

from outlast.adapters.host.clock import SystemClock
from outlast.blueprint.model import Model, ModelEndpoint
from outlast.blueprint.schema import Gateway, Listen
from outlast.bootstrap.gateway import Assembly, Plan
from outlast.server.gateway.limit import GatewayLimits
from outlast.server.gateway.serve import bind, serve


class Site:
    """A running gateway: its address, and a client that keeps connections."""

    def __init__(
        self, address: str, assembly: Assembly, session: aiohttp.ClientSession, faults: list[Exception]
    ) -> None:
        self.address = address
        self.assembly = assembly
        self.session = session
        self.faults = faults

    @property
    def port(self) -> int:
        return int(self.address.rpartition(":")[2])

    async def post(self, path: str, body: Any, headers: dict[str, str] | None = None) -> tuple[int, Any, Any]:
        """Status, headers, and the JSON body."""
        async with self.session.post(self.address + path, json=body, headers=headers) as response:
            return response.status, response.headers, await response.json(content_type=None)

    async def get(self, path: str, headers: dict[str, str] | None = None) -> tuple[int, Any, str]:
        async with self.session.get(self.address + path, headers=headers) as response:
            return response.status, response.headers, await response.text()

    async def raw(self, *pieces: bytes) -> bytes:
        """What comes back on a connection of its own, until it is closed."""
        reader, writer = await asyncio.open_connection("127.0.0.1", self.port)
        try:
            for one in pieces:
                writer.write(one)
                await writer.drain()
            return await asyncio.wait_for(reader.read(), 20)
        finally:
            writer.close()

    async def metrics(self) -> str:
        return (await self.get("/metrics"))[2]


Start = Callable[..., Awaitable[Site]]


@pytest.fixture
async def gateway(tmp_path: Path) -> AsyncIterator[Start]:
    """``await gateway(url, url, …)``: a gateway to one model ``writer`` behind these addresses."""
    async with AsyncExitStack() as stack:

        async def start(
            *urls: str,
            section: Gateway | None = None,
            limits: GatewayLimits | None = None,
            models: dict[str, Model] | None = None,
            environ: dict[str, str] | None = None,
            read: Callable[[], Plan] | None = None,
        ) -> Site:
            given = section or Gateway(listen=Listen(port=0))
            endpoints = tuple(ModelEndpoint(f"e{number}", url, model="m") for number, url in enumerate(urls, 1))
            known = models or {"writer": Model(endpoints)}
            clock = SystemClock()
            assembly = Assembly(read or (lambda: Plan(given, known)), tmp_path, environ or {}, limits)
            faults: list[Exception] = []
            ready: asyncio.Future[str] = asyncio.get_running_loop().create_future()
            serving = asyncio.create_task(
                serve(
                    assembly.gateway,
                    bind(given.listen, keys=bool(given.keys)),
                    clock,
                    stop=assembly.stop,
                    ready=ready.set_result,
                    broken=faults.append,
                    sweep=assembly.sweep,
                )
            )
            session = aiohttp.ClientSession(timeout=aiohttp.ClientTimeout(total=60))

            async def end() -> None:
                await session.close()
                assembly.stop.set()
                await asyncio.wait_for(serving, 40)
                await assembly.close()
                assert not faults, faults

            stack.push_async_callback(end)
            address = await asyncio.wait_for(ready, 20)
            return Site(address, assembly, session, faults)

        yield start
