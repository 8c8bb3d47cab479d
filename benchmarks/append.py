"""What an append costs, against a bare WAL commit of the same bytes: ``python -m benchmarks.append [--json]``.

Trials are interleaved, so that a busy machine is busy for all of them; figures are medians over trials, with the
quartiles.
"""

from __future__ import annotations

import argparse
import asyncio
import contextlib
import json
import resource
import statistics
import sys
import tempfile
import time
from collections.abc import AsyncIterator, Awaitable, Callable
from pathlib import Path
from typing import Any

import apsw
import msgspec
import uvloop

from outlast.adapters.host.clock import SystemClock
from outlast.adapters.host.randomness import OsRandomness
from outlast.adapters.sqlite.client import SqliteClient
from outlast.adapters.sqlite.store import SqliteStore
from outlast.journal.chain import genesis
from outlast.journal.record import make_append
from outlast.journal.stream import Applied, EventStore

WRITER = """
import sys
from pathlib import Path
from outlast.adapters.host.clock import SystemClock
from outlast.adapters.host.randomness import OsRandomness
from outlast.adapters.sqlite.writer import serve
serve(Path(sys.argv[1]), Path(sys.argv[2]), clock=SystemClock(), randomness=OsRandomness())
"""


class Event(msgspec.Struct, tag_field="type", tag="event"):
    value: str
    v: int = 1


class Bare:
    """A WAL commit of the same bytes, and nothing else."""

    def __init__(self, path: Path) -> None:
        self._connection = apsw.Connection(str(path))
        self._connection.pragma("journal_mode", "wal")
        self._connection.pragma("synchronous", "full")
        self._connection.execute(
            "CREATE TABLE r (id INTEGER PRIMARY KEY, stream INT, seq INT, count INT, body TEXT, hash)"
        )
        self._connection.execute("CREATE UNIQUE INDEX place ON r (stream, seq)")
        self._seq = 0

    def commit(self, body: str) -> None:
        self._seq += 1
        execute = self._connection.execute
        execute("BEGIN IMMEDIATE")
        execute("INSERT INTO r (stream, seq, count, body, hash) VALUES (1, ?, 1, ?, ?)", (self._seq, body, bytes(32)))
        execute("COMMIT")


class Writer:
    """A store, and a stream of it that grows."""

    def __init__(self, store: EventStore, name: str, size: int) -> None:
        self._store = store
        self._stream = f"run/{name}@{store.lineage}"
        self._head = genesis(self._stream)
        self._value = "x" * size

    async def append(self) -> None:
        append = make_append(self._stream, self._head, f"w.{self._head.seq}", 1e9, [Event(self._value)])
        outcome = await self._store.append(append)
        if not isinstance(outcome, Applied):
            raise TypeError(f"an append was not applied: {outcome}")
        self._head = outcome.head

    async def many(self, count: int) -> None:
        for _ in range(count):
            await self.append()

    def body(self) -> str:
        return make_append(self._stream, self._head, "w.0", 1e9, [Event(self._value)]).body.decode()


async def timed(act: Callable[[], Awaitable[None]], count: int) -> float:
    """The median time of one call, in milliseconds."""
    times: list[float] = []
    for _ in range(count):
        begun = time.perf_counter()
        await act()
        times.append(time.perf_counter() - begun)
    return statistics.median(times) * 1000


@contextlib.asynccontextmanager
async def through_writer(directory: Path) -> AsyncIterator[tuple[SqliteClient, int]]:
    """A client of a writing process of its own, and the number of that process."""
    journal, socket = directory / "journal.sqlite", directory / "s"
    process = await asyncio.create_subprocess_exec(sys.executable, "-c", WRITER, journal, socket)
    try:
        client = await SqliteClient.open(journal, socket, clock=SystemClock())
        try:
            yield client, process.pid
        finally:
            client.close()
    finally:
        process.terminate()
        await process.wait()


def cpu_s(pid: int) -> float:
    """CPU time of a process, in seconds (Linux)."""
    fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    return (int(fields[11]) + int(fields[12])) / 100


def own_cpu_s() -> float:
    usage = resource.getrusage(resource.RUSAGE_SELF)
    return usage.ru_utime + usage.ru_stime


async def concurrent(store: EventStore, label: str, streams: int, each: int, size: int) -> float:
    """Appends a second of many streams at once."""
    writers = [Writer(store, f"{label}-{index}", size) for index in range(streams)]
    begun = time.perf_counter()
    await asyncio.gather(*(writer.many(each) for writer in writers))
    return streams * each / (time.perf_counter() - begun)


async def measure(directory: Path, trials: int, count: int, size: int, streams: int) -> dict[str, Any]:
    for name in ("inside", "outside"):
        (directory / name).mkdir()
    bare = Bare(directory / "bare.sqlite")
    inside = SqliteStore.open(directory / "inside" / "journal.sqlite", OsRandomness())
    figures: dict[str, list[float]] = {}

    def add(name: str, value: float) -> None:
        figures.setdefault(name, []).append(value)

    async with through_writer(directory / "outside") as (client, pid):
        alone_inside, alone_outside = Writer(inside, "alone", size), Writer(client, "alone", size)
        body = alone_inside.body()

        async def bare_commit() -> None:
            bare.commit(body)

        await timed(bare_commit, count)  # the first log of each grows its file: not measured
        await timed(alone_inside.append, count)
        await timed(alone_outside.append, count)
        for trial in range(trials):
            commit = await timed(bare_commit, count)
            within, through = await timed(alone_inside.append, count), await timed(alone_outside.append, count)
            add("commit_ms", commit)
            add("append_in_process_ms", within)
            add("append_through_writer_ms", through)
            add("in_process_over_commit", within / commit)
            add("through_writer_over_commit", through / commit)
            add("in_process_per_s", await concurrent(inside, f"t{trial}", streams, 20, size))
            own, other = own_cpu_s(), cpu_s(pid)
            add("through_writer_per_s", await concurrent(client, f"t{trial}", streams, 20, size))
            add("client_cpu_us", (own_cpu_s() - own) / (streams * 20) * 1e6)
            add("writer_cpu_us", (cpu_s(pid) - other) / (streams * 20) * 1e6)
    inside.close()
    return {name: summary(values) for name, values in figures.items()}


def summary(values: list[float]) -> dict[str, float]:
    low, middle, high = statistics.quantiles(values, n=4)
    return {"median": round(middle, 3), "low": round(low, 3), "high": round(high, 3)}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--trials", type=int, default=9)
    parser.add_argument("--count", type=int, default=200, help="appends of a lone run in each trial")
    parser.add_argument("--size", type=int, default=1000, help="bytes of each value")
    parser.add_argument("--streams", type=int, default=200, help="runs at once")
    parser.add_argument("--directory", type=Path, help="where to write; a disk, not memory (default: beside this file)")
    parser.add_argument("--json", action="store_true")
    chosen = parser.parse_args()
    with tempfile.TemporaryDirectory(prefix=".b", dir=chosen.directory or Path(__file__).parent) as place:
        figures = uvloop.run(measure(Path(place), chosen.trials, chosen.count, chosen.size, chosen.streams))
    if chosen.json:
        print(json.dumps(figures))
        return
    for name, values in figures.items():
        print(f"{name:28} {values['median']:>10.3f}   ({values['low']:.3f} to {values['high']:.3f})")


if __name__ == "__main__":
    main()
