"""The API over the SQLite journal, with a worker that runs what is started."""

from __future__ import annotations

import asyncio
import dataclasses
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import pytest

from outlast.adapters.host.clock import SystemClock
from outlast.adapters.host.randomness import OsRandomness
from outlast.adapters.sqlite.blob import FileBlobs
from outlast.adapters.sqlite.store import SqliteStore
from outlast.agent.app import App
from outlast.agent.control import Control
from outlast.agent.platform import Platform, Settings
from outlast.cell.worker import Worker
from tests.server.site import NobodyLives, Site, running, told

Until = Callable[..., Awaitable[None]]


@asynccontextmanager
async def journal(directory: Path) -> AsyncIterator[Platform]:
    store = SqliteStore.open(directory / "journal.sqlite", OsRandomness())
    try:
        blobs = FileBlobs(directory / "blobs", OsRandomness())
        settings = Settings(park_after_s=0.05, unwind_s=0.5)
        yield Platform(SystemClock(), OsRandomness(), store, store, store, blobs, NobodyLives(), settings=settings)
    finally:
        store.close()


def shop(calls: list[str]) -> App[None]:
    app: App[None] = App("shop")

    @app.tool(effect="pure")
    async def look(order: str) -> dict[str, str]:
        return {"order": order, "state": "sent"}

    @app.tool(effect="once", retry=1)
    async def refund(order: str) -> str:
        calls.append(order)
        raise ConnectionError("no answer")  # nobody knows whether it happened

    @app.agent
    async def answer(run: Any, order: str) -> dict[str, str]:
        """Look an order up."""
        return await look(order)

    @app.agent
    async def approve(run: Any, order: str) -> str:
        """Wait for a person."""
        return await run.signal("decision", str)

    @app.agent
    async def repay(run: Any, order: str) -> str:
        """Refund an order."""
        return await refund(order)

    @app.agent
    async def chat(run: Any, text: str) -> int:
        """Count what was said."""
        run.session.say("user", text)
        run.session.state["count"] = run.session.state.get("count", 0) + 1
        return run.session.state["count"]

    @app.agent
    async def large(run: Any, size: int) -> str:
        """Give much."""
        return "x" * size

    return app


@asynccontextmanager
async def working(app: App[Any], platform: Platform) -> AsyncIterator[None]:
    async with Worker(app, platform, "worker-1") as worker:

        async def ring() -> None:
            while True:
                for entry in await platform.index.due(platform.clock.now()):
                    worker.offer(entry.run)
                await platform.clock.sleep(0.02)

        ringing = asyncio.create_task(ring())
        try:
            yield
        finally:
            ringing.cancel()


@dataclasses.dataclass
class Shop:
    site: Site
    calls: list[str]

    async def ended(self, run: str, state: str = "completed") -> Any:
        async with asyncio.timeout(20):
            while True:
                view = (await self.site.get(f"/v1/runs/{run}")).json
                if view["state"] == state:
                    return view
                assert view["ended_at"] is None, view
                await asyncio.sleep(0.01)


@pytest.fixture
async def open_shop(tmp_path: Path) -> AsyncIterator[Shop]:
    calls: list[str] = []
    app = shop(calls)
    async with journal(tmp_path) as platform, working(app, platform), running(Control(platform, app), app) as site:
        yield Shop(site, calls)


async def test_a_run_is_followed_from_its_start_to_its_result(open_shop: Shop) -> None:
    site = open_shop.site
    headers = {"Accept": "text/event-stream", "Content-Type": "application/json"}
    async with site.http.post(
        f"{site.address}/v1/agents/answer/runs", data=b'{"input": "1043"}', headers=headers
    ) as answer:
        events = [event async for event in told(answer.content)]
        run = answer.headers["outlast-run"]
    assert [event.data["seq"] for event in events] == list(range(1, len(events) + 1))
    assert events[-1].type == "run.completed"
    assert events[-1].data["data"]["value"] == {"order": "1043", "state": "sent"}
    view = (await site.get(f"/v1/runs/{run}")).json
    assert view["result"] == {"order": "1043", "state": "sent"}
    assert [(step["name"], step["state"]) for step in view["steps"]] == [("look", "done")]


async def test_who_waits_gets_the_result(open_shop: Shop) -> None:
    answer = await open_shop.site.post("/v1/agents/answer/runs", {"input": ["1043"]}, Prefer="wait=20")
    assert answer.json["view"]["result"] == {"order": "1043", "state": "sent"}


async def test_a_signal_moves_a_run_on_and_comes_too_late_behind_its_end(open_shop: Shop) -> None:
    site = open_shop.site
    run = await site.start("approve", input="1043")
    for _ in range(2):
        answer = await site.post(f"/v1/runs/{run}/signals/decision", {"payload": "yes"}, Idempotency_Key="s-1")
        assert answer.status == 202
    assert (await open_shop.ended(run))["result"] == "yes"
    late = await site.post(f"/v1/runs/{run}/signals/decision", {"payload": "no"}, Idempotency_Key="s-2")
    assert (late.status, late.code) == (409, "conflict")
    again = await site.post(f"/v1/runs/{run}/signals/decision", {"payload": "yes"}, Idempotency_Key="s-1")
    assert again.status == 202  # a client whose answer was lost asks again, whatever has happened since


async def test_a_run_is_cancelled_once(open_shop: Shop) -> None:
    site = open_shop.site
    run = await site.start("approve", input="1043")
    assert (await site.post(f"/v1/runs/{run}/cancel", {"reason": "changed my mind"}, Idempotency_Key="c")).status == 202
    view = await open_shop.ended(run, "cancelled")
    assert "changed my mind" in view["reason"]
    assert (await site.post(f"/v1/runs/{run}/cancel", {"reason": "changed my mind"}, Idempotency_Key="c")).status == 202
    assert (await site.post(f"/v1/runs/{run}/cancel", {"reason": "again"})).status == 409


async def test_a_step_in_doubt_is_resolved_by_a_person(open_shop: Shop) -> None:
    site = open_shop.site
    run = await site.start("repay", input="1043")
    view = await open_shop.ended(run, "held")
    place = view["steps"][0]["place"]
    assert (await site.post(f"/v1/runs/{run}/resolve", {"step": "77", "how": "retry"})).status == 404
    body = {"step": place, "how": "done", "value": "receipt-1"}
    for _ in range(2):
        assert (await site.post(f"/v1/runs/{run}/resolve", body, Idempotency_Key="r")).status == 202
    assert (await open_shop.ended(run))["result"] == "receipt-1"
    assert (await site.post(f"/v1/runs/{run}/resolve", body, Idempotency_Key="r")).status == 202
    assert (await site.post(f"/v1/runs/{run}/resolve", body)).status == 409
    assert open_shop.calls == ["1043"]


async def test_only_what_is_held_can_be_redriven(open_shop: Shop) -> None:
    site = open_shop.site
    run = await site.start("approve", input="1043")
    answer = await site.post(f"/v1/runs/{run}/redrive", {})
    assert (answer.status, answer.code) == (409, "conflict")
    held = await site.start("repay", input="7")
    await open_shop.ended(held, "held")
    for _ in range(2):
        assert (await site.post(f"/v1/runs/{held}/redrive", {}, Idempotency_Key="d")).status == 202


async def test_a_session_is_shown_with_what_its_turns_left(open_shop: Shop) -> None:
    site = open_shop.site
    assert (await site.get("/v1/sessions/s-1")).status == 404
    runs = [await site.start("chat", input=text, session="s-1") for text in ("one", "two", "three")]
    for number, run in enumerate(runs, 1):
        assert (await open_shop.ended(run))["result"] == number
    session = (await site.get("/v1/sessions/s-1")).json
    assert [message["content"] for message in session["messages"]] == ["one", "two", "three"]
    assert (session["session"], session["state"], session["turns_ended"]) == ("s-1", {"count": 3}, 3)
    assert [entry["run"] for entry in (await site.get("/v1/runs?session=s-1")).json["runs"]] == runs[::-1]


async def test_a_session_of_a_name_that_is_none_is_refused(open_shop: Shop) -> None:
    for name in ["..", "a%2fb", "%00", "x" * 129]:
        raw = await open_shop.site.raw(
            f"GET /v1/sessions/{name} HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n".encode()
        )
        assert raw.startswith((b"HTTP/1.1 400 ", b"HTTP/1.1 404 "))


async def test_a_large_result_comes_whole_from_the_blob_store(open_shop: Shop) -> None:
    site = open_shop.site
    run = await site.start("large", input=300_000)
    assert len((await open_shop.ended(run))["result"]) == 300_000
    events = await site.followed(run)
    assert len(events[-1].data["data"]["value"]) == 300_000


async def test_fifty_posts_at_once_with_one_key_start_one_run_that_runs_once(open_shop: Shop) -> None:
    site = open_shop.site
    answers = await asyncio.gather(
        *(site.post("/v1/agents/repay/runs", {"input": "1043"}, Idempotency_Key="k") for _ in range(50))
    )
    assert sorted(answer.status for answer in answers) == [200] * 49 + [201]
    (run,) = {answer.json["run"] for answer in answers}
    await open_shop.ended(run, "held")
    assert open_shop.calls == ["1043"]


async def test_it_is_ready_on_sqlite_and_the_probe_leaves_no_trace(open_shop: Shop) -> None:
    answer = await open_shop.site.get("/readyz")
    assert (answer.status, answer.json["status"]) == (200, "ready")
    assert not await open_shop.site.platform.store.streams("agent")


async def test_following_and_keys_survive_a_restart_with_the_file_reopened(tmp_path: Path) -> None:
    app = shop([])
    seen: list[int] = []
    async with journal(tmp_path) as platform, running(Control(platform, app), app) as site:
        run = await site.start("approve", input="1043")
        first = await site.post("/v1/agents/answer/runs", {"input": "7"}, Idempotency_Key="k")
        async with site.follow(run) as events:
            async for event in events:
                if event.id is not None:
                    seen.append(int(event.id))
                site.stop.set()
    async with journal(tmp_path) as platform, working(app, platform), running(Control(platform, app), app) as site:
        again = await site.post("/v1/agents/answer/runs", {"input": "7"}, Idempotency_Key="k")
        assert (again.status, again.json["run"]) == (200, first.json["run"])
        following = asyncio.create_task(site.followed(run, seen[-1]))
        await site.post(f"/v1/runs/{run}/signals/decision", {"payload": "yes"})
        seen += [int(event.id) for event in await following if event.id is not None]
        assert seen == list(range(1, (await site.get(f"/v1/runs/{run}")).json["seq"] + 1))
