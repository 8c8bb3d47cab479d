from __future__ import annotations

import asyncio
import dataclasses
from typing import Any

import msgspec

from outlast.agent import event as ev
from outlast.agent.app import App
from outlast.agent.create import NewRun, create_run, run_key
from outlast.agent.mail import inbox_key, post, read_inbox
from outlast.agent.run import Run
from outlast.cell.claim import claim
from outlast.cell.sweep import Sweep
from outlast.journal.blob import Payload
from outlast.journal.chain import genesis
from outlast.journal.index import HintPatch, RunEntry
from outlast.journal.record import make_append
from outlast.journal.stream import Append, Applied, Head, Outcome
from outlast.kernel.error import StoreUnavailable
from tests.agent.desk import Desk, desk

app: App[None] = App("t")


@app.agent
async def go(run: Run[None]) -> str:
    return await run.signal("go", str)


class Forgetful:
    """A store that loses the hints of its appends while it is told to."""

    def __init__(self, behind: Any) -> None:
        self.behind = behind
        self.forgets = True
        self.appends = 0

    def __getattr__(self, name: str) -> Any:
        return getattr(self.behind, name)

    async def append(self, append: Append) -> Outcome:
        self.appends += 1
        return await self.behind.append(msgspec.structs.replace(append, hint=None) if self.forgets else append)


class Place:
    """A desk whose store forgets, and a sweep over what is really there."""

    def __init__(self, **settings: Any) -> None:
        self.desk = Desk(app, {}, sweep_rest_s=0.0, **settings)
        self.store = Forgetful(self.desk.store)
        self.platform = self.desk.platform(self.store)
        self.said: list[str] = []
        self.sweep = Sweep(self.desk.platform(self.desk.store), self.said.append)

    async def entry(self, run: str) -> RunEntry:
        entry = await self.desk.store.entry(run)
        assert entry is not None
        return entry

    async def append(self, stream: str, *events: Any, at: float | None = None) -> Head:
        head = await self.store.head(stream)
        when = self.desk.clock.now() if at is None else at
        outcome = await self.store.append(make_append(stream, head, f"x{head.seq}", when, list(events)))
        assert isinstance(outcome, Applied)
        return outcome.head

    async def created(self, run: str = "run_1") -> str:
        created = ev.RunCreated("go", Payload(msgspec.Raw(b"{}")), "d", "main", 0.0, "s", "", "run_0")
        await self.append(run_key(self.platform, run), created, at=5.0)
        return run


async def test_a_run_whose_creation_the_index_missed_is_introduced_to_it() -> None:
    place = Place()
    run = await place.created()
    assert await place.desk.store.entry(run) is None
    assert await place.sweep.walk() == 1
    entry = await place.entry(run)
    assert (entry.agent, entry.pool, entry.session, entry.parent) == ("go", "main", "s", "run_0")
    assert (entry.state, entry.created_at) == ("ready", 5.0)
    assert await place.sweep.walk() == 0


async def test_an_end_that_the_index_missed_is_told_with_its_reason() -> None:
    place = Place()
    run = await place.created()
    await place.sweep.walk()
    await place.append(run_key(place.platform, run), ev.RunCancelledEvent("enough"), at=9.0)
    assert (await place.entry(run)).state == "ready"
    assert await place.sweep.walk() == 1
    entry = await place.entry(run)
    assert (entry.state, entry.reason, entry.owner, entry.updated_at) == ("cancelled", "enough", "", 9.0)
    assert await place.sweep.walk() == 0


async def test_who_is_rung_for_a_run_whose_end_the_index_missed_tells_it_at_once() -> None:
    place = Place()
    run = await place.created()
    await place.sweep.walk()
    platform = place.desk.platform(place.desk.store)
    await claim(platform, run, "w1", False, app.agents)
    await place.append(run_key(place.platform, run), ev.RunCancelledEvent("enough"))
    assert (await place.entry(run)).state == "running"
    assert await claim(platform, run, "w2", False, app.agents) is None
    entry = await place.entry(run)
    assert (entry.state, entry.owner) == ("cancelled", "")


async def test_mail_that_the_index_missed_is_told() -> None:
    place = Place()
    run = await place.desk.start("go")
    await claim(place.desk.platform(place.desk.store), run, "w1", False, app.agents)
    await post(place.platform, run, ev.MailWake("m1", "x"))
    assert (await place.entry(run)).mail == 0
    assert await place.sweep.walk() == 1
    entry = await place.entry(run)
    assert (entry.state, entry.owner) == ("running", "w1")  # it is not taken from its owner
    assert entry.mail == len((await read_inbox(place.platform, run))[0])
    assert await place.sweep.walk() == 0


async def test_a_run_that_went_on_behind_the_index_s_back_is_to_be_looked_at() -> None:
    place = Place()
    run = await place.desk.start("go")
    await place.desk.store.append(
        make_append(run_key(place.platform, run), await place.store.head(run_key(place.platform, run)), "p", 10.0,
                    [ev.RunParked("x", 0.0)], HintPatch(run, state="parked", updated_at=10.0))
    )  # fmt: skip
    assert await place.sweep.walk() == 0
    await place.append(run_key(place.platform, run), ev.TimerSet("1", 20.0), at=12.0)
    assert await place.sweep.walk() == 1
    assert (await place.entry(run)).due(0.0)


async def test_a_run_that_is_to_be_tried_alone_is_not_claimed_by_others_for_ever() -> None:
    place = Place()
    run = await place.desk.start("go")
    await place.append(run_key(place.platform, run), ev.RunTrial(3))
    assert (await place.entry(run)).state == "ready"
    assert await place.sweep.walk() == 1
    assert (await place.entry(run)).state == "trial"
    assert await place.sweep.walk() == 0


async def test_a_run_that_the_index_calls_ended_and_is_not_is_to_be_looked_at() -> None:
    place = Place()
    run = await place.created()
    stream = inbox_key(place.platform, run)
    await place.desk.store.append(
        make_append(stream, genesis(stream), "y", 1.0, [ev.MailWake("1", "x")], HintPatch(run, state="completed"))
    )
    assert await place.sweep.walk() == 1
    assert (await place.entry(run)).state == "ready"


async def test_what_the_index_knows_is_left_alone() -> None:
    async with desk(app, sweep_rest_s=0.0) as d:
        runs = [await d.start("go") for _ in range(3)]
        for run in runs[:2]:
            await d.control.signal(run, "go", "x", id="1")
            await d.until(run)
        store = Forgetful(d.store)
        assert await Sweep(d.platform(store), print).walk() == 0
        assert store.appends == 0


async def test_a_run_that_moves_meanwhile_is_left_to_who_moves_it() -> None:
    place = Place()
    run = await place.created()
    stream = run_key(place.platform, run)

    class Moving(Forgetful):
        async def entry(self, run: str) -> RunEntry | None:
            await place.append(stream, ev.RunClaimed("w1", 1, 0))
            return None

    moving = Moving(place.desk.store)
    platform = dataclasses.replace(place.desk.platform(moving), index=moving)
    assert not await Sweep(platform, print).mend(run)
    assert (await place.store.head(inbox_key(place.platform, run))).seq == 0


async def test_mail_that_comes_meanwhile_is_no_lost_mail() -> None:
    place = Place()
    run = await place.desk.start("go")
    inbox = inbox_key(place.platform, run)

    class Busy(Forgetful):
        async def entry(self, run: str) -> RunEntry | None:
            found = await self.behind.entry(run)
            await post(place.desk.platform(place.desk.store), run, ev.MailWake("m1", "x"))
            return found

    platform = dataclasses.replace(place.desk.platform(place.desk.store), index=Busy(place.desk.store))
    assert not await Sweep(platform, print).mend(run)
    assert (await place.store.head(inbox)).seq == 1


async def test_two_sweeps_at_once_tell_it_once() -> None:
    place = Place()
    run = await place.created()
    await asyncio.gather(*(Sweep(place.desk.platform(place.desk.store), print).mend(run) for _ in range(5)))
    assert (await place.store.head(inbox_key(place.platform, run))).seq <= 2
    assert (await place.entry(run)).state == "ready"


async def test_a_full_inbox_is_complained_about_and_the_walk_goes_on() -> None:
    place = Place(inbox_events_max=4)
    for run in ("run_1", "run_2"):
        await place.created(run)
    await place.append(inbox_key(place.platform, "run_1"), *(ev.MailWake(str(number), "x") for number in range(2)))
    assert await place.sweep.walk() == 1
    assert "inbox holds 2 messages" in place.said[0]
    assert (await place.entry("run_2")).state == "ready"


async def test_a_store_that_is_away_is_complained_about_and_asked_again(until: Any) -> None:
    place = Place(sweep_every_s=0.01)

    class Away(Forgetful):
        tries = 0

        async def streams(self, *asked: Any) -> Any:
            self.tries += 1
            raise StoreUnavailable("away")

    away = Away(place.desk.store)
    task = asyncio.get_running_loop().create_task(Sweep(place.desk.platform(away), place.said.append).run())
    await until(lambda: away.tries > 2)
    task.cancel()
    assert place.said[0] == "runs cannot be swept: away"


async def test_a_lost_run_is_found_and_finished_by_a_cell() -> None:
    async with desk(app, sweep_rest_s=0.0, sweep_every_s=0.05) as d:
        store = Forgetful(d.store)
        created = NewRun("go", "default", b"{}", 0.0)
        await create_run(d.platform(store), "run_lost", created)
        await post(d.platform(store), "run_lost", ev.MailSignal("1", "go", Payload(msgspec.Raw(b'"there"'))))
        view = await d.until("run_lost")
        assert view.state == "completed"
        assert view.result == "there"


async def test_mail_that_came_before_its_run_is_no_lost_hint() -> None:
    place = Place()
    place.store.forgets = False
    await post(place.platform, "run_1", ev.MailCancel("c", "parent gone"), unborn=True)
    await create_run(place.platform, "run_1", NewRun("go", "main", b"{}", 0.0))
    assert (await place.entry("run_1")).state == "ready"
    assert await place.sweep.walk() == 0, "who claims it looks into its inbox"
