"""Removing runs from PostgreSQL while others append to them."""

from __future__ import annotations

import psycopg
import pytest

from outlast.journal.chain import link
from outlast.kernel.error import StoreUnavailable
from tests.adapters.postgres.opening import Site, opened
from tests.contracts.note import everything, note
from tests.contracts.shrinking import a_run


async def test_an_append_that_is_under_way_is_waited_for_and_its_run_stays(site: Site) -> None:
    async with opened(site) as engine:
        journal = engine.journal
        run = await a_run(journal, "old")
        inbox, end = run.heads[0]
        late = note(inbox, end, "late")
        async with await psycopg.AsyncConnection.connect(site.url) as other:
            await other.execute(
                f"INSERT INTO {site.schema}.record (stream, seq, count, body, hash) VALUES (%s, %s, 1, %s, %s)",  # type: ignore[arg-type]
                (inbox, end.seq + 1, late.body.decode(), link(end.hash, late.body)),
            )
            with pytest.raises(StoreUnavailable):
                await journal.remove([run])
            await other.commit()
        await journal.remove([run])
        assert [len(await everything(journal, stream)) for stream, _ in run.heads] == [2, 3]
