from __future__ import annotations

import asyncio
import contextlib
from typing import Any

import msgspec
import pytest

from outlast.agent.app import App
from outlast.agent.run import Run
from outlast.agent.session import SessionState, session_key, snapshot_version
from outlast.journal.snapshot import Snapshot
from outlast.kernel.error import NotFound
from tests.agent.desk import Desk, desk


def talking(**options: Any) -> tuple[App[None], dict[str, asyncio.Event]]:
    app: App[None] = App("t")
    gates: dict[str, asyncio.Event] = {}

    @app.tool(effect="once")
    async def lose() -> int:
        raise ConnectionError("lost")

    @app.agent(**options)
    async def talk(run: Run[None], text: str) -> list[Any]:
        session = run.session
        before = [message.content for message in session.messages]
        session.say("user", text)
        session.state["count"] = session.state.get("count", 0) + 1
        session.state.setdefault("texts", []).append(text)
        if text in gates:
            await gates[text].wait()
        match text:
            case "fail":
                raise ValueError("failed")
            case "hold":
                await lose()
            case "wait":
                await run.signal("go")
            case "forget":
                del session.state["count"]
        return [session.turn, before]

    return app, gates


async def say(d: Desk, *texts: str, session: str = "s") -> list[str]:
    return [await d.start("talk", text, session=session) for text in texts]


async def results(d: Desk, runs: list[str], deadline_s: float = 20) -> list[Any]:
    return [(await d.until(run, "completed", deadline_s=deadline_s)).result for run in runs]


async def test_a_turn_sees_what_earlier_turns_said_and_kept() -> None:
    app, _ = talking()
    async with desk(app) as d:
        assert await results(d, await say(d, "a", "b", "c")) == [[1, []], [2, ["a"]], [3, ["a", "b"]]]
        view = await d.control.session("s")
        assert view.state == {"count": 3, "texts": ["a", "b", "c"]}
        assert [message.content for message in view.messages] == ["a", "b", "c"]
        assert view.turns_ended == 3


async def test_turns_run_one_at_a_time_in_the_order_in_which_they_were_started() -> None:
    app, gates = talking()
    gates["a"] = asyncio.Event()
    async with desk(app, workers=3) as d:
        runs = await say(d, "a", "b", "c", "d")
        await asyncio.sleep(0.3)
        assert [(await d.control.view(run)).ended_at for run in runs] == [None] * 4
        gates["a"].set()
        assert [result[0] for result in await results(d, runs)] == [1, 2, 3, 4]


async def test_many_turns_started_at_once_by_many_keep_one_order() -> None:
    app, _ = talking()
    async with desk(app, workers=2) as d:
        runs = await asyncio.gather(*(d.start("talk", f"t{n}", session="s") for n in range(25)))
        found = await results(d, list(runs), 60)
        assert sorted(result[0] for result in found) == list(range(1, 26))
        for turn, before in found:
            assert len(before) == turn - 1
        view = await d.control.session("s")
        assert view.state["count"] == 25
        assert len(view.turns) == len(set(view.turns))


async def test_a_failing_turn_changes_nothing_and_the_next_one_goes_on() -> None:
    app, _ = talking()
    async with desk(app) as d:
        runs = await say(d, "a", "fail", "b")
        assert (await d.until(runs[1])).state == "failed"
        assert await results(d, [runs[0], runs[2]]) == [[1, []], [3, ["a"]]]
        assert (await d.control.session("s")).state == {"count": 2, "texts": ["a", "b"]}


async def test_a_cancelled_turn_changes_nothing_also_while_it_waits_for_its_turn() -> None:
    app, gates = talking()
    gates["a"] = asyncio.Event()
    async with desk(app, park_after_s=5, wait_poll_s=30) as d:
        runs = await say(d, "a", "b", "c")
        await d.wait_for(lambda: d.workers[0].runs == 3)
        await d.control.cancel(runs[1])
        assert (await d.until(runs[1], deadline_s=3)).state == "cancelled", "it is not kept by the turn before it"
        gates["a"].set()
        assert await results(d, [runs[0], runs[2]]) == [[1, []], [3, ["a"]]]


async def test_a_held_turn_blocks_the_next_until_it_is_decided() -> None:
    app, _ = talking()
    async with desk(app) as d:
        runs = await say(d, "a", "hold", "b")
        await d.until(runs[1], "held")
        await d.until(runs[2], "parked")
        await d.control.resolve(runs[1], "1", "done", 1)
        assert await results(d, runs) == [[1, []], [2, ["a"]], [3, ["a", "hold"]]]


async def test_a_held_turn_is_skipped_by_policy_and_its_change_is_no_part_of_the_session() -> None:
    app, _ = talking(on_held_turn="skip")
    async with desk(app, wait_poll_s=0.1, session_snapshot_every=1) as d:
        runs = await say(d, "a", "hold")
        await d.until(runs[1], "held")
        runs += await say(d, "b")
        assert (await results(d, [runs[2]])) == [[2, ["a"]]]
        await d.control.resolve(runs[1], "1", "done", 1)
        await d.until(runs[1], "completed")
        runs += await say(d, "c")
        assert await results(d, [runs[3]]) == [[3, ["a", "b"]]]
        assert (await d.control.session("s")).state["texts"] == ["a", "b", "c"]


async def test_a_snapshot_by_a_turn_that_was_skipped_is_not_used() -> None:
    app, _ = talking(on_held_turn="skip")
    async with desk(app, wait_poll_s=0.1, session_snapshot_every=2) as d:
        runs = await say(d, "a", "hold")
        await d.until(runs[1], "held")
        runs += await say(d, "wait")
        await d.until(runs[2], "parked")
        await d.has(runs[2], "signal.awaited")
        await d.control.resolve(runs[1], "1", "done", 1)
        await d.until(runs[1], "completed")
        key = session_key(d.platform(d.store), "s")
        by_the_skipped = await d.store.load(key)
        assert by_the_skipped is not None
        assert b"hold" in by_the_skipped.body
        await d.control.signal(runs[2], "go")
        await d.until(runs[2], "completed")
        d.store._snapshots[key] = by_the_skipped
        runs += await say(d, "c")
        assert await results(d, runs[2:]) == [[2, ["a"]], [3, ["a", "wait"]]]


async def test_an_index_that_calls_a_turn_held_does_not_skip_one_that_runs() -> None:
    from outlast.journal.index import HintPatch

    app, gates = talking(on_held_turn="skip")
    gates["a"] = asyncio.Event()
    async with desk(app, wait_poll_s=0.05) as d:
        (first,) = await say(d, "a")
        await d.until(first, "running")
        d.store.patch(HintPatch(first, state="held"))
        (second,) = await say(d, "b")
        await asyncio.sleep(0.3)
        d.store.patch(HintPatch(first, state="running"))
        gates["a"].set()
        assert await results(d, [first, second]) == [[1, []], [2, ["a"]]]


async def test_an_idle_session_expires_by_an_event_and_begins_anew() -> None:
    app, _ = talking(session_ttl=0.3)
    async with desk(app) as d:
        await results(d, await say(d, "a", "b"))
        await asyncio.sleep(0.5)
        with pytest.raises(NotFound, match="session s has expired: it was idle for"):
            await d.control.session("s")
        assert await results(d, await say(d, "c", "d")) == [[1, []], [2, ["c"]]]
        view = await d.control.session("s")
        assert view.state == {"count": 2, "texts": ["c", "d"]}
        bodies = [record.body for record in await d.store.read(session_key(d.platform(d.store), "s"))]
        assert sum(b"session.expired" in body for body in bodies) == 1


async def test_a_session_does_not_expire_while_a_turn_is_open() -> None:
    app, _ = talking(session_ttl=0.2)
    async with desk(app) as d:
        runs = await say(d, "wait")
        await d.until(runs[0], "parked")
        await asyncio.sleep(0.4)
        runs += await say(d, "b")
        await d.control.signal(runs[0], "go")
        assert await results(d, runs) == [[1, []], [2, ["wait"]]]


async def test_a_session_does_not_expire_while_a_turn_is_open_behind_which_another_was_cancelled() -> None:
    app, _ = talking(session_ttl=0.3)
    async with desk(app) as d:
        first, second = await say(d, "wait", "b")
        await d.has(first, "signal.awaited")
        await d.control.cancel(second)
        ended = await d.until(second, "cancelled")
        assert ended.ended_at is not None
        await d.wait_for(lambda: d.clock.now() > (ended.ended_at or 0) + 0.5)
        (third,) = await say(d, "c")
        assert (await d.control.session("s")).turns_ended == 0
        await d.control.signal(first, "go")
        assert await results(d, [first, third]) == [[1, []], [3, ["wait"]]]


async def test_a_session_that_has_expired_is_not_shown_whatever_its_last_snapshot_holds() -> None:
    app, _ = talking(session_ttl=0.3)
    async with desk(app, session_snapshot_every=1) as d:
        (run,) = await say(d, "a")
        ended = await d.until(run, "completed")
        await d.wait_for(d.store.snapshots, "it has been folded")
        await d.wait_for(lambda: d.clock.now() > (ended.ended_at or 0) + 0.5)
        with pytest.raises(NotFound, match="expired"):
            await d.control.session("s")


async def test_keys_that_are_removed_are_removed_and_values_changed_in_place_count() -> None:
    app, _ = talking()
    async with desk(app) as d:
        assert [result[0] for result in await results(d, await say(d, "a", "forget", "b"))] == [1, 2, 3]
        assert (await d.control.session("s")).state == {"count": 1, "texts": ["a", "forget", "b"]}


async def test_a_turn_whose_worker_dies_is_the_same_turn() -> None:
    app, _ = talking()
    async with desk(app) as d:
        runs = await say(d, "a", "wait", "b")
        await d.has(runs[1], "signal.awaited")
        await d.crash_and_replace()
        await d.control.signal(runs[1], "go")
        assert await results(d, runs) == [[1, []], [2, ["a"]], [3, ["a", "wait"]]]


async def test_the_same_start_again_is_the_same_turn() -> None:
    app, _ = talking()
    async with desk(app) as d:
        first = await d.control.start("talk", "a", key="k", session="s")
        await d.until(first.run)
        await results(d, await say(d, *(f"t{n}" for n in range(20))))
        again = await d.control.start("talk", "a", key="k", session="s")
        assert (again.run, again.created) == (first.run, False)
        assert await results(d, await say(d, "z")) == [[22, ["a", *(f"t{n}" for n in range(20))]]]


def _wrong(key: str, seq: int, **changes: Any) -> Snapshot:
    body = msgspec.json.encode(SessionState([("user", "wrong")], {"count": msgspec.Raw(b"99")}, 99))
    fields: dict[str, Any] = {"stream": key, "seq": seq, "hash": b"x" * 32, "v": snapshot_version, "body": body}
    return Snapshot(**{**fields, **changes})


@pytest.mark.parametrize("fault", ["other hash", "other version", "corrupt", "beyond the end", "none", "stale", "zero"])
async def test_snapshots_that_are_wrong_stale_missing_or_corrupt_are_harmless(fault: str) -> None:
    app, _ = talking()
    async with desk(app, session_snapshot_every=2) as d:
        await results(d, await say(d, "a", "b", "c", "d"))
        key = session_key(d.platform(d.store), "s")
        good = await d.store.load(key)
        assert good is not None
        snapshots: dict[str, Snapshot | None] = {
            "other hash": _wrong(key, good.seq),
            "other version": _wrong(key, good.seq, hash=good.hash, v=99),
            "corrupt": _wrong(key, good.seq, hash=good.hash, body=b"{"),
            "beyond the end": _wrong(key, 500),
            "none": None,
            "stale": d.store._snapshots[key],
            "zero": _wrong(key, 0),
        }
        chosen = snapshots[fault]
        d.store._snapshots.clear()
        if chosen is not None:
            d.store._snapshots[key] = chosen
        assert await results(d, await say(d, "e", "f")) == [[5, ["a", "b", "c", "d"]], [6, ["a", "b", "c", "d", "e"]]]
        assert (await d.control.session("s")).state["count"] == 6


async def test_messages_are_bounded_to_the_last_ones() -> None:
    app, _ = talking()
    async with desk(app, session_messages_max=3) as d:
        found = await results(d, await say(d, "a", "b", "c", "d", "e"))
        assert found[-1] == [5, ["b", "c", "d"]]


@pytest.mark.slow
async def test_a_thousand_turns() -> None:
    app, _ = talking()
    async with desk(app) as d:
        for n in range(1000):
            (run,) = await say(d, f"t{n}")
            assert (await d.until(run, "completed")).result[0] == n + 1
        reads = 0
        read = d.store.read

        async def counted(*arguments: Any) -> Any:
            nonlocal reads
            found = await read(*arguments)
            reads += len(found)
            return found

        d.store.read = counted  # type: ignore[method-assign]
        (run,) = await say(d, "last")
        await d.until(run, "completed")
        assert reads < 200, "a turn does not read all that came before"


async def test_a_session_is_only_there_for_turns_and_cannot_be_continued_as_new() -> None:
    app: App[None] = App("t")

    @app.agent
    async def alone(run: Run[None]) -> str:
        try:
            return run.session.id
        except Exception as error:
            return str(error)

    @app.agent
    async def turn(run: Run[None]) -> str:
        with contextlib.suppress(ValueError):
            run.session.say("robot", "hello")
        try:
            run.continue_as_new()
        except Exception as error:
            return str(error)

    async with desk(app) as d:
        assert "is not part of a session" in (await d.until(await d.start("alone"))).result
        assert "is not for turns of a session" in (await d.until(await d.start("turn", session="s"))).result
        with pytest.raises(NotFound, match="session none does not exist"):
            await d.control.session("none")


async def test_a_state_that_has_no_json_form_fails_the_turn() -> None:
    app: App[None] = App("t")

    @app.agent
    async def turn(run: Run[None]) -> None:
        run.session.state["x"] = object()

    async with desk(app) as d:
        view = await d.until(await d.start("turn", session="s"))
        assert view.state == "failed"
        assert "session state 'x' cannot be recorded" in view.error["message"]  # type: ignore[index]
