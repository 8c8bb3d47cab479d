"""A proxy before an emulator of AWS that can refuse or cut calls."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

from aiohttp import ClientSession, web


class Proxy:
    """Stands before an emulator; counts calls by what they ask, and answers in its place when told to."""

    def __init__(self, behind: str) -> None:
        self.url = ""
        self.calls: list[str] = []
        self.errors: list[tuple[int, str]] = []
        """Status and code of the next answers; 0: the connection is cut. The last one stays if `for_ever`."""
        self.for_ever = False
        self._behind = behind

    async def answer(self, request: web.Request) -> web.StreamResponse:
        body = await request.read()
        self.calls.append(request.headers.get("X-Amz-Target", "").rpartition(".")[2])
        if self.errors:
            status, code = self.errors[0] if self.for_ever else self.errors.pop(0)
            if status == 0:
                assert request.transport is not None
                request.transport.abort()
                return web.Response()
            answer = {"__type": code, "message": f"{code} by the proxy"}
            return web.json_response(answer, status=status, content_type="application/x-amz-json-1.1")
        headers = {name: value for name, value in request.headers.items() if name.lower() != "host"}
        async with ClientSession() as session, session.post(self._behind, data=body, headers=headers) as got:
            return web.Response(body=await got.read(), status=got.status, content_type=got.content_type)


@asynccontextmanager
async def proxied(behind: str) -> AsyncIterator[Proxy]:
    proxy = Proxy(behind)
    application = web.Application()
    application.router.add_route("*", "/{path:.*}", proxy.answer)
    runner = web.AppRunner(application)
    await runner.setup()
    site = web.TCPSite(runner, "127.0.0.1", 0)
    await site.start()
    assert site._server is not None
    proxy.url = f"http://127.0.0.1:{site._server.sockets[0].getsockname()[1]}"  # type: ignore[attr-defined] # asyncio's
    try:
        yield proxy
    finally:
        await runner.cleanup()
