"""The wire in a drill's hand."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable

import aiohttp
import pytest
from aiohttp import web

from outlast.drill.gate import Gate

Handler = Callable[[web.Request], Awaitable[web.StreamResponse]]


class Origin:
    """A server whose answer a test decides."""

    def __init__(self) -> None:
        self.url = ""
        self.asked = asyncio.Event()
        self.go = asyncio.Event()
        self.go.set()

    async def answer(self, request: web.Request) -> web.Response:
        body = await request.text()
        self.asked.set()
        await self.go.wait()
        status = 404 if "missing" in request.path else 200
        return web.json_response({"path": request.path_qs, "said": body}, status=status)


@pytest.fixture
async def origin() -> AsyncIterator[Origin]:
    found = Origin()
    app = web.Application()
    app.router.add_route("*", "/{path:.*}", found.answer)
    runner = web.AppRunner(app, shutdown_timeout=0.1)
    await runner.setup()
    await web.TCPSite(runner, "127.0.0.1", 0).start()
    found.url = f"http://127.0.0.1:{runner.addresses[0][1]}"
    yield found
    found.go.set()
    await runner.cleanup()


async def test_it_passes_on_what_it_gets_and_counts_who_was_answered(origin: Origin) -> None:
    async with Gate(lambda: origin.url, lambda raw: raw.decode()) as gate, aiohttp.ClientSession(gate.url) as session:
        async with session.post("/a?b=1", data=b"one") as answer:
            assert await answer.json() == {"path": "/a?b=1", "said": "one"}
        async with session.post("/missing", data=b"two") as answer:
            assert answer.status == 404
        async with session.get("/health") as answer:
            assert answer.status == 200
        assert gate.answered == {"one": 1}


async def test_while_it_is_sick_everybody_is_refused(origin: Origin) -> None:
    async with Gate(lambda: origin.url, lambda raw: raw.decode()) as gate, aiohttp.ClientSession(gate.url) as session:
        gate.sick = True
        async with session.post("/a", data=b"one") as answer:
            assert answer.status == 503
        gate.sick = False
        async with session.post("/a", data=b"two") as answer:
            assert answer.status == 200
        assert (gate.refused, gate.answered) == (1, {"two": 1})


async def test_who_has_left_was_not_answered(origin: Origin, until: Callable[..., Awaitable[None]]) -> None:
    async with Gate(lambda: origin.url, lambda raw: raw.decode()) as gate:
        async with aiohttp.ClientSession(gate.url) as session:
            origin.go.clear()
            asking = asyncio.create_task(session.post("/a", data=b"one"))
            await asyncio.wait_for(origin.asked.wait(), 10)
            asking.cancel()
            await asyncio.gather(asking, return_exceptions=True)
        assert gate._runner is not None
        assert gate._runner.server is not None
        server = gate._runner.server
        await until(lambda: not server.connections, 20, "the wire knows that it has left")
        origin.go.set()
        async with aiohttp.ClientSession(gate.url) as session, session.post("/a", data=b"two") as answer:
            assert answer.status == 200
        assert gate.answered == {"two": 1}


async def test_a_server_that_is_gone_looks_gone() -> None:
    async with Gate(lambda: "http://127.0.0.1:9", lambda raw: "x") as gate, aiohttp.ClientSession(gate.url) as session:
        with pytest.raises(aiohttp.ClientError):
            async with session.post("/a", data=b"one"):
                raise AssertionError("nobody answers")
        assert gate.answered == {}
