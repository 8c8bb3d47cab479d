from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from typing import Any, cast

import pytest

from outlast.adapters.memory.store import MemoryStore
from outlast.journal.chain import genesis, verify
from outlast.journal.record import append_id_of
from outlast.journal.stream import Append, EventStore, Outcome, Reply, Unknown, append_bytes_max
from outlast.journal.writer import Fenced, StreamWriter, record_events_max, settle_append
from outlast.kernel.error import Conflict, StoreCorrupt, StoreUnavailable, UsageError
from outlast.kernel.point import NoPoints
from tests.contracts.note import Noted, note


class StillClock:
    """Time passes only by sleeping."""

    def __init__(self) -> None:
        self.time = 1000.0

    def now(self) -> float:
        return self.time

    def monotonic(self) -> float:
        return self.time

    async def sleep(self, seconds: float) -> None:
        self.time += seconds
        await asyncio.sleep(0)


class Bad:
    """A store whose next appends go as told."""

    def __init__(self) -> None:
        self.inner = MemoryStore()
        self.sent: list[Append] = []
        self.next: list[Callable[[Append], Awaitable[Outcome]]] = []
        self.gate: asyncio.Event | None = None
        self.tasks: list[asyncio.Task[Outcome]] = []

    async def append(self, append: Append) -> Outcome:
        self.sent.append(append)
        if self.gate is not None:
            await self.gate.wait()
        if self.next:
            return await self.next.pop(0)(append)
        return await self.inner.append(append)

    def __getattr__(self, name: str) -> Any:
        return getattr(self.inner, name)

    async def lost(self, append: Append) -> Outcome:
        return Unknown("lost")

    async def answer_lost(self, append: Append) -> Outcome:
        await self.inner.append(append)
        return Unknown("lost")


def submit(store: Bad, append: Append, reply: Reply) -> None:
    """What makes it a QuickStore."""

    def answer(task: asyncio.Task[Outcome]) -> None:
        error = task.exception()
        if isinstance(error, Exception):
            reply.set_exception(error)
        else:
            reply.set_result(task.result())

    store.tasks.append(asyncio.ensure_future(store.append(append)))
    store.tasks[-1].add_done_callback(answer)


def submit_at_once(store: Bad, append: Append, reply: Reply) -> None:
    """A QuickStore that answers before `submit` returns, where it has nothing to wait for."""
    if store.gate is not None:
        submit(store, append, reply)
        return
    appending = store.append(append)
    try:
        appending.__await__().__next__()
    except StopIteration as stop:
        reply.set_result(stop.value)
    except Exception as error:
        reply.set_exception(error)
    else:
        raise AssertionError("it waits for something")


@pytest.fixture(params=["a task for each record", "quick", "at once"], autouse=True)
def way(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> None:
    """Everything holds whichever way records go."""
    if request.param == "quick":
        monkeypatch.setattr(Bad, "submit", submit, raising=False)
    elif request.param == "at once":
        monkeypatch.setattr(Bad, "submit", submit_at_once, raising=False)


STREAM = "run/r@0.local.memory"


def writer_of(store: Any, clock: StillClock | None = None, patience_s: float = 5.0, name: str = "w") -> StreamWriter:
    return StreamWriter(
        store, STREAM, genesis(STREAM), name, clock or StillClock(), NoPoints(), patience_s, lambda: None
    )


async def texts(store: Any) -> list[list[str]]:
    import json

    records = await store.read(STREAM)
    verify(STREAM, records)
    return [[event["text"] for event in json.loads(record.body)["events"]] for record in records]


async def test_appends_are_in_the_order_asked_and_gather_while_one_is_under_way() -> None:
    store = Bad()
    store.gate = asyncio.Event()
    writer = writer_of(store)
    futures = [writer.append(Noted(str(n))) for n in range(3)]
    await asyncio.sleep(0)
    await asyncio.sleep(0)
    futures += [writer.append(Noted(str(n))) for n in range(3, 6)]
    store.gate.set()
    await asyncio.gather(*futures)
    assert await texts(store) == [["0", "1", "2"], ["3", "4", "5"]]
    assert writer.head.seq == 6


async def test_who_is_alone_waits_for_nobody_and_who_may_not_be_gathers(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(Bad, "submit", submit, raising=False)
    store = Bad()
    writer = writer_of(store)
    first = writer.append(Noted("a"), alone=True)
    assert len(store.tasks) == 1, "on its way before anything else is asked"
    behind = [writer.append(Noted(x), alone=True) for x in "bc"]
    await asyncio.gather(first, *behind)
    await asyncio.gather(*(writer.append(Noted(x)) for x in "de"))
    assert await texts(store) == [["a"], ["b", "c"], ["d", "e"]]


async def test_a_store_that_raises_ends_the_writer() -> None:
    store = Bad()

    async def corrupt(append: Append) -> Outcome:
        raise StoreCorrupt("the journal is corrupt")

    store.next = [corrupt]
    writer = writer_of(store)
    futures = [writer.append(Noted(x)) for x in "ab"]
    for future in (*futures, writer.append(Noted("c"))):
        with pytest.raises(StoreCorrupt, match="the journal is corrupt"):
            await future
    await writer.idle()


async def test_events_of_one_append_stay_together_and_records_are_bounded() -> None:
    store = Bad()
    writer = writer_of(store)
    futures = [writer.append(Noted(f"{n}a"), Noted(f"{n}b")) for n in range(record_events_max)]
    await asyncio.gather(*futures)
    found = await texts(store)
    assert [len(record) for record in found] == [record_events_max, record_events_max]
    assert [text for record in found for text in record] == [f"{n}{x}" for n in range(record_events_max) for x in "ab"]


async def test_large_events_are_spread_over_records_that_the_store_takes() -> None:
    store = Bad()
    writer = writer_of(store)
    await asyncio.gather(*(writer.append(Noted("\x01" * 9000 + str(n))) for n in range(20)))
    assert all(len(append.body) <= append_bytes_max for append in store.sent)
    assert sum(len(record) for record in await texts(store)) == 20


async def test_an_event_that_no_record_can_hold_is_refused_and_the_stream_goes_on() -> None:
    store = Bad()
    writer = writer_of(store)
    first = writer.append(Noted("a"))
    with pytest.raises(UsageError, match="the bound append_bytes_max is 262144"):
        writer.append(Noted("x" * append_bytes_max))
    await first
    await writer.append(Noted("b"))
    assert await texts(store) == [["a"], ["b"]]


async def test_a_cancelled_waiter_does_not_undo_its_append_and_its_fold_is_called_in_order() -> None:
    store = Bad()
    store.gate = asyncio.Event()
    writer = writer_of(store)
    folded: list[str] = []
    futures = [writer.append(Noted(x), then=lambda at, x=x: folded.append(x)) for x in "abc"]
    await asyncio.sleep(0)
    futures[1].cancel()
    store.gate.set()
    await writer.idle()
    assert folded == ["a", "b", "c"]
    assert await texts(store) == [["a", "b", "c"]]


async def test_the_time_given_is_the_time_in_the_record() -> None:
    import json

    store, clock = Bad(), StillClock()
    clock.time = 1234.56789012
    at = await writer_of(store, clock).append(Noted("a"))
    (record,) = await store.read(STREAM)
    assert at == json.loads(record.body)["at"] == 1234.56789


async def test_after_unknown_the_identical_bytes_are_sent_again() -> None:
    store = Bad()
    store.next = [store.lost, store.lost]
    writer = writer_of(store)
    await writer.append(Noted("a"))
    await writer.append(Noted("b"))
    assert await texts(store) == [["a"], ["b"]]
    assert store.sent[0] == store.sent[1] == store.sent[2]
    assert store.sent[3].append_id != store.sent[0].append_id


async def test_a_conflict_with_its_own_append_is_success() -> None:
    store = Bad()
    store.next = [store.answer_lost]
    writer = writer_of(store)
    await writer.append(Noted("a"))
    await writer.append(Noted("b"))
    assert await texts(store) == [["a"], ["b"]]
    assert writer.head == await store.head(STREAM)


async def test_its_own_append_is_known_though_others_stand_behind_it() -> None:
    store = Bad()

    async def overtaken(append: Append) -> Outcome:
        await store.inner.append(append)
        head = await store.inner.head(STREAM)
        await store.inner.append(note(STREAM, head, "other"))
        return Unknown("lost")

    store.next = [overtaken]
    writer = writer_of(store)
    await writer.append(Noted("a"))
    with pytest.raises(Fenced):
        await writer.append(Noted("b"))
    assert await texts(store) == [["a"], ["other"]]


async def test_who_is_beaten_is_fenced_for_ever() -> None:
    store = Bad()
    await store.inner.append(note(STREAM, genesis(STREAM), "other"))
    writer = writer_of(store)
    futures = [writer.append(Noted(x)) for x in "ab"]
    for future in futures:
        with pytest.raises(Fenced, match="has moved to 1, 0 was expected: another worker owns it now"):
            await future
    with pytest.raises(Fenced):
        await writer.append(Noted("c"))
    assert await texts(store) == [["other"]]
    assert len({append.body for append in store.sent}) == 1, "nothing else was tried"


async def test_an_outcome_that_stays_unknown_ends_the_writer_after_its_patience() -> None:
    store, clock = Bad(), StillClock()
    store.next = [store.lost] * 1000
    writer = writer_of(store, clock, patience_s=3.0)
    with pytest.raises(StoreUnavailable, match="the outcome of an append stays unknown"):
        await writer.append(Noted("a"))
    assert 3.0 <= clock.time - 1000.0 <= 5.0
    sent = len(store.sent)
    with pytest.raises(StoreUnavailable):
        await writer.append(Noted("b"))
    assert len(store.sent) == sent, "nothing is written behind an unknown append"
    assert len({append.body for append in store.sent}) == 1


async def test_an_abandoned_append_that_lands_late_fences_or_is_fenced() -> None:
    store, clock = Bad(), StillClock()
    store.next = [store.lost] * 1000
    writer = writer_of(store, clock, patience_s=0.1)
    with pytest.raises(StoreUnavailable):
        await writer.append(Noted("late"))
    store.next = []
    await store.inner.append(store.sent[0])
    other = writer_of(store, name="other")
    with pytest.raises(Fenced):
        await other.append(Noted("x"))
    assert await texts(store) == [["late"]]


async def test_a_closed_writer_refuses_what_comes_and_lets_what_is_under_way_end() -> None:
    store = Bad()
    store.gate = asyncio.Event()
    writer = writer_of(store)
    first = writer.append(Noted("a"))
    await asyncio.sleep(0)
    await asyncio.sleep(0)
    second = writer.append(Noted("b"))
    writer.close(Conflict("let go"))
    writer.close(Conflict("again"))
    store.gate.set()
    await first
    for future in (second, writer.append(Noted("c"))):
        with pytest.raises(Conflict, match="let go"):
            await future
    assert await texts(store) == [["a"]]


async def test_a_fold_that_fails_ends_the_writer_and_nobody_waits_for_ever() -> None:
    store = Bad()
    writer = writer_of(store)
    seen: list[dict[str, Any]] = []
    asyncio.get_running_loop().set_exception_handler(lambda loop, context: seen.append(context))

    def broken(at: float) -> None:
        raise AssertionError("two outcomes")

    futures = [writer.append(Noted("a"), then=broken), writer.append(Noted("b"))]
    for future in futures:
        with pytest.raises(AssertionError, match="two outcomes"):
            await future
    with pytest.raises(AssertionError):
        await writer.append(Noted("c"))


async def test_the_hint_is_made_with_the_bytes() -> None:
    from outlast.journal.index import HintPatch

    store = Bad()
    state = "running"
    writer = StreamWriter(
        cast(EventStore, store), STREAM, genesis(STREAM), "w", StillClock(), NoPoints(), 1.0,
        lambda: HintPatch("r", reason=state),
    )  # fmt: skip
    await writer.append(Noted("a"))
    state = "parked"
    await writer.append(Noted("b"))
    assert [append.hint.reason for append in store.sent if append.hint] == ["running", "parked"]


async def test_settling_reads_again_when_the_store_is_away_after_a_conflict() -> None:
    store, clock = Bad(), StillClock()
    append = note(STREAM, genesis(STREAM), "mine")
    await store.inner.append(append)
    reads = 0

    class Away(Bad):
        async def read(self, *arguments: Any) -> Any:
            nonlocal reads
            reads += 1
            if reads < 3:
                raise StoreUnavailable("away")
            return await store.inner.read(*arguments)

    away = Away()
    away.inner = store.inner
    head = await settle_append(cast(EventStore, away), append, clock, 5.0)
    assert head == await store.inner.head(STREAM)
    assert append_id_of((await store.inner.read(STREAM))[0]) == "mine"
