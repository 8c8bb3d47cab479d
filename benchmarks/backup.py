"""How long a backup of a journal takes, what came since, the verification and the restore.

A journal of runs with their histories on SQLite, a depot in a directory beside it, on the same disk; syncs included.

python -m benchmarks.backup [--events 100000] [--json]
"""

from __future__ import annotations

import argparse
import asyncio
import json
import tempfile
import time
from pathlib import Path
from typing import Any

import msgspec

from outlast.adapters.directory.depot import DirectoryDepot
from outlast.adapters.host.randomness import OsRandomness
from outlast.adapters.sqlite.store import SqliteStore
from outlast.agent import event as ev
from outlast.blueprint.schema import Blueprint
from outlast.bootstrap.backing import back_up
from outlast.bootstrap.home import StateDirectory
from outlast.bootstrap.restoring import restore
from outlast.journal.blob import Payload
from outlast.journal.chain import genesis
from outlast.journal.record import make_append
from outlast.journal.stream import Applied, StreamKey
from outlast.recover.check import Check

events_per_run = 100
result_bytes = 500


async def write(store: SqliteStore, runs: range) -> None:
    """Runs of 100 events, each in a record of its own, with results of 500 bytes that compress to half."""
    chance = OsRandomness()

    async def one(number: int) -> None:
        stream = str(StreamKey("run", f"run_{number:022d}", store.lineage))
        head = genesis(stream)
        for index in range(events_per_run):
            text = msgspec.Raw(msgspec.json.encode(chance.token(result_bytes // 2).hex()))
            event: Any = ev.StepDone(str(index), "look", "a" * 16, 1.0, Payload(text))
            if index == 0:
                event = ev.RunCreated("desk", Payload(text), "d", "default", 2e9)
            if index == events_per_run - 1:
                event = ev.RunCompleted(Payload(text))
            outcome = await store.append(make_append(stream, head, f"w.{index}", time.time(), [event]))
            assert isinstance(outcome, Applied)
            head = outcome.head

    for start in range(runs.start, runs.stop, 100):
        await asyncio.gather(*(one(number) for number in range(start, min(start + 100, runs.stop))))


async def measure(events: int, directory: Path) -> dict[str, Any]:
    home, target = directory / "home", directory / "target"
    home.mkdir()
    state = StateDirectory(home)
    state.make()
    store = SqliteStore.open(state.journal, OsRandomness(), durability="process")
    runs = events // events_per_run
    await write(store, range(runs))
    depot = DirectoryDepot(directory / "depot", OsRandomness())
    found: dict[str, Any] = {"events": runs * events_per_run, "journal_bytes": state.journal.stat().st_size}

    def size() -> int:
        return sum(path.stat().st_size for path in (directory / "depot").rglob("*") if path.is_file())

    start, cpu = time.perf_counter(), time.process_time()
    taken = await back_up(home, Blueprint(), depot)
    found["full_s"], found["full_cpu_s"] = time.perf_counter() - start, time.process_time() - cpu
    found["record_bytes"], found["depot_bytes"] = taken.bytes, size()
    found["full_mb_per_s"] = taken.bytes / 1e6 / found["full_s"]
    await write(store, range(runs, runs + 10))
    start = time.perf_counter()
    since = await back_up(home, Blueprint(), depot)
    found["increment_s"], found["increment_events"] = time.perf_counter() - start, since.events
    start = time.perf_counter()
    await back_up(home, Blueprint(), depot)
    found["nothing_new_s"] = time.perf_counter() - start
    store.close()
    start = time.perf_counter()
    checked = await Check(depot).run()
    found["verify_s"] = time.perf_counter() - start
    assert checked.whole
    cpu = time.process_time()
    outcome = await restore(depot, target, None)
    assert outcome.restored.report.whole
    assert outcome.restored.report.events == taken.events + since.events
    found["restore_s"], found["restore_cpu_s"] = outcome.took_s, time.process_time() - cpu
    found["restore_events_per_s"] = outcome.restored.report.events / outcome.took_s
    return found


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--events", type=int, default=100_000)
    parser.add_argument("--json", action="store_true")
    given = parser.parse_args()
    with tempfile.TemporaryDirectory(prefix="outlast-backup-") as directory:
        found = asyncio.run(measure(given.events, Path(directory)))
    if given.json:
        print(json.dumps(found))
        return
    print(f"{found['events']} events, {found['record_bytes'] / 1e6:.0f} MB of records")
    print(
        f"full backup       {found['full_s']:.2f} s, {found['full_mb_per_s']:.0f} MB/s; {found['full_cpu_s']:.2f} s CPU"
    )
    print(f"stored            {found['depot_bytes'] / 1e6:.0f} MB")
    print(f"increment         {found['increment_s']:.2f} s for {found['increment_events']} events")
    print(f"nothing new       {found['nothing_new_s']:.2f} s")
    print(f"verification      {found['verify_s']:.2f} s")
    rate = found["restore_events_per_s"]
    print(f"restore, audited  {found['restore_s']:.2f} s, {rate:.0f} events/s; {found['restore_cpu_s']:.2f} s CPU")


if __name__ == "__main__":
    main()
