"""The gateway's life: bind, answer, beat, stop. One call: on its own, under a supervisor, and in tests."""

from __future__ import annotations

import asyncio
import ipaddress
import os
import socket
import ssl
from collections.abc import Callable

from outlast.blueprint.schema import Listen
from outlast.kernel.clock import Clock
from outlast.kernel.error import ConfigurationError
from outlast.server.gateway.gateway import Gateway
from outlast.server.gateway.wire import Client, House

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
    try:
        family, _, _, _, address = socket.getaddrinfo(
            listen.host, listen.port, type=socket.SOCK_STREAM, flags=socket.AI_PASSIVE
        )[0]
    except (OSError, UnicodeError) as error:
        raise ConfigurationError(f"address {listen} is not known: {error}; use 127.0.0.1 and a port") from None
    if not keys and not ipaddress.ip_address(str(address[0]).partition("%")[0]).is_loopback:
        raise ConfigurationError(
            f"address {listen} can be reached from other machines, and no keys are set: set gateway.keys "
            "(keys: {team: {key: env:TEAM_KEY}} in outlast.yaml), or listen on 127.0.0.1"
        )
    # the protocol is named because asyncio turns Nagle's algorithm off only where it is: 44 ms a request otherwise
    listening = socket.socket(family, socket.SOCK_STREAM, socket.IPPROTO_TCP)
    try:
        listening.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        listening.setblocking(False)
        listening.bind(address)
        listening.listen(_backlog)
    except OSError as error:
        listening.close()
        why = os.strerror(error.errno).lower() if error.errno else str(error)
        raise ConfigurationError(
            f"address {listen} cannot be used: {why}; use another port, or 0 for any free one"
        ) from None
    return listening


def address_of(listening: socket.socket, *, secure: bool) -> str:
    """Where clients connect, such as ``http://127.0.0.1:7789``."""
    host, port = listening.getsockname()[:2]
    return f"{'https' if secure else 'http'}://{Listen(host, port)}"
