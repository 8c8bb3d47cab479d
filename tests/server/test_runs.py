from __future__ import annotations

import asyncio
import dataclasses
from typing import Any

import pytest

from outlast.adapters.memory.store import MemoryStore
from outlast.agent.control import Control
from outlast.agent.platform import Platform
from outlast.journal.index import Behind
from outlast.server.limit import Limits
from tests.server.site import Site, completed, desk, done, grow, marked, running


async def test_a_run_is_started_and_found_under_its_address(site: Site) -> None:
    answer = await site.post("/v1/agents/support/runs", {"input": {"message": "hi"}, "deadline": "30s"})
    assert answer.status == 201
    assert answer.headers["outlast-run-created"] == "true"
    assert answer.json == {"run": answer.headers["outlast-run"], "agent": "support", "created": True}
    shown = await site.get(answer.headers["location"])
    assert shown.status == 200
    assert (shown.json["run"], shown.json["agent"], shown.json["state"]) == (answer.json["run"], "support", "ready")


async def test_input_is_named_or_positional_or_the_one_argument(site: Site) -> None:
    for given in [{"message": "hi"}, ["hi"], "hi", {"message": "hi", "urgent": True}, ["hi", True]]:
        assert (await site.post("/v1/agents/support/runs", {"input": given})).status == 201


async def test_an_agent_without_parameters_needs_no_input(site: Site) -> None:
    assert (await site.post("/v1/agents/quiet/runs", {})).status == 201


async def test_input_of_another_type_is_refused(site: Site) -> None:
    for given in [{}, {"message": 5}, {"message": "a", "other": 1}, 7, None]:
        answer = await site.post("/v1/agents/support/runs", {"input": given})
        assert (answer.status, answer.code) == (422, "type_mismatch")
        assert (await site.get("/v1/runs")).json["runs"] == []


async def test_an_unknown_agent_is_not_found(site: Site) -> None:
    answer = await site.post("/v1/agents/nobody/runs", {"input": {}})
    assert (answer.status, answer.code) == (404, "not_found")


async def test_the_same_key_is_the_same_run(site: Site) -> None:
    first = await site.post("/v1/agents/support/runs", {"input": {"message": "hi"}}, Idempotency_Key="order-7")
    again = await site.post("/v1/agents/support/runs", {"input": {"message": "hi"}}, Idempotency_Key='"order-7"')
    assert (first.status, first.headers["outlast-run-created"]) == (201, "true")
    assert (again.status, again.headers["outlast-run-created"]) == (200, "false")
    assert first.json["run"] == again.json["run"]
    assert len((await site.get("/v1/runs")).json["runs"]) == 1


async def test_another_body_under_the_same_key_is_a_conflict(site: Site) -> None:
    await site.post("/v1/agents/support/runs", {"input": {"message": "hi"}}, Idempotency_Key="k")
    answer = await site.post("/v1/agents/support/runs", {"input": {"message": "ho"}}, Idempotency_Key="k")
    assert (answer.status, answer.code) == (409, "conflict")


async def test_fifty_posts_at_once_with_one_key_start_one_run(site: Site) -> None:
    answers = await asyncio.gather(
        *(site.post("/v1/agents/support/runs", {"input": {"message": "hi"}}, Idempotency_Key="k") for _ in range(50))
    )
    assert sorted(answer.status for answer in answers) == [200] * 49 + [201]
    assert len({answer.json["run"] for answer in answers}) == 1
    assert len((await site.get("/v1/runs")).json["runs"]) == 1


async def test_an_unusable_key_is_refused(site: Site) -> None:
    for key in ["", '""', "a b", "x" * 129, 'a"b', "\xe9"]:
        answer = await site.post("/v1/agents/quiet/runs", {}, Idempotency_Key=key)
        assert (answer.status, answer.code) == (400, "bad_request")


async def test_a_deadline_that_is_none_is_refused(site: Site) -> None:
    for deadline in ["30", "soon", "0s", "-1s", 0, -1, 1e10, True, [], "99999999999s", "1s\n", "31d", 2592001]:
        answer = await site.post("/v1/agents/quiet/runs", {"deadline": deadline})
        assert (answer.status, answer.code) == (422, "type_mismatch")


async def test_a_deadline_is_text_with_a_unit_or_seconds(site: Site) -> None:
    for deadline in ["30s", "1.5m", "500ms", "7d", "30d", 2592000, 30, 0.5, None]:
        assert (await site.post("/v1/agents/quiet/runs", {"deadline": deadline})).status == 201


async def test_a_body_that_does_not_fit_is_refused(site: Site) -> None:
    for body in [{"inputs": {}}, [], "x", None, 5, {"session": 5}, {"session": "../x"}, {"session": ""}]:
        sent = b"null" if body is None else None
        if sent is not None:
            answer = await site.ask("POST", "/v1/agents/quiet/runs", sent, {"Content-Type": "application/json"})
        else:
            answer = await site.post("/v1/agents/quiet/runs", body)
        assert (answer.status, answer.code) == (422, "type_mismatch")


async def test_waiting_ends_with_the_run(site: Site, platform: Platform) -> None:
    waiting = asyncio.create_task(
        site.post("/v1/agents/total/runs", {"input": [[]]}, Idempotency_Key="k", Prefer="wait=30")
    )
    run = (await site.post("/v1/agents/total/runs", {"input": [[]]}, Idempotency_Key="k")).json["run"]
    await grow(platform, run, completed(7.5), state="completed")
    answer = await waiting
    assert answer.headers["preference-applied"] == "wait=30"
    assert answer.json["view"]["state"] == "completed"
    assert answer.json["view"]["result"] == 7.5


async def test_waiting_ends_with_its_time(site: Site) -> None:
    answer = await site.post("/v1/agents/quiet/runs", {}, Prefer="respond-async, wait=1")
    assert answer.status == 201
    assert answer.json["view"]["state"] == "ready"


async def test_a_preference_that_is_not_understood_is_ignored(site: Site) -> None:
    for preference in ("wait=soon", "wait", "wait=-1", "return=minimal", "wait=99999999999"):
        answer = await site.post("/v1/agents/quiet/runs", {}, Prefer=preference)
        assert answer.status == 201
        assert "view" not in answer.json


class Replica(MemoryStore):
    """Lists come from a copy that is so far behind."""

    behind_s: float | None = None

    async def list(self, **filters: Any) -> Behind:
        return Behind(await super().list(**filters), self.behind_s)


@pytest.mark.parametrize("behind_s", [2.5, 0.0, None])
async def test_a_list_of_a_replica_says_how_old_it_is(platform: Platform, behind_s: float | None) -> None:
    store = Replica()
    store.behind_s = behind_s
    control = Control(dataclasses.replace(platform, store=store, index=store, snapshots=store), desk())
    async with running(control, desk()) as site:
        run = await site.start()
        await site.start()
        page = (await site.get("/v1/runs?limit=1")).json
        assert page["behind_s"] == behind_s
        rest = (await site.get(f"/v1/runs?before={page['next']}")).json
        assert [entry["run"] for entry in rest["runs"]] == [run]
        assert (rest["next"], rest["behind_s"]) == (None, behind_s)


async def test_a_list_of_the_primary_is_not_marked(site: Site) -> None:
    await site.start()
    assert set((await site.get("/v1/runs")).json) == {"runs", "next"}


async def test_runs_are_listed_newest_first_in_pages(site: Site) -> None:
    runs = [await site.start() for _ in range(7)]
    seen: list[str] = []
    before = ""
    while True:
        page = (await site.get(f"/v1/runs?limit=3{before}")).json
        seen += [entry["run"] for entry in page["runs"]]
        if page["next"] is None:
            break
        before = f"&before={page['next']}"
    assert sorted(seen) == sorted(runs)
    assert len(seen) == 7
    assert seen == [entry["run"] for entry in (await site.get("/v1/runs")).json["runs"]]


async def test_runs_are_filtered(site: Site, platform: Platform) -> None:
    first = await site.start("support", input="a", session="s1")
    second = await site.start("support", input="b")
    third = await site.start("quiet")
    await grow(platform, third, completed(), state="completed")

    async def listed(query: str) -> set[str]:
        return {entry["run"] for entry in (await site.get(f"/v1/runs?{query}")).json["runs"]}

    assert await listed("agent=support") == {first, second}
    assert await listed("session=s1") == {first}
    assert await listed("state=completed") == {third}
    assert await listed("agent=quiet&state=ready") == set()


async def test_a_query_that_is_not_understood_is_refused(site: Site) -> None:
    for query in [
        "limit=0",
        "limit=201",
        "limit=x",
        "limit=",
        "state=asleep",
        "agent=../x",
        "agtn=support",
        "limit=1&limit=2",
        "agent=%ff",
    ]:
        answer = await site.get(f"/v1/runs?{query}")
        assert (answer.status, answer.code) == (400, "bad_request")


async def test_a_page_after_an_unknown_run_is_not_found(site: Site) -> None:
    assert (await site.get("/v1/runs?before=run_none")).status == 404


async def test_an_unknown_run_is_not_found(site: Site) -> None:
    for path in ["", "/events"]:
        answer = await site.get("/v1/runs/run_none" + path)
        assert (answer.status, answer.code) == (404, "not_found")


async def test_events_come_in_pages(site: Site, platform: Platform) -> None:
    run = await site.start()
    await grow(platform, run, *(marked(number) for number in range(2, 6)))
    first = (await site.get(f"/v1/runs/{run}/events?limit=2")).json
    assert [event["seq"] for event in first["events"]] == [1, 2]
    assert (first["next"], first["ended"]) == (2, False)
    await grow(platform, run, completed(), state="completed")
    second = (await site.get(f"/v1/runs/{run}/events?after=2")).json
    assert [event["seq"] for event in second["events"]] == [3, 4, 5, 6]
    assert (second["next"], second["ended"]) == (6, True)
    assert [event["type"] for event in second["events"]] == ["version.marked"] * 3 + ["run.completed"]
    rest = (await site.get(f"/v1/runs/{run}/events?after=6")).json
    assert rest == {"events": [], "next": 6, "ended": True}


async def test_a_page_of_events_is_bounded_in_bytes(control: Control, platform: Platform) -> None:
    async with running(control, desk(), limits=Limits(page_bytes_max=300)) as site:
        run = await site.start()
        await grow(platform, run, *(done(number, "x" * 90) for number in range(2, 30)), completed(), state="completed")
        seen: list[int] = []
        page = {"next": 0, "ended": False}
        while not page["ended"]:
            page = (await site.get(f"/v1/runs/{run}/events?after={page['next']}")).json
            assert 0 < len(page["events"]) < 10
            seen += [event["seq"] for event in page["events"]]
        assert seen == list(range(1, 31))


async def test_a_run_too_large_for_one_answer_is_shown_without_its_values(control: Control, platform: Platform) -> None:
    async with running(control, desk(), limits=Limits(answer_bytes_max=5_000)) as site:
        run = await site.start()
        await grow(
            platform, run, *(done(number, "x" * 1000) for number in range(1, 10)), completed(), state="completed"
        )
        answer = await site.get(f"/v1/runs/{run}")
        assert (answer.status, answer.code) == (422, "answer_too_large")
        answer = await site.get(f"/v1/runs/{run}?values=none")
        assert (answer.status, answer.json["state"]) == (200, "completed")
        assert [step["value"] for step in answer.json["steps"]] == [None] * 9
        assert (await site.get(f"/v1/runs/{run}?values=some")).status == 400


async def test_events_after_what_never_was_are_refused(site: Site) -> None:
    for query in ["after=-1", "after=x", "limit=0", "limit=1001", "after=99999999999999999999", "after=7"]:
        run = await site.start()
        answer = await site.get(f"/v1/runs/{run}/events?{query}")
        assert (answer.status, answer.code) == (400, "bad_request")


TOLD = [
    ("signals/approve", {"payload": {"by": "ada"}}),
    ("signals/approve", {}),
    ("cancel", {"reason": "no longer needed"}),
    ("cancel", {}),
    ("resolve", {"step": "1.0.2", "how": "done", "value": 5}),
    ("resolve", {"step": "1", "how": "retry"}),
    ("resolve", {"step": "1", "how": "fail", "message": "it did not arrive"}),
    ("redrive", {}),
]


async def test_a_run_that_never_was_cannot_be_told_anything(site: Site) -> None:
    for what, body in TOLD:
        answer = await site.post(f"/v1/runs/run_none/{what}", body)
        assert (answer.status, answer.code) == (404, "not_found")


async def test_a_signal_is_acknowledged_when_it_is_in_the_inbox_and_only_once_for_a_key(
    site: Site, platform: Platform
) -> None:
    run = await site.start()
    for _ in range(3):
        answer = await site.post(f"/v1/runs/{run}/signals/go", {"payload": 1}, Idempotency_Key="sig-1")
        assert (answer.status, answer.json) == (202, {"run": run})
    entry = await platform.index.entry(run)
    assert entry is not None
    assert entry.mail == 1
    assert (await site.post(f"/v1/runs/{run}/signals/go", {"payload": 2}, Idempotency_Key="sig-1")).status == 409


async def test_twenty_signals_at_once_with_one_key_are_one(site: Site, platform: Platform) -> None:
    run = await site.start()
    answers = await asyncio.gather(
        *(site.post(f"/v1/runs/{run}/signals/go", {"payload": 1}, Idempotency_Key="s") for _ in range(20))
    )
    assert {answer.status for answer in answers} == {202}
    entry = await platform.index.entry(run)
    assert entry is not None
    assert entry.mail == 1


async def test_a_run_is_cancelled_once_for_a_key(site: Site, platform: Platform) -> None:
    run = await site.start()
    for _ in range(2):
        assert (await site.post(f"/v1/runs/{run}/cancel", {"reason": "late"}, Idempotency_Key="c")).status == 202
    entry = await platform.index.entry(run)
    assert entry is not None
    assert entry.mail == 1


async def test_what_is_told_must_fit(site: Site) -> None:
    for what, body in [
        ("signals/go", {"value": 1}),
        ("cancel", {"reason": 5}),
        ("cancel", {"reason": "x" * 1001}),
        ("resolve", {}),
        ("resolve", {"step": "1"}),
        ("resolve", {"step": "1", "how": "maybe"}),
        ("resolve", {"step": "../1", "how": "retry"}),
        ("resolve", {"step": 1, "how": "retry"}),
        ("redrive", {"why": 1}),
    ]:
        run = await site.start()
        answer = await site.post(f"/v1/runs/{run}/{what}", body)
        assert (answer.status, answer.code) == (422, "type_mismatch")


async def test_names_that_are_none_are_refused(site: Site) -> None:
    for name in ["..%2f..%2fetc", "%00", "a%0d%0aX-Evil:%201", "-x", "%ff%fe", "x" * 129, "a%20b", "%2e%2e"]:
        run = await site.start()
        head = f"POST /v1/runs/{run}/signals/{name} HTTP/1.1\r\nHost: localhost\r\nContent-Type: application/json\r\n"
        raw = await site.raw(f"{head}Content-Length: 2\r\nConnection: close\r\n\r\n{{}}".encode())
        assert raw.startswith((b"HTTP/1.1 400 ", b"HTTP/1.1 404 "))
        assert b"\r\nX-Evil" not in raw
