"""The load and its books, against a small API that behaves as badly as one under fire."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable
from pathlib import Path

import aiohttp
import pytest
from aiohttp import web

from outlast.adapters.host.clock import SystemClock
from outlast.drill.client import Client, Refused, Silent
from outlast.drill.oracle import Submission
from outlast.drill.workload import Case, Workload, choose, in_flight_max, load_cases
from outlast.kernel.error import ConfigurationError

Until = Callable[..., Awaitable[None]]


def cases(refunds: int, others: int) -> list[Case]:
    made = [Case(f"R{i}", "a@x", "text", "refund", {str(1000 + i): 100}) for i in range(refunds)]
    return made + [Case(f"Q{i}", "b@x", "text", "question", {}) for i in range(others)]


class Api:
    """Runs by idempotency key; fails as often as it is told, before or after it has done what was asked."""

    def __init__(self) -> None:
        self.runs: dict[str, str] = {}
        self.states: dict[str, str] = {}
        self.fail_before = 0
        self.fail_after = 0
        self.refuse = False
        self.inputs: list[object] = []

    async def start(self, request: web.Request) -> web.Response:
        if self.refuse:
            return web.json_response({"code": "type_mismatch", "detail": "no such ticket"}, status=422)
        if self.fail_before:
            self.fail_before -= 1
            return web.Response(status=503)
        run = self.runs.setdefault(request.headers["Idempotency-Key"], f"run_{len(self.runs)}")
        self.states.setdefault(run, "running")
        self.inputs.append(await request.json())
        if self.fail_after:
            self.fail_after -= 1
            assert request.transport is not None
            request.transport.close()
        return web.json_response({"run": run, "agent": "support", "created": True})

    async def list(self, request: web.Request) -> web.Response:
        limit = int(request.query["limit"])
        after = request.query.get("before")
        runs = sorted(self.states, reverse=True)
        rest = runs[runs.index(after) + 1 :] if after else runs
        page = [{"run": run, "state": self.states[run], "owner": "w1"} for run in rest[:limit]]
        return web.json_response({"runs": page, "next": page[-1]["run"] if len(rest) > limit else None})

    async def events(self, request: web.Request) -> web.Response:
        after = int(request.query["after"])
        events = [
            {"seq": n, "at": float(n), "type": "step.done", "data": {}} for n in range(after + 1, min(after + 3, 6))
        ]
        return web.json_response({"events": events, "next": after + len(events), "ended": False})


@pytest.fixture
async def api() -> AsyncIterator[tuple[Api, Client]]:
    served = Api()
    application = web.Application()
    application.router.add_post("/v1/agents/{agent}/runs", served.start)
    application.router.add_get("/v1/runs", served.list)
    application.router.add_get("/v1/runs/{run}/events", served.events)
    runner = web.AppRunner(application)
    await runner.setup()
    site = web.TCPSite(runner, "127.0.0.1", 0)
    await site.start()
    host, port = runner.addresses[0][:2]
    async with aiohttp.ClientSession() as session:
        yield served, Client(session, lambda: f"http://{host}:{port}", SystemClock())
    await runner.cleanup()


async def test_every_ticket_is_in_the_books_with_what_is_due_and_who_answers_for_it(api: tuple[Api, Client]) -> None:
    served, client = api
    load = Workload(client, cases(1, 1), SystemClock(), "demo")
    load.release(2)
    await load.submit_all()
    assert load.submissions() == [
        Submission("R0", {"1000": 100}, (served.runs["demo:R0"],)),
        Submission("Q0", {}, (served.runs["demo:Q0"],)),
    ]
    assert {"input": {"ticket": {"id": "R0", "customer": "a@x", "text": "text"}}} in served.inputs


async def test_a_submission_without_an_answer_is_sent_again_under_the_same_key(api: tuple[Api, Client]) -> None:
    served, client = api
    served.fail_before = served.fail_after = 2
    load = Workload(client, cases(2, 2), SystemClock(), "demo")
    load.release(4)
    await load.submit_all()
    assert len(served.runs) == 4
    assert all(len(one.runs) == 1 for one in load.submissions())


async def test_only_what_is_released_is_submitted_and_only_so_much_at_once(
    api: tuple[Api, Client], until: Until
) -> None:
    served, client = api
    load = Workload(client, cases(20, 20), SystemClock(), "demo")
    submitting = asyncio.create_task(load.submit_all())
    load.release(3)
    await until(lambda: len(served.runs) == 3)
    load.release(40)
    await until(lambda: load.submitted == in_flight_max)
    await load.look()
    assert load.in_flight == load.submitted == in_flight_max
    assert load.owners() == {"w1": sorted(load.lines, reverse=True)}
    while not submitting.done():
        served.states = dict.fromkeys(served.states, "completed")
        await load.look()
        assert load.in_flight <= in_flight_max
    await load.look()
    assert load.submitted == len(served.runs) == 40


async def test_releasing_more_lets_in_the_next_refund(api: tuple[Api, Client]) -> None:
    _, client = api
    mixed = [*cases(0, 2), *cases(1, 0), *cases(0, 1)]
    load = Workload(client, mixed, SystemClock(), "demo")
    assert load.release_more()
    assert load.left == 1
    assert load.release_more()
    assert load.left == 0
    assert not load.release_more()


async def test_lists_and_histories_are_read_to_their_end(api: tuple[Api, Client]) -> None:
    served, client = api
    served.states = {f"run_{i:04}": "completed" for i in range(450)}
    assert set(await client.runs(5)) == set(served.states)
    assert [event.seq for event in await client.events("run_0001", 5)] == [1, 2, 3, 4, 5]


async def test_what_is_refused_is_not_sent_again(api: tuple[Api, Client]) -> None:
    served, client = api
    served.refuse = True
    with pytest.raises(Refused, match="no such ticket"):
        await client.start("support", {}, "k", 5)


async def test_a_system_that_never_answers_is_silent(api: tuple[Api, Client]) -> None:
    served, client = api
    served.fail_before = 1000
    with pytest.raises(Silent, match="503"):
        await client.start("support", {}, "k", 0.3)


def test_each_ticket_comes_once_unless_more_are_wanted() -> None:
    found = choose(cases(3, 4), None, 5)
    assert sorted(case.id for case in found) == sorted(case.id for case in cases(3, 4))
    more = choose(cases(3, 4), 16, 5)
    assert len({case.id for case in more}) == 16
    assert more[:7] == found
    assert more[7].id == f"{found[0].id}.2"
    assert more[14].id == f"{found[0].id}.3"
    assert len(choose(cases(3, 4), 2, 5)) == 2


def test_a_line_that_is_no_ticket_is_an_error(tmp_path: Path) -> None:
    (tmp_path / "t.jsonl").write_text('{"id": "T"}\n')
    with pytest.raises(ConfigurationError, match="customer"):
        load_cases(tmp_path / "t.jsonl")
