"""The lean upstream client, against raw bytes on real sockets."""

from __future__ import annotations

import asyncio
import ssl
import subprocess
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import pytest

from outlast.adapters.host.clock import SystemClock
from outlast.adapters.openai.connection import Upstream
from outlast.adapters.openai.origin import parse_origin
from outlast.kernel.error import ConfigurationError
from outlast.model.endpoint import EndpointRefused, EndpointUnavailable

Until = Callable[..., Awaitable[None]]
OK = b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nhi"
HEAD = b"POST /v1/x HTTP/1.1\r\nHost: x\r\nContent-Length: 0\r\n\r\n"


class Server:
    """Answers each request, and each new connection, with what the test gives it."""

    def __init__(self, *answers: bytes, then: str = "", tls: ssl.SSLContext | None = None) -> None:
        self.answers = list(answers)
        self.then = then
        self.tls = tls
        self.requests = 0
        self.connections = 0
        self.open = 0
        self.port = 0

    @asynccontextmanager
    async def up(self) -> AsyncIterator[Server]:
        server = await asyncio.start_server(self._serve, "127.0.0.1", 0, ssl=self.tls)
        self.port = server.sockets[0].getsockname()[1]
        try:
            yield self
        finally:
            server.close()

    @property
    def url(self) -> str:
        return f"http{'s' if self.tls else ''}://127.0.0.1:{self.port}/v1"

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self.connections += 1
        self.open += 1
        try:
            while await reader.readuntil(b"\r\n\r\n"):
                self.requests += 1
                writer.write(self.answers.pop(0) if len(self.answers) > 1 else self.answers[0])
                await writer.drain()
                if self.then == "reset":
                    writer.transport.abort()
                if self.then == "close":
                    return
        except (asyncio.IncompleteReadError, ConnectionError):
            pass
        finally:
            self.open -= 1
            writer.close()


def upstream(server: Server, **options: Any) -> Upstream:
    return Upstream(server.url, SystemClock(), **options)


async def ask(to: Upstream) -> bytes:
    exchange = to.begin()
    answer = await asyncio.wait_for(exchange.ask(HEAD, b""), 20)
    body = await answer.whole(1000)
    exchange.done()
    return body


async def test_a_connection_is_kept_and_used_again() -> None:
    async with Server(OK).up() as server:
        to = upstream(server)
        assert [await ask(to) for _ in range(5)] == [b"hi"] * 5
        assert (server.connections, server.requests) == (1, 5)
        to.close()


async def test_connections_that_the_server_wants_closed_are_not_kept(until: Until) -> None:
    async with Server(OK.replace(b"\r\n\r\n", b"\r\nConnection: close\r\n\r\n")).up() as server:
        to = upstream(server)
        assert [await ask(to) for _ in range(3)] == [b"hi"] * 3
        assert server.connections == 3
        await until(lambda: server.open == 0, 20)


async def test_a_body_without_length_ends_with_its_connection() -> None:
    async with Server(b"HTTP/1.1 200 OK\r\n\r\nhello", then="close").up() as server:
        assert await ask(upstream(server)) == b"hello"


async def test_informational_answers_are_passed_over() -> None:
    async with Server(b"HTTP/1.1 103 Early Hints\r\nLink: x\r\n\r\nHTTP/1.1 100 Continue\r\n\r\n" + OK).up() as server:
        exchange = (to := upstream(server)).begin()
        answer = await exchange.ask(HEAD, b"")
        assert (answer.status, answer.headers) == (200, {b"content-length": b"2"})
        exchange.abort()
        to.close()


@pytest.mark.parametrize(
    ("sent", "then", "said"),
    [
        (b"", "close", "broke off"),
        (b"", "reset", "broke off|reset"),
        (b"HTTP/1.1 200 OK\r\nContent-Le", "close", "broke off"),
        (b"HTTP/1.1 200 OK\r\nContent-Length: 9\r\n\r\nhal", "close", "broke off"),
        (b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n2\r\nhi\r\n", "close", "broke off"),
        (b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\nzz\r\n", "", "no HTTP"),
        (b"SSH-2.0-OpenSSH_9.6\r\n", "", "no HTTP"),
        (b"HTTP/1.1 101 Switching Protocols\r\nUpgrade: x\r\nConnection: upgrade\r\n\r\n", "", "no HTTP"),
        (b"HTTP/1.1 200 OK\r\nX: " + b"a" * 100_000, "", "head_bytes_max"),
    ],
)
async def test_what_is_no_whole_answer_is_unavailable_and_says_why(sent: bytes, then: str, said: str) -> None:
    async with Server(sent, then=then).up() as server:
        with pytest.raises(EndpointUnavailable, match=said):
            await ask(upstream(server))


async def test_an_answer_above_its_bound_is_refused_while_it_comes() -> None:
    endless = b"HTTP/1.1 200 OK\r\nContent-Length: 100000000\r\n\r\n" + b"a" * 5000
    async with Server(endless).up() as server:
        with pytest.raises(EndpointRefused, match="response_bytes_max") as caught:
            await ask(upstream(server))
        assert caught.value.elsewhere
    async with Server(b"HTTP/1.1 200 OK\r\nContent-Length: 2000\r\n\r\n" + b"a" * 2000).up() as server:
        with pytest.raises(EndpointRefused, match="response_bytes_max"):
            await ask(upstream(server))


async def test_words_that_nobody_asked_for_end_a_kept_connection() -> None:
    async with Server(OK + b"HTTP/1.1 200 OK\r\n", OK).up() as server:
        to = upstream(server)
        assert await ask(to) == b"hi"
        assert await ask(to) == b"hi"
        assert server.connections == 2
        to.close()


async def test_nothing_listens_and_no_name_are_said() -> None:
    async with Server(OK).up() as server:
        pass
    with pytest.raises(EndpointUnavailable, match="refused"):
        await ask(upstream(server))
    with pytest.raises(EndpointUnavailable, match="cannot be connected"):
        await ask(Upstream("http://nowhere.invalid:1/v1", SystemClock()))


async def test_an_abort_ends_whoever_waits_and_closes_the_connection(until: Until) -> None:
    async with Server(b"HTTP/1.1 200 OK\r\n").up() as server:
        exchange = upstream(server).begin()
        asking = asyncio.create_task(exchange.ask(HEAD, b""))
        await until(lambda: server.requests == 1, 20)
        exchange.abort()
        with pytest.raises(EndpointUnavailable, match="given up"):
            await asyncio.wait_for(asking, 20)
        await until(lambda: server.open == 0, 20)


async def test_an_exchange_that_was_given_up_does_not_begin() -> None:
    async with Server(OK).up() as server:
        exchange = upstream(server).begin()
        exchange.abort()
        with pytest.raises(EndpointUnavailable, match="given up"):
            await exchange.ask(HEAD, b"")
        assert server.requests == 0


async def test_an_answer_that_is_about_to_end_may_be_given_back_early(until: Until) -> None:
    async with Server(OK[:-1], OK).up() as server:
        to = upstream(server)
        exchange = to.begin()
        answer = await exchange.ask(HEAD, b"")
        assert await answer.chunk() == b"h"
        exchange.done()  # the last byte never comes: the next request needs a connection of its own
        assert await ask(to) == b"hi"
        assert server.connections == 2
        to.close()
        await until(lambda: server.open == 0, 20)


async def test_idle_connections_grow_old_and_are_closed(until: Until) -> None:
    async with Server(OK).up() as server:
        to = upstream(server, idle_s=0.0)
        assert await ask(to) == b"hi"
        assert await ask(to) == b"hi"
        assert server.connections == 2
        to.sweep()
        await until(lambda: server.open == 0, 20)


@pytest.mark.parametrize(
    ("url", "authority", "path"),
    [
        ("http://127.0.0.1:8001/v1", "127.0.0.1:8001", "/v1"),
        ("https://api.example.com", "api.example.com", "/v1"),
        ("https://api.example.com:8443/openai/v1/", "api.example.com:8443", "/openai/v1"),
        ("http://[::1]:80/v1", "[::1]", "/v1"),
    ],
)
def test_an_origin_is_read_off_its_url(url: str, authority: str, path: str) -> None:
    origin = parse_origin(url)
    assert (origin.authority, origin.path) == (authority, path)


@pytest.mark.parametrize(
    "url", ["", "ftp://h/v1", "http://", "http://h:99999/v1", "http://h/v1?a=b", "http://h/v1\r\nX: y", "http://u:hunter2@h"]
)
def test_what_is_no_origin_is_refused_and_no_password_is_shown(url: str) -> None:
    with pytest.raises(ConfigurationError) as caught:
        parse_origin(url)
    assert "hunter2" not in str(caught.value)


async def test_tls_is_verified(tmp_path: Path) -> None:
    made = subprocess.run(
        ["openssl", "req", "-x509", "-newkey", "rsa:2048", "-nodes", "-keyout", "key.pem", "-out", "cert.pem", "-days",
         "2", "-subj", "/CN=localhost", "-addext", "subjectAltName=IP:127.0.0.1"],
        cwd=tmp_path, capture_output=True,
    )  # fmt: skip
    assert made.returncode == 0, made.stderr
    context = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
    context.load_cert_chain(tmp_path / "cert.pem", tmp_path / "key.pem")
    async with Server(OK, tls=context).up() as server:
        trusting = upstream(server, tls=lambda: ssl.create_default_context(cafile=str(tmp_path / "cert.pem")))
        assert await ask(trusting) == b"hi"
        trusting.close()
        with pytest.raises(EndpointUnavailable, match=r"certificate|TLS"):
            await ask(upstream(server))


async def test_a_kept_connection_that_closes_without_a_word_is_replaced_once() -> None:
    async with Server(OK, b"").up() as server:
        to = upstream(server)
        assert await ask(to) == b"hi"
        server.then = "close"
        server.answers = [b"", OK]
        assert await ask(to) == b"hi"
        assert (server.connections, server.requests) == (2, 3)
        server.answers = [b""]
        with pytest.raises(EndpointUnavailable, match="broke off"):
            await ask(to)
        assert server.requests == 4  # a new connection that closes so is an answer of its own
        to.close()
