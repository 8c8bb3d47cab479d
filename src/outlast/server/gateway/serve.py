"""The gateway's life: bind, answer, beat, stop. One call: on its own, under a supervisor, and in tests."""

from __future__ import annotations

import asyncio
import socket
import ssl
from collections.abc import Callable

from outlast.blueprint.schema import Listen
from outlast.kernel.clock import Clock
from outlast.server.gateway.gateway import Gateway
from outlast.server.gateway.wire import Client, House
from outlast.server.listening import listen_on, where

beat_every_s = 0.1
_backlog = 1024


async def serve(
    gateway: Gateway,
    listening: socket.socket,
    clock: Clock,
    *,
    stop: asyncio.Event,
    ready: Callable[[str], None],
    tls: ssl.SSLContext | None = None,
    beat: Callable[[int], None] | None = None,
    broken: Callable[[Exception], None] = lambda error: None,
    sweep: Callable[[], None] = lambda: None,
) -> None:
    """Answer until `stop` is set, then let what is under way end (`drain_s`) and close everything.

    `ready` is called once with the address when clients can connect, `beat` every 100 ms with the number of requests
    under way, `sweep` now and then to close what idles, `broken` with faults of the gateway itself.
    """
    limits = gateway.limits
    house = House(gateway, limits, clock)
    house.broken = broken
    loop = asyncio.get_running_loop()
    server = await loop.create_server(lambda: Client(house), sock=listening, ssl=tls, backlog=_backlog)
    upkeep = asyncio.create_task(_keep(house, clock, beat, sweep))
    try:
        ready(address_of(listening, secure=tls is not None))
        await stop.wait()
        server.close()
        house.drain()
        end = clock.monotonic() + limits.drain_s
        while house.connections and clock.monotonic() < end:
            await clock.sleep(0.01)
    finally:
        server.close()
        upkeep.cancel()
        house.close()


async def _keep(house: House, clock: Clock, beat: Callable[[int], None] | None, sweep: Callable[[], None]) -> None:
    swept = clock.monotonic()
    while True:
        await clock.sleep(beat_every_s if beat is not None else house.limits.sweep_s)
        if beat is not None:
            beat(house.busy)
        if clock.monotonic() - swept >= house.limits.sweep_s:
            swept = clock.monotonic()
            house.sweep()
            sweep()


def bind(listen: Listen, *, keys: bool) -> socket.socket:
    """A socket that listens there. Raises ConfigurationError if it cannot, or if others can reach it without a key."""
    needed = "no keys are set: set gateway.keys (keys: {team: {key: env:TEAM_KEY}} in outlast.yaml)"
    return listen_on(listen, _backlog, "" if keys else needed)


def address_of(listening: socket.socket, *, secure: bool) -> str:
    """Where clients connect, such as ``http://127.0.0.1:7789``."""
    return f"{'https' if secure else 'http'}://{where(listening)}"
