"""What one replica tells another: believed as far as a check of one's own, and never missed."""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from typing import Any

import msgspec
import pytest
from aiohttp import web

from outlast.adapters.host.clock import SystemClock
from outlast.adapters.host.randomness import OsRandomness
from outlast.kernel.error import ConfigurationError
from outlast.model.member import Target
from outlast.model.pool import Pool
from outlast.server.gateway.peer import Peers, peer_bytes_max

CLOCK, CHANCE = SystemClock(), OsRandomness()


def pool(name: str = "writer", *, fallback: Pool | None = None) -> Pool:
    targets = [Target(each, url=f"http://127.0.0.1:1/{each}", model="m") for each in "ab"]
    return Pool(name, targets, CLOCK, CHANCE, fallback=fallback)


def view(state: str = "open", pools: tuple[Pool, ...] = ()) -> bytes:
    """What a gateway says whose first endpoint is in this state."""
    told = msgspec.to_builtins({"pools": [one.view() for one in pools or (pool(),)]})
    for one in told["pools"]:
        one["members"][0]["state"] = state
    return msgspec.json.encode(told)


@asynccontextmanager
async def gateway(answer: Callable[[web.Request], web.StreamResponse]) -> AsyncIterator[str]:
    """Another gateway's /v1/pools on a real socket."""

    async def pools(request: web.Request) -> web.StreamResponse:
        return answer(request)

    app = web.Application()
    app.router.add_get("/v1/pools", pools)
    runner = web.AppRunner(app, shutdown_timeout=0.1)
    await runner.setup()
    site = web.TCPSite(runner, "127.0.0.1", 0)
    await site.start()
    try:
        yield f"http://127.0.0.1:{runner.addresses[0][1]}"
    finally:
        await runner.cleanup()


async def asked(url: str, mine: Pool, token: Callable[[], str] = lambda: "") -> Peers:
    pools = [mine, mine.fallback] if mine.fallback is not None else [mine]
    peers = Peers([url], lambda: [one for one in pools if one is not None], token, CLOCK, CHANCE)
    await peers.ask(peers.peers[0])
    peers.close()
    return peers


def suspects(mine: Pool) -> list[str]:
    return [member.name for member in mine.everybody if member.suspect]


@pytest.mark.parametrize("state", ["open", "sick"])
async def test_what_is_out_there_is_suspected_here_and_still_in_rotation(state: str) -> None:
    mine = pool()
    async with gateway(lambda request: web.Response(body=view(state))) as url:
        peers = await asked(url, mine)
    assert suspects(mine) == ["a"]
    assert [member.state for member in mine.view().members] == ["in", "in"], "a hint alone takes nothing out"
    assert not peers.peers[0].problem
    assert list(peers.metrics())[-1].endswith(" 1")


@pytest.mark.parametrize("state", ["in", "warming", "drained", "resting"])
async def test_what_is_well_or_out_for_reasons_of_its_own_is_no_hint(state: str) -> None:
    mine = pool()
    async with gateway(lambda request: web.Response(body=view(state))) as url:
        await asked(url, mine)
    assert suspects(mine) == []


async def test_pools_are_told_apart_by_their_names() -> None:
    mine = pool(fallback=Pool("other", [Target("c", url="http://127.0.0.1:1/c", model="m")], CLOCK, CHANCE))
    theirs = Pool("other", [Target("c", url="http://127.0.0.1:1/c", model="m")], CLOCK, CHANCE)
    async with gateway(lambda request: web.Response(body=view(pools=(pool("else"), theirs)))) as url:
        await asked(url, mine)
    assert suspects(mine) == ["c"]


BAD: dict[str, Callable[[web.Request], web.StreamResponse]] = {
    "refuses": lambda request: web.Response(status=403, body=view()),
    "talks nonsense": lambda request: web.Response(body=b"{nonsense"),
    "means something else": lambda request: web.Response(body=b'{"pools": [{"name": 3}]}'),
    "never ends": lambda request: web.Response(body=b" " * (peer_bytes_max + 1)),
    "is deep": lambda request: web.Response(body=b'{"pools": ' + b"[" * 100_000),
}


@pytest.mark.parametrize("how", BAD)
async def test_a_peer_that_cannot_be_read_costs_nothing_and_is_said(how: str) -> None:
    mine = pool()
    async with gateway(BAD[how]) as url:
        peers = await asked(url, mine)
    assert suspects(mine) == []
    assert peers.peers[0].problem
    assert list(peers.metrics())[-1].endswith(" 0")


async def test_a_peer_that_is_away_costs_nothing() -> None:
    assert (await asked("http://127.0.0.1:9", pool())).peers[0].problem


async def test_the_admin_token_goes_along_and_one_that_is_missing_is_said() -> None:
    seen: list[Any] = []

    def answer(request: web.Request) -> web.StreamResponse:
        seen.append(request.headers.get("Authorization"))
        return web.Response(body=view())

    def missing() -> str:
        raise ConfigurationError("GATEWAY_ADMIN is not set")

    async with gateway(answer) as url:
        await asked(url, pool(), lambda: "s3cret")
        peers = await asked(url, pool(), missing)
    assert seen == ["Bearer s3cret"]
    assert peers.peers[0].problem == "GATEWAY_ADMIN is not set"
