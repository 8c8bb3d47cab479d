"""Appends on PostgreSQL beside the bare INSERT and commit of the same bytes, on one server, in one run.

``python -m benchmarks.postgres`` starts a server of its own (fsync on); ``--url`` takes another. Trials alternate.
"""

from __future__ import annotations

import argparse
import asyncio
import itertools
import json
import statistics
import sys
import time
from collections.abc import Callable, Coroutine
from contextlib import nullcontext
from typing import Any

import psycopg

from outlast.adapters.host.clock import SystemClock
from outlast.adapters.host.randomness import OsRandomness
from outlast.adapters.postgres.engine import PostgresEngine
from outlast.adapters.postgres.options import PostgresOptions
from outlast.journal.chain import genesis, link
from outlast.journal.record import make_append
from outlast.journal.stream import Applied, Head
from tests.contracts.note import Noted
from tests.servers.postgres import running

_numbers = itertools.count()
_INSERT = "INSERT INTO outlast.record VALUES (%s, %s, 1, %s, %s)"


def quantile(values: list[float], part: float) -> float:
    return sorted(values)[min(len(values) - 1, int(len(values) * part))] * 1000


async def bare(url: str, count: int, body: str) -> list[float]:
    spent: list[float] = []
    async with await psycopg.AsyncConnection.connect(url, autocommit=True) as connection:
        connection.prepare_threshold = 1
        stream = f"session/bare{next(_numbers)}@0.local.abcdef"
        for seq in range(count):
            start = time.perf_counter()
            await connection.execute(_INSERT, (stream, seq + 1, body, bytes(32)), binary=True)
            spent.append(time.perf_counter() - start)
    return spent


async def lone(engine: PostgresEngine, count: int, text: str) -> list[float]:
    store = engine.journal
    stream = f"run/lone{next(_numbers)}@{store.lineage}"
    head = genesis(stream)
    spent: list[float] = []
    for seq in range(count):
        append = make_append(stream, head, f"a{seq}", 1000.0, [Noted(text)])
        start = time.perf_counter()
        outcome = await store.append(append)
        spent.append(time.perf_counter() - start)
        assert isinstance(outcome, Applied), outcome
        head = Head(append.head, link(head.hash, append.body))
    return spent


async def crowd(engine: PostgresEngine, streams: int, count: int, text: str) -> tuple[float, list[float]]:
    start = time.perf_counter()
    spent = await asyncio.gather(*(lone(engine, count, text) for _ in range(streams)))
    return streams * count / (time.perf_counter() - start), [one for each in spent for one in each]


async def measure(url: str, trials: int, scale: float, size: int) -> dict[str, Any]:
    text = "x" * size
    count = max(10, int(200 * scale))
    options = PostgresOptions(url=url)
    async with PostgresEngine.open(options, SystemClock(), OsRandomness()) as engine:
        body = make_append("run/x@0.a.abcd", genesis("x"), "a1", 1000.0, [Noted(text)]).body.decode()
        spent: dict[str, list[float]] = {"bare": [], "lone": []}
        rates: dict[int, list[float]] = {16: [], 64: [], 256: []}
        waits: dict[int, list[float]] = {streams: [] for streams in rates}
        works: list[tuple[str, Callable[[], Coroutine[Any, Any, list[float]]]]] = [
            ("bare", lambda: bare(url, count, body)),
            ("lone", lambda: lone(engine, count, text)),
        ]
        for _, work in works:
            await work()  # plans, files and caches are there
        for _ in range(trials):
            for name, work in works:
                spent[name].append(statistics.median(await work()))
            for streams, found in rates.items():
                rate, each = await crowd(engine, streams, max(5, int(40 * scale)), text)
                found.append(rate)
                waits[streams] += each
    result: dict[str, Any] = {
        f"{name}_p50_ms": round(statistics.median(each) * 1000, 3) for name, each in spent.items()
    }
    result["lone_to_bare"] = round(statistics.median(spent["lone"]) / statistics.median(spent["bare"]), 2)
    result["crowd"] = [
        {
            "streams": streams,
            "steps_per_s": round(statistics.median(each)),
            "p50_ms": round(quantile(waits[streams], 0.5), 2),
            "p99_ms": round(quantile(waits[streams], 0.99), 2),
        }
        for streams, each in rates.items()
    ]
    return result


def main() -> int:
    parser = argparse.ArgumentParser(prog="python -m benchmarks.postgres", description=__doc__)
    parser.add_argument("--url", help="a server to measure; the database gets a schema `outlast`")
    parser.add_argument("--trials", type=int, default=7)
    parser.add_argument("--scale", type=float, default=1.0, help="how much work a trial does (default 1)")
    parser.add_argument("--bytes", type=int, default=1024, help="size of a result (default 1024)")
    parser.add_argument("--json", action="store_true")
    args = parser.parse_args()
    with nullcontext(None) if args.url else running() as server:
        url = args.url or server.url()  # type: ignore[union-attr] # one of the two is there
        result = asyncio.run(measure(url, args.trials, args.scale, args.bytes))
    if args.json:
        print(json.dumps(result))
        return 0
    print(f"bare INSERT and commit   p50 {result['bare_p50_ms']:.3f} ms")
    print(f"lone append              p50 {result['lone_p50_ms']:.3f} ms   {result['lone_to_bare']:.2f} x")
    for line in result["crowd"]:
        print(
            "{streams:4d} streams at once     {steps_per_s:6d} steps/s   p50 {p50_ms} ms, p99 {p99_ms} ms".format(
                **line
            )
        )
    return 0


if __name__ == "__main__":
    sys.exit(main())
