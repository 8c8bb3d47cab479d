"""A wire that a drill holds in its hand: passes requests on, or answers 503, and keeps books of what was answered.

It stands before a real server. What it writes down is what the caller surely could read: an answer to a caller that
has left is not counted.
"""

from __future__ import annotations

from collections.abc import Callable

import aiohttp
from aiohttp import web

answer_within_s = 60.0
body_bytes_max = 16 * 1024 * 1024
_kept = ("content-type", "authorization", "accept")


class Gate:
    """An async context manager. `origin` gives the server's base URL; `subject` reads in a request who it is about."""

    def __init__(self, origin: Callable[[], str], subject: Callable[[bytes], str]) -> None:
        self.url = ""
        self.sick = False
        """Whether every request is answered with 503, for as long as it is so."""
        self.refused = 0
        """Requests that were."""
        self.answered: dict[str, int] = {}
        """By subject, how often it was answered with 200."""
        self._origin = origin
        self._subject = subject
        self._runner: web.AppRunner | None = None
        self._session: aiohttp.ClientSession | None = None

    async def __aenter__(self) -> Gate:
        self._session = aiohttp.ClientSession(timeout=aiohttp.ClientTimeout(total=answer_within_s))
        app = web.Application(client_max_size=body_bytes_max)
        app.router.add_route("*", "/{path:.*}", self._pass)
        self._runner = web.AppRunner(app, access_log=None, shutdown_timeout=0.1, handler_cancellation=True)
        await self._runner.setup()
        await web.TCPSite(self._runner, "127.0.0.1", 0).start()
        self.url = f"http://127.0.0.1:{self._runner.addresses[0][1]}"
        return self

    async def __aexit__(self, *_: object) -> None:
        if self._runner is not None:
            await self._runner.cleanup()
        if self._session is not None:
            await self._session.close()

    async def _pass(self, request: web.Request) -> web.Response:
        if self.sick:
            self.refused += 1
            return web.json_response({"error": {"message": "the drill says no", "type": "overloaded"}}, status=503)
        assert self._session is not None
        body = await request.read()
        headers = {key: value for key, value in request.headers.items() if key.lower() in _kept}
        url = f"{self._origin()}{request.path_qs}"
        try:
            async with self._session.request(request.method, url, data=body, headers=headers) as found:
                raw, status, kind = await found.read(), found.status, found.content_type
        except (aiohttp.ClientError, TimeoutError):
            if request.transport is not None:
                request.transport.close()  # the caller sees what it would see without us: a connection that ends
            raise web.HTTPBadGateway from None
        about = self._subject(body) if request.method == "POST" and status == 200 else ""
        if about and request.transport is not None and not request.transport.is_closing():
            self.answered[about] = self.answered.get(about, 0) + 1
        return web.Response(body=raw, status=status, content_type=kind)
