"""What a run costs in write units, begin and end and indexes included: the figures of docs/aws.md."""

from __future__ import annotations

from pathlib import Path

import pytest

from outlast.adapters.aws.price import step_cost
from outlast.journal.chain import genesis
from outlast.journal.index import HintPatch
from tests.adapters.aws.opening import engine, options
from tests.contracts.note import applied, key, note

STEPS = 50


@pytest.mark.parametrize(
    ("result_bytes", "table_units", "index_units", "usd"), [(600, 57, 11, 0.85), (1024, 107, 11, 1.475)]
)
async def test_a_million_steps_cost_what_the_document_says(
    ministack: str, short_dir: Path, result_bytes: int, table_units: int, index_units: int, usd: float
) -> None:
    async with engine(options(short_dir.name, ministack)) as opened:
        journal, usage = opened.journal, opened.usage
        usage.__init__()  # type: ignore[misc] # the lineage is written once for all runs
        stream = key(journal, "run_0123456789abcdefghjkmn")
        run = "run_0123456789abcdefghjkmn"
        made = HintPatch(run, agent="desk", pool="main", state="ready", owner="", created_at=1.0, updated_at=1.0)
        head = applied(await journal.append(note(stream, genesis(stream), "new", hint=made)))
        claimed = HintPatch(run, state="running", owner="worker_0123456789", wake_at=0.0, reason="", updated_at=2.0)
        head = applied(await journal.append(note(stream, head, "claim", hint=claimed)))
        for index in range(STEPS):
            head = applied(await journal.append(note(stream, head, f"s{index}", "x" * result_bytes)))
        ended = HintPatch(run, state="completed", owner="", updated_at=3.0)
        applied(await journal.append(note(stream, head, "end", hint=ended)))
        assert usage.appends == STEPS + 3
        assert (usage.write_units, usage.index_units) == (table_units, index_units)
        assert usage.all_write_units == usage.ruled_units
        assert step_cost(usage, STEPS, "us-east-1").usd_per_million_steps == pytest.approx(usd, abs=0.005)
