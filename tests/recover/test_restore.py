"""A restored journal is the old one up to an instant; what may have gone on is held, and nothing is done twice."""

from __future__ import annotations

import contextlib
import re
from collections.abc import AsyncIterator
from typing import Any

import msgspec
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from outlast.adapters.memory.blob import MemoryBlobs
from outlast.adapters.memory.depot import MemoryDepot
from outlast.adapters.memory.store import MemoryStore
from outlast.agent import event as ev
from outlast.agent.control import Control
from outlast.agent.mail import read_inbox
from outlast.agent.switch import stopped_reason, switch
from outlast.journal.audit import KINDS
from outlast.journal.blob import Payload
from outlast.journal.lineage import Lineage
from outlast.journal.record import make_append
from outlast.journal.removal import StreamRemoved
from outlast.journal.stream import Append, Outcome, StoredRecord, StreamKey
from outlast.kernel.error import Conflict
from outlast.recover.catalog import Catalog
from outlast.recover.restore import check_empty
from outlast.recover.segment import at_of
from tests.agent.desk import Desk, desk
from tests.contracts.note import Noted, fill, key
from tests.recover.shop import Memory, Shop, cut, everything, platform, restore, take

# -- the cut ----------------------------------------------------------------------------------------------------------

history = st.lists(
    st.tuples(st.sampled_from(KINDS), st.integers(0, 2), st.integers(1, 3), st.integers(0, 20), st.booleans()),
    max_size=40,
)
"""Appends: a kind, which stream of it, how many events, a time, and whether a backup is taken behind it."""


def some_event(kind: str, text: str) -> Any:
    match kind:
        case "run":
            return ev.RunCancelledEvent(text) if text.startswith("1") else ev.RunParked(text, 0.0)
        case "inbox":
            return ev.MailWake(text, "other")
        case "agent":
            return ev.AgentResumed()
        case "session":
            return ev.TurnQueued(text)
        case "removal":
            return StreamRemoved(f"run/gone{text}@0.local.memory", 1, "00")
        case _:
            return Noted(text)


def prefix(records: list[StoredRecord], at: float) -> list[StoredRecord]:
    """The records up to the last one that was written by `at`."""
    last = max((index for index, record in enumerate(records) if at_of(record) <= at), default=-1)
    return records[: last + 1]


@settings(max_examples=150, deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(history, st.integers(-1, 21), st.booleans(), st.sampled_from([50, 300, 100_000]))
async def test_a_restored_store_is_the_prefix_by_time_of_every_stream(
    written: list[Any], instant: int, in_order: bool, segment_bytes_max: int
) -> None:
    store, depot = MemoryStore(), MemoryDepot()
    if in_order:
        written = sorted(written, key=lambda one: one[3])
    for number, (kind, name, events, at, backed_up) in enumerate(written):
        stream = str(StreamKey(kind, f"x{name}", store.lineage))
        texts = [some_event(kind, f"{number}.{event}") for event in range(events)]
        await store.append(make_append(stream, await store.head(stream), f"a{number}", float(at), texts))
        if backed_up:
            await take(store, MemoryBlobs(), depot, full=number % 7 == 0, segment_bytes_max=segment_bytes_max)
    await take(store, MemoryBlobs(), depot, segment_bytes_max=segment_bytes_max)
    made = await cut(depot, float(instant))
    expected = {
        stream: records if stream.startswith("key/") else prefix(records, instant)
        for stream, records in (await everything(store)).items()
    }
    assert await everything(made) == {stream: records for stream, records in expected.items() if records}
    target = MemoryStore(store.lineage)
    restored = await restore(depot, target, MemoryBlobs(), float(instant))
    found = await everything(target)
    assert all(found[stream][: len(records)] == records for stream, records in expected.items() if records)
    more = {stream for stream in found if len(found[stream]) > len(expected.get(stream, []))}
    assert {stream.partition("/")[0] for stream in more} <= {"inbox", "agent"}, "only letters and switches are added"
    assert [flaw for flaw in restored.report.flaws if flaw.grave] == []


async def test_pages_of_a_cut_are_those_of_the_store() -> None:
    store, depot = MemoryStore(), MemoryDepot()
    for _ in range(3):
        await fill(store, key(store, "a"), 7)
        await fill(store, key(store, "b"), 2)
        await take(store, MemoryBlobs(), depot, segment_bytes_max=400)
    made = await cut(depot)
    for after in range(22):
        for limit in (1, 3, 100):
            assert await made.read(key(store, "a"), after, limit) == await store.read(key(store, "a"), after, limit)
    assert await made.streams("run", key(store, "a"), 1) == [key(store, "b")]


# -- what a restored cell does ----------------------------------------------------------------------------------------


async def bought(shop: Shop, depot: MemoryDepot, **options: Any) -> tuple[str, float]:
    """A run that has bought once, is backed up, and goes on to its end; and the instant in between."""
    async with desk(shop.app) as d:
        early = d.clock.now()
        run = await d.start("shop", **options)
        await d.until(run, "parked")
        await d.wait_for(lambda: not d.workers[0].runs, "it was let go")
        await take(d.store, d.blobs, depot)
        instant = d.clock.now()
        await d.control.signal(run, "go", 7)
        await d.until(run, "completed")
        await d.wait_for(lambda: not d.workers[0].runs, "it was let go")
        await take(d.store, d.blobs, depot)
    return run, early if options else instant


@contextlib.asynccontextmanager
async def restored(shop: Shop, depot: MemoryDepot, at: float | None, **how: Any) -> AsyncIterator[Desk]:
    """A cell on another machine, on what was restored."""
    async with Desk(shop.app, {}) as d:
        lineage = Lineage.parse((await Catalog.read(depot)).check_found(depot).lineage)
        store, blobs = MemoryStore(lineage), MemoryBlobs()
        await restore(depot, store, blobs, at, **how)
        d.store, d.blobs = store, blobs
        d.control = Control(d.platform(store), shop.app)
        d._count = 10  # names of workers are never used twice
        d.executors.answer = False  # the old workers were elsewhere: nobody can say
        await d.hire()
        d._stack.callback(store.listen(d._heard))
        yield d


async def test_a_run_that_went_on_is_held_and_driven_on_it_doubles_nothing() -> None:
    shop, depot = Shop(), MemoryDepot()
    run, instant = await bought(shop, depot)
    assert len(shop.ledger) == 2
    async with restored(shop, depot, instant) as d:
        view = await d.until(run, "held")
        assert "restored from a backup" in view.reason
        assert re.search(r"its events \d+ to \d+; the messages to it 1 to 1", view.reason)
        await d.control.redrive(run)
        await d.control.signal(run, "go", 7)
        view = await d.until(run, "completed")
        assert view.result == [1, 80_000, 7, 2]
        assert [step.by for step in view.steps if step.name == "buy"] == ["call", "verify"]
    assert len(shop.ledger) == 2


async def test_without_a_verify_a_person_is_asked() -> None:
    shop, depot = Shop(verified=False), MemoryDepot()
    run, instant = await bought(shop, depot)
    async with restored(shop, depot, instant) as d:
        await d.until(run, "held")
        await d.control.redrive(run)
        await d.control.signal(run, "go", 7)

        async def asked() -> bool:
            return any(step.state == "held" and step.name == "buy" for step in (await d.control.view(run)).steps)

        await d.wait_for(asked, "the second purchase may have been made")
    assert len(shop.ledger) == 2


async def test_what_ended_before_the_instant_is_as_it_was() -> None:
    shop, depot = Shop(), MemoryDepot()
    async with desk(shop.app) as d:
        run = await d.start("quick", 5, session="s")
        await d.until(run, "completed")
        await take(d.store, d.blobs, depot)
    async with restored(shop, depot, None) as d:
        entry = await d.store.entry(run)
        assert entry is not None
        assert (entry.state, entry.agent, entry.session) == ("completed", "quick", "s")
        view = await d.control.view(run)
        assert (view.state, view.result) == ("completed", 5)
        assert (await d.control.session("s")).turns == [run]
        again = await d.start("quick", 6, session="s")
        assert (await d.until(again)).result == 6
    assert len(shop.ledger) == 2


async def parked(shop: Shop, depot: MemoryDepot) -> str:
    async with desk(shop.app) as d:
        run = await d.start("shop")
        await d.until(run, "parked")
        await d.wait_for(lambda: not d.workers[0].runs, "it was let go")
        await take(d.store, d.blobs, depot)
    return run


async def test_a_run_that_may_have_gone_on_is_held_too() -> None:
    shop, depot = Shop(), MemoryDepot()
    run = await parked(shop, depot)
    async with restored(shop, depot, None) as d:
        view = await d.until(run, "held")
        assert re.search(r"its events from \d+ on, if there were any", view.reason)
        await d.control.signal(run, "go", 7)
        await d.control.redrive(run)

        await d.wait_for(lambda: _doubted(d, run), "the second purchase is in doubt")
    assert len(shop.ledger) == 1


async def _doubted(d: Desk, run: str) -> bool:
    return "step.doubted" in await d.types(run)


async def test_where_nothing_came_later_runs_simply_go_on() -> None:
    shop, depot = Shop(), MemoryDepot()
    run = await parked(shop, depot)
    async with restored(shop, depot, None, nothing_later=True) as d:
        await d.until(run, "parked")
        await d.control.signal(run, "go", 7)
        assert (await d.until(run, "completed")).result == [1, 80_000, 7, 2]
        assert "run.lost" not in await d.types(run)
    assert len(shop.ledger) == 2


async def test_the_operators_word_does_not_stand_against_what_a_backup_knows() -> None:
    shop, depot = Shop(), MemoryDepot()
    run, instant = await bought(shop, depot)
    async with restored(shop, depot, instant, nothing_later=True) as d:
        assert "restored from a backup" in (await d.until(run, "held")).reason


async def test_a_run_that_began_later_is_held_when_it_is_asked_for_again() -> None:
    shop, depot = Shop(), MemoryDepot()
    run, before = await bought(shop, depot, key="one")
    async with restored(shop, depot, before) as d:
        assert await d.store.entry(run) is None
        assert await d.start("shop", key="one") == run
        await d.until(run, "held")
        await d.control.redrive(run)
        await d.control.signal(run, "go", 7)
        assert (await d.until(run, "completed")).result == [1, 80_000, 7, 2]
    assert len(shop.ledger) == 2


async def test_an_agent_whose_switch_was_used_later_is_stopped() -> None:
    shop, depot = Shop(), MemoryDepot()
    async with desk(shop.app) as d:
        instant = d.clock.now()
        await switch(d.control.platform, "quick", ev.AgentStopped("it bites"))
        await take(d.store, d.blobs, depot)
    async with restored(shop, depot, instant) as d:
        assert "switch was used later" in str(await stopped_reason(d.control.platform, "quick"))
        assert await stopped_reason(d.control.platform, "shop") is None


async def test_an_inbox_reaches_as_far_as_its_run_has_read_it() -> None:
    """Clocks of senders and workers differ: a run may have read a letter that bears a later time."""
    store, depot = MemoryStore(), MemoryDepot()
    run, inbox = key(store, "r"), key(store, "r", "inbox")
    created = ev.RunCreated("shop", Payload(msgspec.Raw(b"{}")), "d", "p", 1e9)
    consumed = ev.SignalConsumed("1", "go", "id", 1, Payload(msgspec.Raw(b"1")))
    letters = [ev.MailSignal(f"id{number}", "go", Payload(msgspec.Raw(b"1"))) for number in range(2)]
    for number, letter in enumerate(letters):
        await store.append(make_append(inbox, await store.head(inbox), f"m{number}", 5.0, [letter]))
    for at, event in ((1.0, created), (2.0, consumed)):
        await store.append(make_append(run, await store.head(run), f"r{at}", at, [event]))
    await take(store, MemoryBlobs(), depot)
    target, blobs = MemoryStore(), MemoryBlobs()
    await restore(depot, target, blobs, 3.0)
    found, _ = await read_inbox(platform(target, blobs), "r")
    assert [letter.mail.id for letter in found][:1] == ["id0"]
    assert [type(letter.mail) for letter in found[1:]] == [ev.MailLost, ev.MailLost]


# -- broken off -------------------------------------------------------------------------------------------------------


class Dies(BaseException):
    pass


class Mortal:
    """A target whose process dies at the n-th append, before or behind it."""

    def __init__(self, behind: MemoryStore, at: int, applied: bool) -> None:
        self.behind = self
        self._store = behind
        self._left = at
        self._applied = applied

    def __getattr__(self, name: str) -> Any:
        return getattr(self._store, name)

    async def append(self, append: Append) -> Outcome:
        self._left -= 1
        if self._left == 0:
            if self._applied:
                await self._store.append(append)
            raise Dies
        return await self._store.append(append)


@pytest.mark.parametrize("applied", [False, True])
async def test_killed_anywhere_it_goes_on_and_never_leaves_a_run_that_nobody_holds(applied: bool) -> None:
    shop, depot = Shop(), MemoryDepot()
    run, instant = await bought(shop, depot)
    whole, blobs = MemoryStore(), MemoryBlobs()
    await restore(depot, whole, blobs, instant)
    expected = {stream: len(records) for stream, records in (await everything(whole)).items()}
    at = 0
    while True:
        at += 1
        target, blobs, log = MemoryStore(), MemoryBlobs(), Memory()
        try:
            await restore(depot, Mortal(target, at, applied), blobs, instant, log=log)
        except Dies:
            pass
        else:
            break
        if await target.head(key(target, run)) != await MemoryStore().head(key(target, run)):
            letters, _ = await read_inbox(platform(target, blobs), run)
            assert any(isinstance(letter.mail, ev.MailLost) for letter in letters)
        again = await restore(depot, target, blobs, instant, log=log)
        assert {stream: len(records) for stream, records in (await everything(target)).items()} == expected
        assert again.report.flaws == []
        assert again.told.held == (run,)
    assert at > 4


async def test_only_an_empty_store_is_restored_into() -> None:
    store = MemoryStore()
    await check_empty(store)
    await fill(store, key(store, "a", "session"), 1)
    with pytest.raises(Conflict, match="not empty, it holds session/a"):
        await check_empty(store)
