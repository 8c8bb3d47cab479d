"""Clients that are hostile, broken or slow, on raw sockets."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Awaitable, Callable
from datetime import UTC, datetime
from email.utils import parsedate_to_datetime

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from outlast.server.gateway.limit import GatewayLimits
from tests.server.gateway.conftest import Site, Start
from tests.server.gateway.upstream import LAST, ROLE, STREAM, Asked, ModelServer, piece, words

Until = Callable[..., Awaitable[None]]

BODY = json.dumps({"model": "writer", "messages": []}).encode()


def request(body: bytes = BODY, headers: str = "", target: str = "/v1/chat/completions", close: bool = True) -> bytes:
    end = "Connection: close\r\n" if close else ""
    return f"POST {target} HTTP/1.1\r\nHost: x\r\n{headers}{end}Content-Length: {len(body)}\r\n\r\n".encode() + body


def status(answer: bytes) -> int:
    return int(answer.split(b" ", 2)[1])


@pytest.mark.parametrize(
    "sent",
    [
        b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03",
        b"GARBAGE\r\n\r\n",
        b"GET / HTTP/9.9\r\n\r\n",
        b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n",
        b"POST /v1/chat/completions HTTP/1.1\r\nContent-Length: 2\r\n\r\n{}",
        b"POST /livez HTTP/1.1\r\nHost: x\r\nContent-Length: -5\r\n\r\n",
        b"POST /livez HTTP/1.1\r\nHost: x\r\nContent-Length: 5\r\nContent-Length: 6\r\n\r\n",
        b"POST /livez HTTP/1.1\r\nHost: x\r\nContent-Length: 5\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n",
        b"GET /livez HTTP/1.1\r\nHost: x\r\nBad Header: 1\r\n\r\n",
        b"POST /v1/chat/completions HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\nzz\r\n",
    ],
)
async def test_what_is_no_http_is_refused_and_closed(gateway: Start, sent: bytes) -> None:
    async with ModelServer() as server:
        site = await gateway(server.url)
        answer = await site.raw(sent)
        assert status(answer) == 400
        assert json.loads(answer.partition(b"\r\n\r\n")[2])["error"]["type"] == "invalid_request_error"
        assert not server.asked
        assert status(await site.raw(request())) == 200


@pytest.mark.parametrize(
    ("sent", "expected"),
    [
        (b"GET /nowhere HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n", 404),
        (b"GET /v1/chat/completions HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n", 405),
        (b"DELETE /livez HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n", 405),
        (b"GET /livez HTTP/1.1\r\nHost: x\r\nX: " + b"a" * 40_000 + b"\r\n\r\n", 431),
        (b"GET /" + b"a" * 40_000 + b" HTTP/1.1\r\nHost: x\r\n\r\n", 431),
        (b"POST /v1/chat/completions HTTP/1.1\r\nHost: x\r\nContent-Length: 99999999999\r\n\r\n", 413),
        (b"POST /v1/chat/completions HTTP/1.1\r\nHost: x\r\nContent-Length: " + b"9" * 30 + b"\r\n\r\n", 400),
        (request(b"[]"), 400),
        (request(b'{"model": 3}'), 400),
        (request(b'{"model": "writer"'), 400),
        (request(b'{"model": "nobody"}'), 404),
        (request(b'{"model": "\xff"}'), 400),
        (request(b"[" * 50_000), 400),
        (request(headers="x-outlast-priority: urgent\r\n"), 400),
        (request(headers="x-outlast-deadline: soon\r\n"), 400),
        (request(b'{"model": "writer", "input": "x", "stream": true}', target="/v1/embeddings"), 400),
    ],
)
async def test_refusals_have_a_status_and_words(gateway: Start, sent: bytes, expected: int) -> None:
    async with ModelServer() as server:
        site = await gateway(server.url)
        answer = await site.raw(sent)
        assert status(answer) == expected
        error = json.loads(answer.partition(b"\r\n\r\n")[2])["error"]
        assert error["message"]
        assert error["code"]
        assert not server.asked


async def test_a_chunked_body_above_the_bound_is_refused(gateway: Start) -> None:
    async with ModelServer() as server:
        site = await gateway(server.url, limits=GatewayLimits(body_bytes_max=1000))
        head = b"POST /v1/chat/completions HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\n"
        assert status(await site.raw(head, *[piece(b"a" * 100)] * 20)) == 413


async def test_a_chunked_body_and_a_query_are_taken(gateway: Start) -> None:
    async with ModelServer() as server:
        site = await gateway(server.url)
        head = (
            b"POST /v1/chat/completions?api-version=1 HTTP/1.1\r\nHost: x\r\nConnection: close\r\n"
            b"Transfer-Encoding: chunked\r\n\r\n"
        )
        assert status(await site.raw(head, piece(BODY[:10]), piece(BODY[10:]), LAST)) == 200


async def test_who_expects_to_be_told_to_continue_is(gateway: Start) -> None:
    async with ModelServer() as server:
        site = await gateway(server.url)
        reader, writer = await asyncio.open_connection("127.0.0.1", site.port)
        writer.write(request(b"", "Expect: 100-continue\r\n").replace(b"Length: 0", b"Length: %d" % len(BODY)))
        assert await asyncio.wait_for(reader.readuntil(b"\r\n\r\n"), 20) == b"HTTP/1.1 100 Continue\r\n\r\n"
        writer.write(BODY)
        assert status(await asyncio.wait_for(reader.read(), 20)) == 200
        writer.close()


async def test_requests_sent_ahead_are_answered_in_order(gateway: Start) -> None:
    async with ModelServer() as server:
        site = await gateway(server.url)
        missing = request(b'{"model": "nobody"}', close=False)
        answer = await site.raw(request(close=False) + missing + request(close=False) + request())
        assert [int(part[:3]) for part in answer.split(b"HTTP/1.1 ")[1:]] == [200, 404, 200, 200]


async def test_more_requests_sent_ahead_than_may_are_not_answered(gateway: Start) -> None:
    async with ModelServer() as server:
        site = await gateway(server.url)
        answer = await site.raw(b"GET /livez HTTP/1.1\r\nHost: x\r\n\r\n" * 5000)
        assert 1 <= answer.count(b"HTTP/1.1 200") <= GatewayLimits().pipelined_max + 1


async def test_a_client_that_drips_its_headers_is_closed(gateway: Start) -> None:
    async with ModelServer() as server:
        site = await gateway(server.url, limits=GatewayLimits(head_timeout_s=0.2, sweep_s=0.05))
        reader, writer = await asyncio.open_connection("127.0.0.1", site.port)
        writer.write(b"GET /livez HTTP/1.1\r\nHost: x\r\nX-")
        assert status(await asyncio.wait_for(reader.read(), 20)) == 408
        writer.close()


async def test_a_client_that_drips_its_body_is_closed(gateway: Start) -> None:
    async with ModelServer() as server:
        site = await gateway(server.url, limits=GatewayLimits(head_timeout_s=0.1, body_timeout_s=0.2, sweep_s=0.05))
        reader, writer = await asyncio.open_connection("127.0.0.1", site.port)
        writer.write(request()[:-5])
        assert status(await asyncio.wait_for(reader.read(), 20)) == 408
        writer.close()


async def test_an_idle_connection_is_closed(gateway: Start) -> None:
    async with ModelServer() as server:
        site = await gateway(server.url, limits=GatewayLimits(keep_alive_s=0.2, sweep_s=0.05))
        reader, writer = await asyncio.open_connection("127.0.0.1", site.port)
        assert await asyncio.wait_for(reader.read(), 20) == b""
        writer.close()


async def test_connections_above_the_bound_are_told_so(gateway: Start) -> None:
    async with ModelServer() as server:
        site = await gateway(server.url, limits=GatewayLimits(connections_max=2))
        held = [await asyncio.open_connection("127.0.0.1", site.port) for _ in range(2)]
        reader, writer = await asyncio.open_connection("127.0.0.1", site.port)
        assert status(await asyncio.wait_for(reader.read(), 20)) == 503
        for _, one in [*held, (reader, writer)]:
            one.close()


async def test_a_slow_client_makes_its_endpoint_wait_and_memory_does_not_fill(gateway: Start, until: Until) -> None:
    sent = 0

    async def endlessly(asked: Asked, writer: asyncio.StreamWriter) -> None:
        nonlocal sent
        writer.write(STREAM + piece(ROLE))
        frame = piece(words("x" * 60_000))
        for _ in range(2000):
            writer.write(frame)
            await writer.drain()
            sent += len(frame)

    async with ModelServer(endlessly) as server:
        site = await gateway(server.url, limits=GatewayLimits(stall_s=1.5, sweep_s=0.05))
        reader, writer = await asyncio.open_connection("127.0.0.1", site.port, limit=2**16)
        writer.write(request(json.dumps({"model": "writer", "messages": [], "stream": True}).encode()))
        await reader.readuntil(b"\r\n\r\n")
        await until(lambda: server.open == 0, 20, "the stalled client was dropped, and its endpoint's connection")
        assert sent < 60_000_000  # of 120 MB: the rest was never read
        writer.close()


async def test_a_client_that_leaves_in_the_middle_of_its_body_leaves_nothing_behind(
    gateway: Start, until: Until
) -> None:
    async with ModelServer() as server:
        site = await gateway(server.url)
        for cut in (1, 20, 70, 100):
            _, writer = await asyncio.open_connection("127.0.0.1", site.port)
            writer.write(request()[:cut])
            await writer.drain()
            writer.close()
        assert status(await site.raw(request())) == 200
        assert len(server.asked) == 1


async def test_a_head_request_gets_no_body(gateway: Start) -> None:
    async with ModelServer() as server:
        site = await gateway(server.url)
        answer = await site.raw(b"HEAD /livez HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n")
        assert answer.endswith(b"\r\n\r\n")
        assert b"Content-Length: 13" in answer


async def test_an_old_client_gets_its_stream_until_the_connection_closes(gateway: Start) -> None:
    async with ModelServer() as server:
        site = await gateway(server.url)
        body = json.dumps({"model": "writer", "messages": [], "stream": True}).encode()
        answer = await site.raw(request(body).replace(b"HTTP/1.1", b"HTTP/1.0"))
        assert b"chunked" not in answer
        assert answer.endswith(b"data: [DONE]\n\n")


async def test_every_answer_says_when_it_was_given(gateway: Start) -> None:
    async with ModelServer() as server:
        site = await gateway(server.url)
        stream = json.dumps({"model": "writer", "messages": [], "stream": True}).encode()
        for sent in (request(), request(stream), request(b"[]")):
            head = (await site.raw(sent)).partition(b"\r\n\r\n")[0].decode()
            (date,) = [line[6:] for line in head.split("\r\n") if line.startswith("Date: ")]
            assert abs((parsedate_to_datetime(date) - datetime.now(UTC)).total_seconds()) < 60


@given(
    pieces=st.lists(
        st.one_of(
            st.binary(max_size=60),
            st.sampled_from([request(), request(close=False), b"GET /livez HTTP/1.1\r\nHost: x\r\n\r\n", b"\r\n"]),
        ),
        max_size=8,
    )
)
@settings(max_examples=60, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
def test_any_bytes_at_all_leave_a_gateway_that_answers(
    pieces: list[bytes], anything: Callable[[list[bytes]], None]
) -> None:
    anything(pieces)


@pytest.fixture
def anything(tmp_path: object) -> Callable[[list[bytes]], None]:
    """Throws bytes at a gateway of its own, which must still answer afterwards and have met no fault of its own."""
    from pathlib import Path

    from outlast.adapters.host.clock import SystemClock
    from outlast.blueprint.model import Model, ModelEndpoint
    from outlast.blueprint.schema import Gateway, Listen
    from outlast.bootstrap.gateway import Assembly, Plan
    from outlast.server.gateway.serve import bind, serve

    async def throw(pieces: list[bytes]) -> None:
        faults: list[Exception] = []
        async with ModelServer() as server:
            model = Model((ModelEndpoint("e1", server.url, model="m"),))
            plan = Plan(Gateway(listen=Listen(port=0)), {"writer": model})
            assembly = Assembly(lambda: plan, Path(str(tmp_path)), {})
            ready: asyncio.Future[str] = asyncio.get_running_loop().create_future()
            serving = asyncio.create_task(
                serve(
                    assembly.gateway,
                    bind(plan.section.listen, keys=False),
                    SystemClock(),
                    stop=assembly.stop,
                    ready=ready.set_result,
                    broken=faults.append,
                )
            )
            site = Site(await ready, assembly, None, faults)  # type: ignore[arg-type] # raw sockets only
            reader, writer = await asyncio.open_connection("127.0.0.1", site.port)
            for one in pieces:
                writer.write(one)
            writer.write_eof()
            await asyncio.wait_for(_swallow(reader), 20)
            writer.close()
            assert status(await site.raw(request())) == 200
            assembly.stop.set()
            await asyncio.wait_for(serving, 40)
            await assembly.close()
        assert not faults, faults

    return lambda pieces: asyncio.run(throw(pieces))


async def _swallow(reader: asyncio.StreamReader) -> None:
    try:
        await reader.read()
    except ConnectionError:
        pass
