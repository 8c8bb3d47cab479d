"""The server's life: bind, answer, beat, stop. One call, for the process that the supervisor starts and for tests."""

from __future__ import annotations

import asyncio
import contextlib
import logging
import socket
import sys
from collections.abc import Callable, Generator
from typing import Any, TextIO

import uvicorn

from outlast.agent.app import App
from outlast.agent.control import Control
from outlast.blueprint.schema import Listen
from outlast.kernel.clock import Clock
from outlast.server.app import Api
from outlast.server.auth import check_token
from outlast.server.limit import Limits
from outlast.server.listening import is_local, listen_on, where
from outlast.server.log import Log
from outlast.server.wire import Wire

beat_every_s = 0.1
_backlog = 128


async def serve(
    control: Control,
    app: App[Any],
    *,
    listen: Listen | None = None,
    token: str | None = None,
    stop: asyncio.Event,
    ready: Callable[[str], None],
    beat: Callable[[int], None] | None = None,
    limits: Limits | None = None,
    log_to: TextIO | None = None,
    log_requests: bool = False,
) -> None:
    """Answer HTTP until `stop` is set, then stop gracefully (at most `Limits.drain_s` more).

    `ready` is called once with the address (``http://127.0.0.1:7788``) when clients can connect. `beat` is called from
    the loop every 100 ms, until the very end, with the number of requests and followers. Logs are JSON lines to
    `log_to` (default: standard error), failures only unless `log_requests`.

    Raises ConfigurationError if the address cannot be used, or can be reached from elsewhere and there is no `token`.
    """
    limits = limits or Limits()
    listening = bind(listen or Listen(), token)
    try:
        log = Log(log_to or sys.stderr, control.platform.clock, requests=log_requests, secret=token)
        api = Api(control, app, log=log, token=token, loopback=is_local(listening), limits=limits)
        server = _Server(_configure(api, limits))
        with _relayed(log):
            beating = asyncio.create_task(_beat(control.platform.clock, api, beat))
            try:
                await _answer(server, api, listening, stop, ready)
            finally:
                api.followers.stop()
                beating.cancel()
    finally:
        listening.close()


async def _answer(
    server: _Server, api: Api, listening: socket.socket, stop: asyncio.Event, ready: Callable[[str], None]
) -> None:
    async def end() -> None:
        await stop.wait()
        api.followers.stop()
        server.should_exit = True

    async def announce() -> None:
        await server.up.wait()
        ready(f"http://{where(listening)}")

    async with asyncio.TaskGroup() as group:
        ending = group.create_task(end())
        announcing = group.create_task(announce())
        api.broken.add_done_callback(server.leave)
        try:
            await server.serve([listening])
        finally:
            server.abandon()
        ending.cancel()
        announcing.cancel()
    if api.broken.done():
        await api.broken


def bind(listen: Listen, token: str | None) -> socket.socket:
    """A socket that listens there. Raises ConfigurationError; see `serve`."""
    if token is not None:
        check_token(token)
    needed = "no token is set: set server.token (token: env:OUTLAST_TOKEN in outlast.yaml)"
    return listen_on(listen, _backlog, "" if token is not None else needed)


async def _beat(clock: Clock, api: Api, beat: Callable[[int], None] | None) -> None:
    while beat is not None:
        beat(api.gate.answering + api.followers.count)
        await clock.sleep(beat_every_s)


def _configure(api: Api, limits: Limits) -> uvicorn.Config:
    return uvicorn.Config(
        api,
        http=Wire.bounded(limits),
        ws="none",
        lifespan="off",
        interface="asgi3",
        log_config=None,
        access_log=False,
        proxy_headers=False,
        server_header=False,
        timeout_keep_alive=limits.keep_alive_s,  # type: ignore[arg-type] # handed to call_later, which takes fractions
        timeout_graceful_shutdown=limits.drain_s,  # type: ignore[arg-type] # handed to wait_for, as above
        h11_max_incomplete_event_size=limits.header_bytes_max + limits.target_bytes_max,
    )


class _Server(uvicorn.Server):
    """Leaves signals to the process that it runs in, and says when it is up."""

    def __init__(self, config: uvicorn.Config) -> None:
        super().__init__(config)
        self.up = asyncio.Event()

    @contextlib.contextmanager
    def capture_signals(self) -> Generator[None]:
        yield

    def leave(self, why: object) -> None:
        """Stop without waiting for anybody."""
        self.should_exit = self.force_exit = True

    def abandon(self) -> None:
        """Close what is still open: nothing after a graceful stop, everything when the process is cancelled."""
        if self.started:
            for listener in self.servers:
                listener.close()
        for connection in list(self.server_state.connections):
            connection.transport.abort()

    async def startup(self, sockets: list[socket.socket] | None = None) -> None:
        await super().startup(sockets)
        self.up.set()


@contextlib.contextmanager
def _relayed(log: Log) -> Generator[None]:
    """Uvicorn's own errors go where ours go, for as long as the server lives."""
    theirs = logging.getLogger("uvicorn.error")
    handler = log.handler()
    before = theirs.propagate
    theirs.addHandler(handler)
    theirs.propagate = False
    try:
        yield
    finally:
        theirs.removeHandler(handler)
        theirs.propagate = before
