from __future__ import annotations

import asyncio
import json
from collections.abc import Awaitable, Callable

import pytest

from outlast.adapters.memory.store import MemoryStore
from outlast.agent.control import Control
from outlast.agent.platform import Platform
from outlast.journal.stream import Append, Outcome
from outlast.server.limit import Limits
from tests.server.site import Answer, Site, completed, desk, grow, memory_platform, running
from tests.server.test_wire import parts, problem

Until = Callable[..., Awaitable[None]]
POST = b"POST /v1/agents/quiet/runs HTTP/1.1\r\nHost: localhost\r\nContent-Type: application/json\r\n"


async def test_an_announced_body_over_the_bound_is_refused_before_it_is_read(site: Site) -> None:
    async with asyncio.timeout(60):
        raw = await site.raw(POST + b"Content-Length: 104857600\r\n\r\n")
    assert problem(raw) == (413, "body_too_large")


async def test_a_client_that_asks_first_does_not_send_it(site: Site) -> None:
    raw = await site.raw(POST + b"Content-Length: 104857600\r\nExpect: 100-continue\r\n\r\n")
    assert problem(raw) == (413, "body_too_large")
    assert b"100 Continue" not in raw


async def test_a_hundred_megabytes_are_refused_while_they_are_sent(site: Site) -> None:
    piece = b"x" * (1 << 20)
    raw = await site.raw(POST + b"Content-Length: 104857600\r\n\r\n", *[piece] * 100)
    assert problem(raw) == (413, "body_too_large")


async def test_a_hundred_megabytes_in_chunks_are_refused_at_the_bound(site: Site) -> None:
    piece = b"100000\r\n" + b"x" * (1 << 20) + b"\r\n"
    raw = await site.raw(POST + b"Transfer-Encoding: chunked\r\n\r\n", *[piece] * 100, b"0\r\n\r\n")
    assert problem(raw) == (413, "body_too_large")
    assert (await site.get("/v1/runs")).json["runs"] == []


async def test_a_body_at_the_bound_is_taken(site: Site) -> None:
    body = json.dumps({"input": {"message": ""}}).encode()
    body = body.replace(b'""', b'"' + b"x" * ((1 << 20) - len(body)) + b'"')
    assert len(body) == 1 << 20
    headers = {"Content-Type": "application/json"}
    assert (await site.ask("POST", "/v1/agents/support/runs", body, headers)).status == 201
    answer = await site.ask("POST", "/v1/agents/support/runs", body + b" ", headers)
    assert (answer.status, answer.code) == (413, "body_too_large")


async def test_what_is_left_of_a_refused_body_ends_the_connection_and_not_the_next_request(site: Site) -> None:
    """Else the rest of a body could be taken for a request of its own."""
    inner = b"GET /v1/agents HTTP/1.1\r\nHost: localhost\r\n\r\n"
    head = b"POST /v1/none HTTP/1.1\r\nHost: localhost\r\nContent-Type: text/plain\r\n"
    raw = await site.raw(head + b"Content-Length: 1000\r\n\r\n" + inner)
    status, headers, _ = parts(raw)
    assert (status, headers["connection"]) == (404, "close")
    assert raw.count(b"HTTP/1.1 ") == 1


class Slow(MemoryStore):
    """Appends only when it is let."""

    def __init__(self) -> None:
        super().__init__()
        self.let = asyncio.Event()

    async def append(self, append: Append) -> Outcome:
        await self.let.wait()
        return await super().append(append)


@pytest.fixture
def slow(platform: Platform) -> Control:
    import dataclasses

    store = Slow()
    return Control(dataclasses.replace(platform, store=store, index=store, snapshots=store), desk())


async def test_an_answer_that_takes_too_long_is_given_up_with_504(slow: Control, until: Until) -> None:
    async with running(slow, desk(), limits=Limits(request_timeout_s=0.2)) as site:
        answer = await site.post("/v1/agents/quiet/runs", {}, Idempotency_Key="k")
        assert (answer.status, answer.code) == (504, "took_too_long")
        assert answer.json["retryable"] is True
        assert answer.headers["retry-after"] == "1"
        slow.platform.store.let.set()  # type: ignore[attr-defined]

        async def taken() -> bool:
            return (await site.post("/v1/agents/quiet/runs", {}, Idempotency_Key="k")).status in (200, 201)

        await until(taken, 30, "asked again, it is done")


async def test_requests_are_bounded_and_leave_their_places(slow: Control, until: Until) -> None:
    async with running(slow, desk(), limits=Limits(requests_max=3)) as site:
        held = [asyncio.create_task(site.post("/v1/agents/quiet/runs", {})) for _ in range(3)]
        await until(lambda: site.busy == 3, 60, "three requests are under way")
        answer = await site.get("/v1/runs")
        assert (answer.status, answer.code) == (503, "overloaded")
        assert answer.headers["retry-after"] == "1"
        slow.platform.store.let.set()  # type: ignore[attr-defined]
        assert [answer.status for answer in await asyncio.gather(*held)] == [201] * 3
        assert (await site.get("/v1/runs")).status == 200


async def test_a_spike_of_one_agent_leaves_places_to_its_neighbours(slow: Control, until: Until) -> None:
    async with running(slow, desk(), limits=Limits(starts_max=2)) as site:
        held = [asyncio.create_task(site.post("/v1/agents/quiet/runs", {})) for _ in range(2)]
        await until(lambda: site.busy == 2, 60, "two requests are under way")
        answer = await site.post("/v1/agents/quiet/runs", {})
        assert (answer.status, answer.code) == (503, "overloaded")
        assert "starts_max" in answer.json["detail"]
        other = asyncio.create_task(site.post("/v1/agents/support/runs", {"input": {"message": "a"}}))
        await until(lambda: site.busy == 3, 60, "a neighbour's request is taken")
        slow.platform.store.let.set()  # type: ignore[attr-defined]
        assert [answer.status for answer in await asyncio.gather(*held)] == [201] * 2
        assert (await other).status == 201
        assert (await site.post("/v1/agents/quiet/runs", {})).status == 201, "the places are free again"


async def test_clients_that_wait_for_an_end_take_no_place_of_others(
    control: Control, platform: Platform, until: Until
) -> None:
    async with running(control, desk(), limits=Limits(starts_max=1, requests_max=2)) as site:

        async def ended() -> Answer:
            while (answer := await site.post("/v1/agents/quiet/runs", {}, Prefer="wait=60")).status == 503:
                pass  # one at a time may start
            return answer

        async def runs() -> list[str]:
            answer = await site.get("/v1/runs")
            return [entry["run"] for entry in answer.json["runs"]] if answer.status == 200 else []

        async def three_are_started() -> bool:
            return len(await runs()) == 3

        waiting = [asyncio.create_task(ended()) for _ in range(3)]
        await until(three_are_started, 30, "three clients wait, and a fourth is answered")
        assert not any(task.done() for task in waiting)
        for run in await runs():
            await grow(platform, run, completed(), state="completed")
        assert [(await task).json["view"]["state"] for task in waiting] == ["completed"] * 3


async def test_a_client_may_wait_for_longer_than_an_answer_may_take(control: Control) -> None:
    async with running(control, desk(), limits=Limits(request_timeout_s=0.5)) as site, asyncio.timeout(60):
        while True:
            answer = await site.post("/v1/agents/quiet/runs", {}, Prefer="wait=1", Idempotency_Key="k")
            if answer.status != 504:  # on a machine that is busy the start alone may take longer
                break
        assert answer.status in (200, 201)
        assert answer.json["view"]["state"] == "ready"


async def test_many_clients_at_once_are_all_answered() -> None:
    app = desk()
    async with running(Control(memory_platform(), app), app) as site:
        answers = await asyncio.gather(*(site.post("/v1/agents/quiet/runs", {}) for _ in range(100)))
        assert {answer.status for answer in answers} == {201}
