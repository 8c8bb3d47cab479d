"""Runs that ended long ago are gone at one moment for every reader, and removed afterwards."""

from __future__ import annotations

from pathlib import Path

import pytest

from outlast.adapters.aws.dynamodb.retention import Retention, grace_s
from outlast.adapters.aws.dynamodb.table import Table, expiry_slack_s
from outlast.adapters.aws.engine import AwsEngine
from outlast.journal.chain import genesis
from outlast.journal.index import HintPatch
from outlast.journal.stream import Applied
from outlast.kernel.error import StoreUnavailable
from tests.adapters.aws.opening import engine, options
from tests.contracts.note import applied, everything, key, note
from tests.servers.microburst import Faults

DAY = 24 * 3600.0


class Moved:
    """The system's clock, some time ahead."""

    def __init__(self, clock: object) -> None:
        self._clock = clock
        self.ahead_s = 0.0

    def now(self) -> float:
        return self._clock.now() + self.ahead_s  # type: ignore[attr-defined]

    def monotonic(self) -> float:
        return self._clock.monotonic()  # type: ignore[attr-defined]

    async def sleep(self, seconds: float) -> None:
        await self._clock.sleep(seconds)  # type: ignore[attr-defined]


def moved(opened: AwsEngine) -> tuple[Table, Moved]:
    table: Table = opened.journal._streams._table
    table._clock = clock = Moved(table._clock)
    return table, clock


async def a_run(opened: AwsEngine, name: str, ended_days_ago: float | None, now: float) -> str:
    journal = opened.journal
    stream, inbox = key(journal, name), key(journal, name, "inbox")
    at = now - 100 * DAY
    head = applied(
        await journal.append(note(stream, genesis(stream), "n", hint=HintPatch(name, created_at=at, updated_at=at)))
    )
    head = applied(await journal.append(note(stream, head, "more", "x", "y")))
    applied(await journal.append(note(inbox, genesis(inbox), "mail")))
    if ended_days_ago is not None:
        hint = HintPatch(name, state="completed", updated_at=now - ended_days_ago * DAY)
        applied(await journal.append(note(stream, head, "end", hint=hint)))
    return stream


@pytest.mark.parametrize("by_table", [True, False])
async def test_a_run_is_gone_at_one_moment_and_another_may_take_its_name(
    ministack: str, short_dir: Path, by_table: bool
) -> None:
    async with engine(options(short_dir.name, ministack, retention_days=30, table_expires=by_table)) as opened:
        journal = opened.journal
        table, clock = moved(opened)
        retention = opened.retention
        assert retention is not None
        retention._clock = clock
        now = clock.now()
        old = await a_run(opened, "old", 31, now)
        fresh = await a_run(opened, "fresh", 29, now)
        going = await a_run(opened, "going", None, now)
        assert (await retention.walk()).told == 1
        assert (await retention.walk()).told == 0
        assert len(await everything(journal, old)) == 3, "all of it is there until its moment"
        assert await journal.entry("old") is not None
        clock.ahead_s = grace_s + 2
        assert await journal.read(old) == []
        assert await journal.head(old) == genesis(old)
        assert await journal.entry("old") is None
        assert sorted(await journal.streams("run")) == sorted([fresh, going])
        assert len(await journal.streams("inbox")) == 2
        assert {entry.run for entry in await journal.list()} == {"fresh", "going"}
        assert await table.query(old, expired=True), "what has expired is still in the table"
        clock.ahead_s = grace_s + expiry_slack_s + 60
        if not by_table:
            assert (await retention.walk()).removed == 1
            assert await table.query(old, expired=True) == []
            assert (await retention.walk()).removed == 0
        head = genesis(old)
        for index in range(4):
            outcome = await journal.append(note(old, head, f"again{index}"))
            assert isinstance(outcome, Applied), "what has expired is not in the way"
            head = outcome.head
        assert len(await everything(journal, old)) == 4
        assert len(await everything(journal, fresh)) == 3
        assert len(await everything(journal, going)) == 2


async def test_a_walk_that_breaks_off_is_made_good_by_the_next(
    faults: Faults, short_dir: Path
) -> None:
    async with engine(options(short_dir.name, faults.address, read_timeout_s=30)) as opened:
        journal = opened.journal
        table, clock = moved(opened)
        old = await a_run(opened, "old", 31, clock.now())
        retention = Retention(table, journal.lineage, clock, 30)
        of_records = "starts_with(Key.pk.S, 'run/')"
        faults.set({"operation": "UpdateItem", "body": of_records, "error": {"code": "ThrottlingException"}})
        with pytest.raises(StoreUnavailable):
            await retention.walk()
        assert await journal.entry("old") is not None
        faults.set()
        assert (await retention.walk()).told == 1
        clock.ahead_s = grace_s + 2
        assert await journal.read(old) == []
        assert await journal.entry("old") is None
