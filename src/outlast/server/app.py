"""The ASGI application: the routes, and around them from the inside out guard, gate, problems, linger."""

from __future__ import annotations

import asyncio
from typing import Any

from starlette.routing import Router
from starlette.types import ASGIApp, Receive, Scope, Send

from outlast.agent.app import App
from outlast.agent.control import Control
from outlast.kernel.error import InvariantBroken
from outlast.server.agents import Agents
from outlast.server.auth import Guard
from outlast.server.follow import Followers
from outlast.server.gate import Gate
from outlast.server.health import Health
from outlast.server.limit import Limits
from outlast.server.linger import Linger
from outlast.server.log import Log
from outlast.server.openapi import make_document
from outlast.server.problem import Problems
from outlast.server.root import Root
from outlast.server.runs import Runs
from outlast.server.sessions import Sessions


class Api:
    """The HTTP API of one app as an ASGI application.

    `token`: what clients must send, None for nothing. `loopback`: only this machine can reach it, so the Host header is
    checked. The store's notices reach followers while `listen` has been called and `stop` has not.
    """

    def __init__(
        self, control: Control, app: App[Any], *, log: Log, token: str | None, loopback: bool, limits: Limits
    ) -> None:
        platform = control.platform
        self.followers = Followers(control, limits, platform.clock)
        document = make_document(app, authenticated=token is not None)
        router = Router(
            [
                *Root(app.name, sorted(app.agents), document).routes(),
                *Health(platform, limits, lambda: self.followers.stopping).routes(),
                *Runs(control, self.followers, limits).routes(),
                *Sessions(control).routes(),
                *Agents(control, app, limits).routes(),
            ],
            redirect_slashes=False,
        )
        self._router = router
        self.gate = Gate(Guard(self._route, token=token, loopback=loopback), limits)
        self._outermost: ASGIApp = Linger(Problems(self.gate, log), limits, platform.clock, log)
        self.broken: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        """Raises what a request found to be broken in Outlast itself: the process must end."""

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        try:
            await self._outermost(scope, receive, send)
        except InvariantBroken as broken:  # uvicorn would make a 500 of it and go on
            if not self.broken.done():
                self.broken.set_exception(broken)
            raise

    async def _route(self, scope: Scope, receive: Receive, send: Send) -> None:
        scope["app"] = self  # with it, the router raises what it refuses, instead of answering in plain text
        await self._router(scope, receive, send)
