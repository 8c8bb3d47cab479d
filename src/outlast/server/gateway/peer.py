"""What other replicas of the gateway see of the endpoints: hints, and no more than that.

Each second every peer is asked for its pools. An endpoint that is out of rotation there is checked here at once
(`Pool.hint`): it goes out here only if our own check fails too, and one that is well here stays. A peer that is away,
slow or talks nonsense costs nothing; it is said in the metrics.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Iterable

import msgspec

from outlast.adapters.openai.connection import Upstream
from outlast.kernel.clock import Clock
from outlast.kernel.error import ConfigurationError
from outlast.kernel.randomness import Randomness
from outlast.model.endpoint import EndpointError
from outlast.model.pool import Pool
from outlast.model.view import PoolView
from outlast.server.gateway.metric import family

peer_every_s = 1.0
"""How often each peer is asked, give or take a quarter."""
peer_timeout_s = 1.0
"""How long it may take to answer."""
peer_bytes_max = 4 << 20
"""How much it may say: 4 MiB."""


class _Told(msgspec.Struct):
    pools: list[PoolView]


class Peer:
    """One other gateway. `problem` says why it could not be read the last time; empty: it could."""

    def __init__(self, url: str, clock: Clock) -> None:
        self.url = url
        self.problem = "not asked yet"
        self._upstream = Upstream(url, clock)

    async def pools(self, token: str) -> list[PoolView]:
        """What it sees now; nothing if it cannot be read."""
        exchange = self._upstream.begin()
        try:
            async with asyncio.timeout(peer_timeout_s):
                answer = await exchange.ask(self._head(token), b"")
                raw = await answer.whole(peer_bytes_max)
            if answer.status != 200:
                self.problem = f"it answered {answer.status}"
                return []
            exchange.done()
            told = msgspec.json.decode(raw, type=_Told)
        except TimeoutError:
            self.problem = f"no answer within {peer_timeout_s:g} s"
            return []
        except (EndpointError, msgspec.MsgspecError, UnicodeDecodeError, RecursionError) as error:
            self.problem = str(error)
            return []
        finally:
            exchange.abort()
        self.problem = ""
        return told.pools

    def close(self) -> None:
        """Close its connections."""
        self._upstream.close()

    def _head(self, token: str) -> bytes:
        origin = self._upstream.origin
        lines = [f"GET {origin.path}/pools HTTP/1.1", f"Host: {origin.authority}", "User-Agent: outlast"]
        if token:
            lines.append(f"Authorization: Bearer {token}")
        return ("\r\n".join(lines) + "\r\nContent-Length: ").encode() + b"0\r\n\r\n"


class Peers:
    """All other gateways; `run` until it is cancelled."""

    def __init__(
        self,
        urls: Iterable[str],
        pools: Callable[[], Iterable[Pool]],
        token: Callable[[], str],
        clock: Clock,
        randomness: Randomness,
    ) -> None:
        """`pools` are ours, `token` is the admin token that the peers ask for; it may raise ConfigurationError."""
        self.peers = [Peer(url, clock) for url in urls]
        self._pools = pools
        self._token = token
        self._clock = clock
        self._randomness = randomness

    async def run(self) -> None:
        """Ask every peer, again and again."""
        async with asyncio.TaskGroup() as group:
            for peer in self.peers:
                group.create_task(self._follow(peer))

    async def _follow(self, peer: Peer) -> None:
        while True:
            await self._clock.sleep(peer_every_s * (0.75 + 0.5 * self._randomness.uniform()))
            await self.ask(peer)

    async def ask(self, peer: Peer) -> None:
        """Ask one peer and give what it knows to the pools of the same names."""
        try:
            token = self._token()
        except ConfigurationError as error:
            peer.problem = str(error)
            return
        views = {view.name: view for view in await peer.pools(token)}
        for pool in self._pools():
            if (view := views.get(pool.name)) is not None:
                pool.hint(view)

    def metrics(self) -> Iterable[str]:
        """Which peers could be read, as text."""
        values = [((peer.url,), float(not peer.problem)) for peer in self.peers]
        return family("outlast_gateway_peer_up", "Whether another replica could be read.", "gauge", ("peer",), values)

    def close(self) -> None:
        """Close all connections."""
        for peer in self.peers:
            peer.close()
