"""What the suites of the ports do not ask: races between processes, bounds, an index that lags, what is billed."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack
from pathlib import Path
from typing import Any

import pytest

from outlast.adapters.aws.dynamodb import layout
from outlast.adapters.aws.dynamodb.index import Index
from outlast.adapters.aws.dynamodb.size import Item
from outlast.adapters.aws.dynamodb.table import Table
from outlast.adapters.aws.fault import CallFailed
from outlast.adapters.aws.price import prices, step_cost
from outlast.cell.presence import HostBeat
from outlast.journal.chain import genesis
from outlast.journal.index import HintPatch
from outlast.journal.stream import Applied, Conflicted, Head, append_bytes_max
from outlast.kernel.error import StoreCorrupt, StoreUnavailable, UsageError
from tests.adapters.aws.opening import engine, options
from tests.contracts.note import applied, everything, fill, key, names, note, settle


async def test_of_eight_processes_that_race_one_wins_each_place(ministack: str, short_dir: Path) -> None:
    async with AsyncExitStack() as stack:
        opened = [await stack.enter_async_context(engine(options(short_dir.name, ministack))) for _ in range(8)]
        stream = key(opened[0].journal, "r")
        won: list[str] = []

        async def race(number: int) -> None:
            journal = opened[number].journal
            for index in range(8):
                append = note(stream, await journal.head(stream), f"w{number}.{index}", "x" * number)
                if isinstance(await journal.append(append), Applied):
                    won.append(f"w{number}.{index}")

        await asyncio.gather(*map(race, range(8)))
        assert sorted(await names(opened[0].journal, stream)) == sorted(won), "all that was acknowledged, once"
        assert sum(one.usage.appends for one in opened) == len(won)


async def test_who_has_seen_an_older_end_writes_neither_gap_nor_fork(ministack: str, short_dir: Path) -> None:
    async with AsyncExitStack() as stack:
        one, two = [await stack.enter_async_context(engine(options(short_dir.name, ministack))) for _ in range(2)]
        stream = key(one.journal, "r")
        seen = await fill(one.journal, stream, 2)
        end = await fill(two.journal, stream, 3)
        assert await one.journal.append(note(stream, seen, "late")) == Conflicted(end)
        ahead = note(stream, end, "next")
        assert isinstance(await one.journal.append(ahead), Applied), "an end that it has not seen is looked up"
        far = Head(ahead.expected.seq + 40, bytes(32))
        assert isinstance(await two.journal.append(note(stream, far, "gap")), Conflicted)
        assert len(await everything(two.journal, stream)) == 6


async def test_the_largest_append_fits_an_item_with_its_keys(ministack: str, short_dir: Path) -> None:
    async with engine(options(short_dir.name, ministack)) as opened:
        journal = opened.journal
        stream = key(journal, "r" + "x" * 127)
        small = note(stream, genesis(stream), "n", "")
        append = note(stream, genesis(stream), "n", "€" * ((append_bytes_max - len(small.body)) // 3))
        assert append_bytes_max - 3 < len(append.body) <= append_bytes_max
        applied(await journal.append(append))
        assert (await journal.read(stream))[0].body == append.body


async def test_what_is_too_large_for_an_item_is_refused_with_its_size(ministack: str, short_dir: Path) -> None:
    async with engine(options(short_dir.name, ministack)) as opened:
        workers = tuple(f"worker_{number:030}" for number in range(12_000))
        before = opened.usage.calls.total()
        with pytest.raises(UsageError, match=r"takes \d+ bytes .* item_bytes_max is 409600"):
            await opened.presence.beat(HostBeat("host", 1, workers))
        assert opened.usage.calls.total() == before


async def test_a_table_that_is_not_there_is_said_at_once(ministack: str, short_dir: Path) -> None:
    with pytest.raises(StoreUnavailable, match=r"ResourceNotFoundException.*make it with outlast\.adapters\.aws"):
        async with engine(options(short_dir.name, ministack), protection=None):
            pass


async def test_without_credentials_nothing_is_asked(
    ministack: str, short_dir: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv("AWS_ACCESS_KEY_ID")
    monkeypatch.delenv("AWS_SECRET_ACCESS_KEY")
    with pytest.raises(StoreUnavailable, match="give this process AWS credentials"):
        async with engine(options(short_dir.name, ministack), protection=None):
            pass


async def test_nobody_there_is_unavailable_and_may_be_tried_again(short_dir: Path) -> None:
    with pytest.raises(CallFailed) as caught:
        async with engine(options(short_dir.name, "http://127.0.0.1:9"), protection=None):
            pass
    assert caught.value.may_be_done


async def test_an_item_that_is_no_record_is_corruption_not_a_crash(ministack: str, short_dir: Path) -> None:
    async with engine(options(short_dir.name, ministack)) as opened:
        journal = opened.journal
        stream = key(journal, "r")
        await fill(journal, stream, 1)
        table: Table = journal._streams._table
        await table.put({**layout.key(stream, layout.place(2)), "body": {"S": "{}"}})
        with pytest.raises(StoreCorrupt, match="is no record"):
            await journal.read(stream)
        with pytest.raises(StoreCorrupt, match="is no record"):
            await journal.head(stream)


class Lagging:
    """A table whose indexes answer as they did when `freeze` was called."""

    def __init__(self, table: Table) -> None:
        self._table = table
        self._frozen: dict[tuple[str, str], list[Item]] | None = None
        self.get, self.get_all, self.count = table.get, table.get_all, table.count

    async def freeze(self, partitions: list[tuple[str, str]]) -> None:
        self._frozen = {
            (index, partition): [item async for item in self._table.find(index, partition)]
            for index, partition in partitions
        }

    def thaw(self) -> None:
        self._frozen = None

    async def find(
        self, index: str, partition: str, start: str = "", end: str = "\uffff", limit: int | None = None,
        *, newest_first: bool = False,
    ) -> AsyncIterator[Item]:  # fmt: skip
        if self._frozen is None:
            async for item in self._table.find(index, partition, start, end, limit, newest_first=newest_first):
                yield item
            return
        name = layout.INDEXES[index][1]
        items = [item for item in self._frozen.get((index, partition), []) if start <= item[name]["S"] <= end]
        for item in reversed(items) if newest_first else items:
            yield item


async def test_an_index_that_lags_costs_time_only(ministack: str, short_dir: Path) -> None:
    async with engine(options(short_dir.name, ministack)) as opened:
        journal = opened.journal

        async def say(run: str, **changes: Any) -> None:
            stream = key(journal, run)
            head = await journal.head(stream)
            hint = HintPatch(run, agent="desk", updated_at=float(head.seq), **changes)
            applied(await journal.append(note(stream, head, f"a{head.seq}", hint=hint)))

        lagging = Lagging(journal._streams._table)
        journal._index = Index(lagging, journal.lineage)  # type: ignore[arg-type]
        await say("old", created_at=1.0)
        await say("done", created_at=2.0)
        lineage = journal.lineage
        await lagging.freeze(
            [(index, f"{lineage}/{shard}") for index in ("open", "newest") for shard in range(layout.shards)]
        )
        await say("done", state="completed")
        await say("new", created_at=3.0)
        assert [entry.run for entry in await journal.due(9.0)] == ["done", "old"], "it shows too much and too little"
        entry = await journal.entry("done")
        assert entry is not None
        assert entry.state == "completed", "one run is looked up as it is now"
        assert {entry.run: entry.state for entry in await journal.list()} == {"done": "completed", "old": "ready"}
        late = note(key(journal, "done"), (await journal.head(key(journal, "done"))), "claim")
        assert isinstance(await journal.append(late), Applied), "streams decide, as of now"
        assert await journal.streams("run") == sorted(key(journal, run) for run in ("done", "new", "old"))
        lagging.thaw()
        assert [entry.run for entry in await journal.due(9.0)] == ["new", "old"]


async def test_a_late_hint_does_not_overwrite_a_newer_one(ministack: str, short_dir: Path) -> None:
    async with engine(options(short_dir.name, ministack)) as opened:
        journal, stream = opened.journal, f"run/r@{opened.journal.lineage}"
        hints = journal._hints
        await hints.tell(stream, 5, HintPatch("r", state="completed", owner="", updated_at=5.0))
        await hints.tell(stream, 3, HintPatch("r", state="running", owner="w", seen=2, updated_at=3.0))
        await hints.tell(stream, 1, HintPatch("r", agent="desk", state="ready", created_at=1.0, updated_at=1.0))
        await hints.tell(f"inbox/r@{journal.lineage}", 4, HintPatch("r", mail=4, updated_at=6.0))
        await hints.tell(f"inbox/r@{journal.lineage}", 2, HintPatch("r", mail=2, state="ready", updated_at=2.0))
        entry = await journal.entry("r")
        assert entry is not None
        assert (entry.state, entry.owner, entry.agent, entry.created_at) == ("completed", "", "desk", 1.0)
        assert (entry.mail, entry.seen, entry.updated_at) == (4, 2, 6.0)


async def test_of_two_that_begin_a_run_the_index_believes_the_one_that_did(ministack: str, short_dir: Path) -> None:
    async with AsyncExitStack() as stack:
        one, two = [await stack.enter_async_context(engine(options(short_dir.name, ministack))) for _ in range(2)]
        stream = key(one.journal, "r")
        begin = [note(stream, genesis(stream), name, hint=HintPatch("r", agent=name)) for name in ("loser", "winner")]
        await one.journal._foretell(begin[0])  # and then it is slow
        assert isinstance(await two.journal.append(begin[1]), Applied)
        assert isinstance(await one.journal.append(begin[0]), Conflicted)
        for journal in (one.journal, two.journal):
            entry = await journal.entry("r")
            assert entry is not None
            assert entry.agent == "winner"


async def test_two_processes_tell_of_one_run_at_once_and_nothing_is_lost(ministack: str, short_dir: Path) -> None:
    async with AsyncExitStack() as stack:
        opened = [await stack.enter_async_context(engine(options(short_dir.name, ministack))) for _ in range(4)]
        stream = key(opened[0].journal, "r", "inbox")
        for journal in (one.journal for one in opened):
            await fill(journal, stream, 1)

        async def tell(number: int) -> None:
            await opened[number].journal._hints.tell(stream, 9, HintPatch("r", mail=number, seen=number % 3))

        await asyncio.gather(*(tell(number) for number in range(4) for _ in range(3)))
        entry = await opened[0].journal.entry("r")
        assert entry is not None
        assert (entry.mail, entry.seen) == (3, 2)


async def test_a_step_is_one_write_and_its_units_are_counted(ministack: str, short_dir: Path) -> None:
    async with engine(options(short_dir.name, ministack)) as opened:
        journal, usage = opened.journal, opened.usage
        stream = key(journal, "r")
        head = applied(
            await journal.append(note(stream, genesis(stream), "new", hint=HintPatch("r", agent="a", created_at=1.0)))
        )
        calls, writes, units = usage.calls.total(), usage.writes, usage.write_units
        for index in range(20):
            head = applied(await settle(journal, note(stream, head, f"s{index}", "x" * 700)))
        assert usage.calls.total() - calls == 20, "one call a step"
        assert usage.writes - writes == 20
        assert usage.write_units - units == 20, "an item of less than 1 KiB is one unit"
        assert usage.index_units == 4, "of the run's entry only"
        hint = HintPatch("r", state="running", owner="w", updated_at=2.0)
        applied(await journal.append(note(stream, head, "claim", hint=hint)))
        assert usage.ruled == 0, "this server says what was consumed"
        assert usage.all_write_units == usage.ruled_units, "and it is what the published rule gives"
        cost = step_cost(usage, 21, "us-east-1")
        price = prices().regions["us-east-1"].write_units_usd_per_million
        assert cost.usd_per_million_steps == pytest.approx(usage.all_write_units / 21 * price)
        assert cost.usd_per_million_steps < cost.lambda_durable_functions_usd < cost.step_functions_usd
        assert step_cost(usage, 21, "us-east-1", 2).usd_per_million_steps == pytest.approx(
            3 * cost.usd_per_million_steps
        )
        with pytest.raises(UsageError, match="no price"):
            step_cost(usage, 21, "mars-north-1")
