from __future__ import annotations

import asyncio
import json
from collections.abc import Awaitable, Callable

import pytest

from outlast.agent.control import Control
from outlast.server.limit import Limits
from tests.server.site import Site, desk, running

Until = Callable[..., Awaitable[None]]
GET = b"GET /livez HTTP/1.1\r\nHost: localhost\r\n"


def parts(raw: bytes) -> tuple[int, dict[str, str], bytes]:
    head, _, body = raw.partition(b"\r\n\r\n")
    first, *lines = head.decode("latin-1").split("\r\n")
    headers = {name.lower(): value for name, _, value in (line.partition(": ") for line in lines)}
    return int(first.split()[1]), headers, body


def problem(raw: bytes) -> tuple[int, str]:
    status, headers, body = parts(raw)
    assert headers["content-type"] == "application/problem+json"
    assert headers["connection"] == "close"
    assert int(headers["content-length"]) == len(body)
    assert json.loads(body)["status"] == status
    return status, json.loads(body)["code"]


MALFORMED = [
    b"\x00\x01\x02\x03\r\n\r\n",
    b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03\r\n\r\n",  # the begin of a TLS handshake
    b"GET /livez\r\n\r\n",
    b"GET  /livez HTTP/1.1\r\nHost: localhost\r\n\r\n",
    b"GET /livez HTTP/9.9\r\nHost: localhost\r\n\r\n",
    b"GET /livez HTTP/1.1\r\n\r\n",  # no Host
    b"GET /livez HTTP/1.1\r\nHost: localhost\r\nHost: localhost\r\n\r\n",
    b"GET /livez HTTP/1.1\r\nHost : localhost\r\n\r\n",
    b"GET /liv\xffez HTTP/1.1\r\nHost: localhost\r\n\r\n",
    GET + b"X: a\x00b\r\n\r\n",
    GET + b"X\r\n\r\n",
    GET + b"Content-Length: -1\r\n\r\n",
    GET + b"Content-Length: 5, 6\r\n\r\nhello",
    GET + b"Content-Length: 5\r\nContent-Length: 6\r\n\r\nhello",
    GET + b"Content-Length: 0x10\r\n\r\n",
    GET + b"Content-Length: +5\r\n\r\nhello",
    GET + b"Content-Length: 123456789012345678901234567890\r\n\r\n",
    GET + b"Transfer-Encoding: gzip\r\n\r\n",
    GET + b"Transfer-Encoding: chunked, chunked\r\n\r\n",
    b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n",
]


async def test_what_is_not_http_is_refused_with_a_problem(site: Site) -> None:
    for sent in MALFORMED:
        status, code = problem(await site.raw(sent))
        assert (status, code) in [(400, "bad_request"), (413, "body_too_large"), (501, "bad_request")]
        assert (await site.get("/livez")).status == 200
        assert site.log.getvalue() == ""


async def test_both_framings_at_once_are_refused(site: Site) -> None:
    sent = b"POST /v1/agents/quiet/runs HTTP/1.1\r\nHost: localhost\r\nContent-Type: application/json\r\n"
    raw = await site.raw(sent + b"Content-Length: 2\r\nTransfer-Encoding: chunked\r\n\r\n2\r\n{}\r\n0\r\n\r\n")
    assert problem(raw) == (400, "bad_request")


async def test_broken_chunks_are_refused(site: Site) -> None:
    for chunks in [
        b"zz\r\n{}\r\n0\r\n\r\n",
        b"-2\r\n{}\r\n",
        b"ffffffffffffffffffffffff\r\n{}",
        b"2\r\n{}}}\r\n0\r\n\r\n",
    ]:
        head = b"POST /v1/agents/quiet/runs HTTP/1.1\r\nHost: localhost\r\nContent-Type: application/json\r\n"
        raw = await site.raw(head + b"Transfer-Encoding: chunked\r\n\r\n", chunks)
        assert problem(raw) == (400, "bad_request")
        assert (await site.get("/v1/runs")).json["runs"] == []


async def test_a_head_that_never_ends_is_cut_off(control: Control) -> None:
    async with running(control, desk(), limits=Limits(header_timeout_s=0.3)) as site:
        async with asyncio.timeout(10):
            reader, writer = await asyncio.open_connection("127.0.0.1", site.port)
            writer.write(b"GET /livez HTTP/1.1\r\n")
            dripping = asyncio.create_task(_drip(writer))
            assert problem(await reader.read()) == (408, "too_slow")
            dripping.cancel()
            writer.close()


async def _drip(writer: asyncio.StreamWriter) -> None:
    """A slowloris: a header now and then keeps a connection alive for ever, if nobody looks at the whole."""
    try:
        for number in range(1000):
            writer.write(b"X-%d: 1\r\n" % number)
            await writer.drain()
            await asyncio.sleep(0.02)
    except ConnectionError:
        return


async def test_a_second_head_that_never_ends_is_cut_off_too(control: Control) -> None:
    async with running(control, desk(), limits=Limits(header_timeout_s=0.3, keep_alive_s=30)) as site:
        for rest in (b"GET /livez HT", b"\r\n", b"\r\n\r\n\r\n"):
            raw = await site.raw(GET + b"\r\n", rest, deadline_s=10)
            assert raw.startswith(b"HTTP/1.1 200 ")


async def test_a_connection_that_says_nothing_is_closed(control: Control) -> None:
    async with running(control, desk(), limits=Limits(header_timeout_s=0.2)) as site:
        assert await site.raw(b"", deadline_s=10) == b""


async def test_an_idle_connection_is_closed_after_its_time(control: Control) -> None:
    async with running(control, desk(), limits=Limits(header_timeout_s=5, keep_alive_s=0.2)) as site:
        assert (await site.raw(GET + b"\r\n", deadline_s=4)).startswith(b"HTTP/1.1 200 ")


async def test_a_body_that_never_ends_is_cut_off(control: Control) -> None:
    async with running(control, desk(), limits=Limits(body_timeout_s=0.3, linger_s=0.2)) as site:
        head = b"POST /v1/agents/quiet/runs HTTP/1.1\r\nHost: localhost\r\nContent-Type: application/json\r\n"
        assert problem(await site.raw(head + b"Content-Length: 10\r\n\r\n{")) == (408, "too_slow")
        chunked = head + b"Transfer-Encoding: chunked\r\n\r\n1\r\n{\r\n"
        assert problem(await site.raw(chunked)) == (408, "too_slow")


async def test_the_head_is_bounded(site: Site) -> None:
    for headers in (
        b"X: " + b"a" * 17_000 + b"\r\n",
        b"X: " + b"a" * 100_000 + b"\r\n",
        b"".join(b"X-%d: 1\r\n" % number for number in range(65)),
        b"X: " + b"a" * 10_000_000,
    ):
        assert problem(await site.raw(GET + headers + b"Connection: close\r\n\r\n")) == (431, "headers_too_large")


async def test_the_target_is_bounded(site: Site) -> None:
    sent = b"GET /v1/runs?" + b"a" * 5000 + b" HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n"
    assert problem(await site.raw(sent)) == (414, "target_too_long")


async def test_connections_are_bounded(control: Control) -> None:
    async with running(control, desk(), limits=Limits(connections_max=3)) as site:
        held = [await asyncio.open_connection("127.0.0.1", site.port) for _ in range(3)]
        for _, writer in held:
            writer.write(GET)
        assert problem(await site.raw(b"")) == (503, "overloaded")
        for _, writer in held:
            writer.close()
            await writer.wait_closed()
        for _ in range(100):
            raw = await site.raw(GET + b"Connection: close\r\n\r\n")
            if raw.startswith(b"HTTP/1.1 200 "):
                break
        else:
            pytest.fail("places were not given back")


async def test_pipelined_requests_are_answered_in_order(site: Site) -> None:
    raw = await site.raw(
        GET + b"\r\n" + b"GET /none HTTP/1.1\r\nHost: localhost\r\n\r\n" + GET + b"Connection: close\r\n\r\n"
    )
    assert [piece[:3] for piece in raw.split(b"HTTP/1.1 ")[1:]] == [b"200", b"404", b"200"]


async def test_an_upgrade_is_ignored(site: Site) -> None:
    raw = await site.raw(
        b"GET /livez HTTP/1.1\r\nHost: localhost\r\nConnection: upgrade, close\r\nUpgrade: websocket\r\n"
        b"Sec-WebSocket-Key: x\r\nSec-WebSocket-Version: 13\r\n\r\n"
    )
    assert parts(raw)[0] == 200
    assert site.log.getvalue() == ""


async def test_a_client_that_does_not_read_its_answer_is_cut_off(control: Control) -> None:
    """Its connection's buffers fill up; the request is ended by its bound on time and the connection with it."""
    limits = Limits(request_timeout_s=0.3, linger_s=0.2, keep_alive_s=0.5)
    async with running(control, desk(), limits=limits) as site:
        document = (await site.get("/openapi.json")).body
        reader, writer = await asyncio.open_connection("127.0.0.1", site.port, limit=1024)
        transport = writer.transport
        assert isinstance(transport, asyncio.ReadTransport)
        transport.pause_reading()
        request = b"GET /openapi.json HTTP/1.1\r\nHost: localhost\r\n\r\n"
        try:
            async with asyncio.timeout(20):
                for _ in range(20_000_000 // len(document)):
                    writer.write(request)
                    await writer.drain()
                transport.resume_reading()
                while await reader.read(1 << 20):
                    pass
        except ConnectionError:
            pass
        writer.close()
        assert (await site.get("/livez")).status == 200
