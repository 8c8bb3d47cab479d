from __future__ import annotations

import asyncio
import dataclasses
from collections.abc import Awaitable, Callable

from outlast.adapters.memory.store import MemoryStore
from outlast.agent.control import Control
from outlast.agent.platform import Platform
from outlast.journal.notice import Listener
from outlast.journal.stream import Notice
from outlast.server.limit import Limits
from tests.server.site import Site, Told, completed, desk, grow, marked, running

Until = Callable[..., Awaitable[None]]


def numbers(events: list[Told]) -> list[int]:
    return [int(event.id) for event in events if event.id is not None]


async def test_a_follower_sees_every_event_once_and_the_stream_ends_with_the_run(
    site: Site, platform: Platform
) -> None:
    run = await site.start()
    async with site.follow(run) as events:
        first = await anext(events)
        assert (first.id, first.type) == ("1", "run.created")
        assert first.data["seq"] == 1
        assert first.data["data"]["agent"] == "quiet"
        seen = [first]
        for number in range(2, 50):
            await grow(platform, run, marked(number))
        await grow(platform, run, marked(50), completed(), state="completed")
        seen += [event async for event in events]
    assert numbers(seen) == list(range(1, 52))
    assert seen[-1].type == "run.completed"


class Counting(MemoryStore):
    """Counts who listens."""

    listeners = 0

    def listen(self, listener: Listener, *, steps: bool = True) -> Callable[[], None]:
        stop = super().listen(listener, steps=steps)
        self.listeners += 1

        def end() -> None:
            self.listeners -= 1
            stop()

        return end


async def test_the_store_is_listened_to_while_somebody_follows(platform: Platform, until: Until) -> None:
    store = Counting()
    platform = dataclasses.replace(platform, store=store, index=store, snapshots=store)
    control = Control(platform, desk())
    async with running(control, desk()) as site:
        run = await site.start()
        assert store.listeners == 0
        async with site.follow(run) as events, site.follow(run) as others:
            await anext(events)
            await anext(others)
            assert store.listeners == 1
            await grow(platform, run, completed(), state="completed")
            assert [event.type async for event in events] == ["run.completed"]
        await until(lambda: store.listeners == 0, 10, "nobody listens")


async def test_a_post_that_accepts_events_follows_the_run(site: Site, platform: Platform) -> None:
    path = f"{site.address}/v1/agents/support/runs"
    headers = {"Accept": "text/event-stream", "Idempotency-Key": "k", "Content-Type": "application/json"}
    from tests.server.site import told

    for expected in (201, 200):
        async with site.http.post(path, data=b'{"input": "hi"}', headers=headers) as answer:
            assert answer.status == expected
            assert answer.headers["content-type"].startswith("text/event-stream")
            assert answer.headers["outlast-run-created"] == ("true" if expected == 201 else "false")
            run = answer.headers["outlast-run"]
            if expected == 201:
                await grow(platform, run, completed(), state="completed")
            assert numbers([event async for event in told(answer.content)]) == [1, 2]


async def test_following_resumes_behind_the_last_event_id_also_inside_one_append(
    site: Site, platform: Platform
) -> None:
    run = await site.start()
    await grow(platform, run, *(marked(number) for number in range(2, 8)))  # one record of six events
    await grow(platform, run, completed(), state="completed")
    for after in range(8):
        assert numbers(await site.followed(run, after)) == list(range(after + 1, 9))


async def test_behind_the_last_event_there_is_nothing_to_come_back_for(site: Site, platform: Platform) -> None:
    run = await site.start()
    await grow(platform, run, completed(), state="completed")
    answer = await site.get(f"/v1/runs/{run}/events", Accept="text/event-stream", Last_Event_ID="2")
    assert (answer.status, answer.body) == (204, b"")


async def test_a_last_event_id_that_was_never_given_is_refused(site: Site) -> None:
    for last in ["-1", "x", "1.0", "99999999999999999", "9", "0x1", "1,2"]:
        run = await site.start()
        answer = await site.get(f"/v1/runs/{run}/events", Accept="text/event-stream", Last_Event_ID=last)
        assert (answer.status, answer.code) == (400, "bad_request")


async def test_an_unknown_run_cannot_be_followed(site: Site) -> None:
    answer = await site.get("/v1/runs/run_none/events", Accept="text/event-stream")
    assert (answer.status, answer.code) == (404, "not_found")


class Deaf(MemoryStore):
    """Loses every notice; the test makes up others."""

    def listen(self, listener: Listener, *, steps: bool = True) -> Callable[[], None]:
        self.heard = listener
        return lambda: None


async def test_lost_doubled_and_reordered_notices_cost_time_only(platform: Platform) -> None:
    strange = [Notice("run/run_x@0.local.memory", 1), Notice("nonsense", 7), Notice("run/", 0)]
    store = Deaf()
    control = Control(dataclasses.replace(platform, store=store, index=store, snapshots=store), desk())
    async with running(control, desk(), limits=Limits(poll_s=0.05)) as site:
        run = await site.start()
        async with site.follow(run) as events:
            assert (await anext(events)).id == "1"
            await grow(site.platform, run, marked(2), marked(3))
            assert [(await anext(events)).id, (await anext(events)).id] == ["2", "3"]
            store.heard([Notice(f"run/{run}@0.local.memory", 99), *strange, Notice(f"run/{run}@0.local.memory", 1)])
            await grow(site.platform, run, completed(), state="completed")
            assert [event.id async for event in events] == ["4"]


async def test_following_survives_a_restart_of_the_server(control: Control, platform: Platform) -> None:
    seen: list[Told] = []
    async with running(control, desk()) as site:
        run = await site.start()
        await grow(platform, run, marked(2))
        async with site.follow(run) as events:
            async for event in events:
                seen.append(event)
                if event.id == "2":
                    site.stop.set()
    assert seen.pop().type == "outlast.stopping"
    await grow(platform, run, marked(3), marked(4))
    async with running(control, desk()) as site:
        await grow(platform, run, completed(), state="completed")
        assert seen[-1].id is not None
        seen += await site.followed(run, int(seen[-1].id))
    assert numbers(seen) == [1, 2, 3, 4, 5]


async def test_a_quiet_follower_hears_heartbeats(control: Control) -> None:
    async with running(control, desk(), limits=Limits(heartbeat_s=0.05, poll_s=0.05)) as site:
        run = await site.start()
        path = f"{site.address}/v1/runs/{run}/events"
        async with site.http.get(path, headers={"Accept": "text/event-stream"}) as answer:
            beats = 0
            async for line in answer.content:
                beats += line == b": beat\n"
                if beats == 3:
                    break


async def test_followers_are_bounded_and_leave_their_places(control: Control, until: Until) -> None:
    async with running(control, desk(), limits=Limits(followers_max=2, poll_s=0.05)) as site:
        run = await site.start()
        async with site.follow(run) as one, site.follow(run) as two:
            await anext(one)
            await anext(two)
            for answer in (
                await site.get(f"/v1/runs/{run}/events", Accept="text/event-stream"),
                await site.post("/v1/agents/quiet/runs", {}, Accept="text/event-stream"),
                await site.post("/v1/agents/quiet/runs", {}, Prefer="wait=5"),
            ):
                assert (answer.status, answer.code) == (503, "overloaded")
                assert answer.headers["retry-after"] == "1"
            assert len((await site.get("/v1/runs")).json["runs"]) == 1  # who was refused has started nothing

        async def free() -> bool:
            async with site.http.get(
                f"{site.address}/v1/runs/{run}/events", headers={"Accept": "text/event-stream"}
            ) as answer:
                return answer.status == 200

        await until(free, 10, "places are free again")


async def test_a_follower_that_takes_nothing_is_dropped_with_a_word(
    control: Control, platform: Platform, until: Until
) -> None:
    limits = Limits(follower_stall_s=0.3, linger_s=5, poll_s=0.05)
    async with running(control, desk(), limits=limits) as site:
        run = await site.start()
        large = marked(2)
        for _ in range(150):  # some 15 MB: more than the sockets' buffers take
            await grow(platform, run, *([type(large)("2", "x" * 100_000, 2)] * 1))
        reader, writer = await asyncio.open_connection("127.0.0.1", site.port, limit=1024)
        writer.write(
            f"GET /v1/runs/{run}/events HTTP/1.1\r\nHost: localhost\r\nAccept: text/event-stream\r\n\r\n".encode()
        )
        await reader.readline()
        transport = writer.transport
        assert isinstance(transport, asyncio.ReadTransport)
        transport.pause_reading()
        await until(lambda: site.busy == 1, 10, "it follows")
        await until(lambda: site.busy == 0, 10, "it is dropped")
        transport.resume_reading()
        said = await reader.read(-1)
        writer.close()
        assert b"event: outlast.dropped\n" in said
        assert said.count(b"\nid: ") < 151


async def test_a_follower_is_told_to_come_back_after_a_while(control: Control) -> None:
    async with running(control, desk(), limits=Limits(follow_max_s=0.1, poll_s=0.05)) as site:
        run = await site.start()
        told = await site.followed(run)
        assert [event.type for event in told] == ["run.created", "outlast.resume"]
        assert told[-1].id is None
        assert told[-1].data["retryable"] is True


async def test_a_client_that_goes_away_leaves_nothing_behind(control: Control, until: Until) -> None:
    async with running(control, desk(), limits=Limits(poll_s=0.05)) as site:
        run = await site.start()
        for _ in range(5):
            async with site.follow(run) as events:
                await anext(events)
        await until(lambda: site.busy == 0, 10, "all followers have left")


async def test_fifty_followers_each_see_everything(site: Site, platform: Platform) -> None:
    run = await site.start()
    following = [asyncio.create_task(site.followed(run)) for _ in range(50)]
    for number in range(2, 40):
        await grow(platform, run, marked(number))
    await grow(platform, run, completed(), state="completed")
    for seen in await asyncio.gather(*following):
        assert numbers(seen) == list(range(1, 41))
