from __future__ import annotations

import asyncio
import contextlib
import io
import json
import socket
from collections.abc import Awaitable, Callable

import pytest

from outlast.agent.control import Control
from outlast.agent.platform import Platform
from outlast.blueprint.schema import Listen
from outlast.kernel.error import ConfigurationError, InvariantBroken
from outlast.server.limit import Limits
from outlast.server.serve import bind, serve
from tests.server.site import Site, desk, running

Until = Callable[..., Awaitable[None]]


@pytest.mark.parametrize("host", ["0.0.0.0", "::"])
def test_an_address_that_others_reach_needs_a_token(host: str) -> None:
    with pytest.raises(ConfigurationError, match="no token is set"):
        bind(Listen(host, 0), None)
    bind(Listen(host, 0), "correct-horse-battery-staple").close()


def test_a_host_that_only_looks_like_loopback_is_not_taken_for_it() -> None:
    with pytest.raises(ConfigurationError):
        bind(Listen("127.evil.invalid", 0), None)


@pytest.mark.parametrize("host", ["127.0.0.1", "localhost", "::1"])
def test_loopback_needs_no_token(host: str) -> None:
    bind(Listen(host, 0), None).close()


def test_a_port_in_use_is_a_clear_error() -> None:
    with socket.socket() as other:
        other.bind(("127.0.0.1", 0))
        other.listen()
        port = other.getsockname()[1]
        with pytest.raises(ConfigurationError, match=rf"127\.0\.0\.1:{port} cannot be used: address already in use"):
            bind(Listen("127.0.0.1", port), None)


def test_a_token_that_is_none_is_refused_before_anything_is_bound() -> None:
    with pytest.raises(ConfigurationError, match="bearer token"):
        bind(Listen("0.0.0.0", 0), "short")


async def test_it_can_be_reached_beyond_loopback_with_its_token_by_any_name(control: Control) -> None:
    token = "correct-horse-battery-staple"
    async with running(control, desk(), token=token, listen=Listen("0.0.0.0", 0)) as site:
        request = (
            f"GET /v1/runs HTTP/1.1\r\nHost: desk.example\r\nConnection: close\r\nAuthorization: Bearer {token}\r\n\r\n"
        )
        assert (await site.raw(request.encode())).startswith(b"HTTP/1.1 200 ")


def test_small_answers_are_not_held_back_by_the_kernel() -> None:
    """Asyncio sets TCP_NODELAY only on sockets that name their protocol; accepted ones inherit it."""
    listening = bind(Listen("127.0.0.1", 0), None)
    assert listening.proto == socket.IPPROTO_TCP
    listening.close()


async def test_it_beats_from_its_loop_until_it_has_stopped(site: Site, until: Until) -> None:
    await until(lambda: len(site.beats) > 3, 60, "it beats")


async def test_it_finishes_what_it_answers_and_takes_nothing_new(control: Control, until: Until) -> None:
    async with running(control, desk()) as site:
        waiting = asyncio.create_task(site.post("/v1/agents/quiet/runs", {}, Prefer="wait=30"))
        await until(lambda: site.busy == 1, 60, "it waits")
        ready = asyncio.create_task(site.get("/readyz"))
        await ready
        site.stop.set()
        answer = await waiting
        assert answer.status == 201
        assert answer.json["view"]["state"] == "ready"

        def refused() -> bool:
            with socket.socket() as client:
                return client.connect_ex(("127.0.0.1", site.port)) != 0

        await until(refused, 60, "nothing listens any more")


async def test_a_request_that_does_not_end_is_given_up_after_the_drain(control: Control, platform: Platform) -> None:
    async with running(control, desk(), limits=Limits(drain_s=0.2)) as site:
        _, writer = await asyncio.open_connection("127.0.0.1", site.port)
        writer.write(
            b"POST /v1/agents/quiet/runs HTTP/1.1\r\nHost: localhost\r\nContent-Type: application/json\r\n"
            b"Content-Length: 10\r\n\r\n{"
        )
        await writer.drain()
    writer.close()  # leaving the block has stopped the server, within its deadline


async def test_the_same_port_can_be_used_again_at_once(control: Control) -> None:
    port = 0
    for _ in range(3):
        async with running(control, desk(), listen=Listen("127.0.0.1", port)) as site:
            port = site.port
            assert (await site.get("/livez")).status == 200


async def test_requests_are_logged_as_json_lines_when_asked_without_what_is_secret(control: Control) -> None:
    token = "correct-horse-battery-staple"
    async with running(control, desk(), token=token, log_requests=True) as site:
        await site.post("/v1/agents/support/runs", {"input": "my secret is xyzzy"}, Idempotency_Key="key-xyzzy")
        await site.get(f"/v1/runs?agent={token}")
        await site.get(f"/{token}")
        lines = [json.loads(line) for line in site.log.getvalue().splitlines()]
    assert [(line["method"], line["status"]) for line in lines] == [("POST", 201), ("GET", 200), ("GET", 404)]
    assert lines[0]["path"] == "/v1/agents/support/runs"
    assert set(lines[0]) == {"at", "level", "event", "method", "path", "status", "ms"}
    assert token not in site.log.getvalue()
    assert "xyzzy" not in site.log.getvalue()


async def test_nothing_is_logged_unless_asked(site: Site) -> None:
    await site.get("/v1/runs")
    await site.get("/none")
    assert site.log.getvalue() == ""


async def test_what_nobody_foresaw_is_hidden_from_the_client_and_logged(control: Control) -> None:
    class Broken(Control):
        async def view(self, run: str) -> object:
            raise ZeroDivisionError("inner workings")

    assert control.app is not None
    broken = Broken(control.platform, control.app)
    async with running(broken, desk()) as site:
        run = await site.start()
        answer = await site.get(f"/v1/runs/{run}")
        assert (answer.status, answer.code) == (500, "outlast")
        assert b"inner workings" not in answer.body
        line = json.loads(site.log.getvalue())
        assert (line["level"], line["type"], line["text"]) == ("error", "ZeroDivisionError", "inner workings")
        assert any("test_serve.py" in frame for frame in line["frames"])
        assert (await site.get("/livez")).status == 200


async def test_a_broken_invariant_ends_the_server(control: Control) -> None:
    class Broken(Control):
        async def view(self, run: str) -> object:
            raise InvariantBroken("two and two make five")

    assert control.app is not None
    stack = contextlib.AsyncExitStack()
    site = await stack.enter_async_context(running(Broken(control.platform, control.app), desk()))
    run = await site.start()
    raw = await site.raw(f"GET /v1/runs/{run} HTTP/1.1\r\nHost: localhost\r\n\r\n".encode())
    assert not raw.startswith(b"HTTP/1.1 2")
    with pytest.raises(InvariantBroken, match="five"):
        await stack.aclose()


async def test_a_server_that_is_cancelled_closes_what_it_opened(control: Control) -> None:
    up: asyncio.Future[str] = asyncio.get_running_loop().create_future()
    serving = asyncio.create_task(
        serve(control, desk(), listen=Listen("127.0.0.1", 0), stop=asyncio.Event(), ready=up.set_result)
    )
    port = int((await up).rpartition(":")[2])
    reader, writer = await asyncio.open_connection("127.0.0.1", port)
    writer.write(b"GET /livez HTTP/1.1\r\nHost: localhost\r\n\r\n")
    assert (await reader.readline()).startswith(b"HTTP/1.1 200 ")
    serving.cancel()
    with pytest.raises(asyncio.CancelledError):
        await serving
    async with asyncio.timeout(60):
        with contextlib.suppress(ConnectionError):
            await reader.read()
    writer.close()
    bind(Listen("127.0.0.1", port), None).close()


async def test_an_address_that_cannot_be_bound_ends_it_with_the_reason(control: Control) -> None:
    with pytest.raises(ConfigurationError):
        await serve(
            control,
            desk(),
            listen=Listen("0.0.0.0", 0),
            stop=asyncio.Event(),
            ready=lambda _: None,
            log_to=io.StringIO(),
        )
