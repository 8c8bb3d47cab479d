"""Active checks of a server, on real sockets."""

from __future__ import annotations

import asyncio
import socket
from collections.abc import Awaitable, Callable
from contextlib import asynccontextmanager

import pytest

from outlast.adapters.openai.probe import probe
from outlast.model.endpoint import EndpointUnavailable
from outlast.model.member import Member, MemberPolicy, Target
from outlast.policy.outlier import OutlierPolicy, Pace


def member(port: int, scheme: str = "http") -> Member:
    target = Target("own", f"{scheme}://127.0.0.1:{port}/v1")
    return Member(target, Pace(OutlierPolicy(), "own"), MemberPolicy())


@asynccontextmanager
async def serving(answer: Callable[[bytes], bytes | None]):
    """A server that reads a head and answers what it is told; None: nothing, for ever."""
    heads: list[bytes] = []

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        try:
            heads.append(await reader.readuntil(b"\r\n\r\n"))
            said = answer(heads[-1])
            if said is None:
                await reader.read()
            else:
                writer.write(said)
                await writer.drain()
        except (asyncio.IncompleteReadError, OSError):
            pass
        finally:
            writer.transport.abort()

    server = await asyncio.start_server(serve, "127.0.0.1", 0)
    try:
        yield server.sockets[0].getsockname()[1], heads
    finally:
        server.close()


@pytest.mark.parametrize("status", [b"200 OK", b"401 Unauthorized", b"404 Not Found"])
async def test_whoever_answers_http_is_up_and_is_sent_no_key(status: bytes) -> None:
    async with serving(lambda head: b"HTTP/1.1 " + status + b"\r\nContent-Length: 0\r\n\r\n") as (port, heads):
        await probe(member(port), "connection", 5.0)
        await probe(member(port), "application", 5.0)
    assert heads[-1].startswith(b"GET /v1/models HTTP/1.1\r\nHost: 127.0.0.1:%d\r\n" % port)
    assert b"authorization" not in heads[-1].lower()


@pytest.mark.parametrize(
    ("said", "problem"),
    [
        (b"HTTP/1.1 503 Service Unavailable\r\n\r\n", "answered 503"),
        (b"SSH-2.0-OpenSSH_9.6\r\n", "answered no HTTP"),
        (b"", "answered nothing"),
        (b"x" * 10_000, "broke off"),
    ],
)
async def test_whoever_does_not_answer_http_is_down(said: bytes, problem: str) -> None:
    async with serving(lambda head: said) as (port, _):
        await probe(member(port), "connection", 5.0)
        with pytest.raises(EndpointUnavailable, match=problem):
            await probe(member(port), "application", 5.0)


async def test_a_port_that_nobody_listens_on_cannot_be_connected() -> None:
    with socket.socket() as held:
        held.bind(("127.0.0.1", 0))
        with pytest.raises(EndpointUnavailable, match="cannot be connected"):
            await probe(member(held.getsockname()[1]), "connection", 5.0)


async def test_a_server_without_tls_is_down_where_tls_is_asked_for() -> None:
    async with serving(lambda head: b"") as (port, _):
        with pytest.raises(EndpointUnavailable, match="cannot be connected"):
            await probe(member(port, "https"), "connection", 1.0)


async def test_a_check_can_be_cancelled(until: Callable[..., Awaitable[None]]) -> None:
    async with serving(lambda head: None) as (port, heads):
        task = asyncio.ensure_future(probe(member(port), "application", 5.0))
        await until(lambda: heads)
        task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await task
