"""What encryption costs a step: ``python -m benchmarks.seal [--json]``.

The same run of 1 KB steps in this process, on SQLite, with and without a key, in trials that alternate; medians. Then
reading such a history back.
"""

from __future__ import annotations

import argparse
import asyncio
import contextlib
import dataclasses
import json
import statistics
import tempfile
import time
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

from benchmarks.app import app
from outlast.adapters.host.randomness import OsRandomness
from outlast.adapters.keyring.document import new_document
from outlast.adapters.keyring.keyring import Keyring
from outlast.agent.control import Control
from outlast.agent.platform import Platform
from outlast.blueprint.schema import Blueprint
from outlast.bootstrap.platform import open_direct_platform
from outlast.cell.claim import read_history
from outlast.cell.worker import Worker
from outlast.journal.sealed import sealed


@contextlib.asynccontextmanager
async def _platform(home: Path, ring: Keyring | None) -> AsyncIterator[Platform]:
    async with open_direct_platform(home, Blueprint()) as platform:
        if ring is None:
            yield platform
        else:
            journal: Any = platform.store
            store, blobs = sealed(journal, platform.blobs, ring)
            yield dataclasses.replace(platform, store=store, index=store, snapshots=store, blobs=blobs)


async def _trial(ring: Keyring | None, steps: int, size: int) -> tuple[float, float, float, int]:
    """For a step: microseconds, those of the processor, those to read it back, bytes in the journal's file."""
    with tempfile.TemporaryDirectory() as directory:
        home = Path(directory)
        async with _platform(home, ring) as platform, Worker(app, platform, "w") as worker:
            run = (await Control(platform, app).start("steps", {"steps": steps, "size": size})).run
            before = time.process_time()
            worker.offer(run)
            while (entry := await platform.index.entry(run)) is None or entry.state != "completed":
                await platform.clock.sleep(0.01)
            used = time.process_time() - before
            took = (await Control(platform, app).view(run)).result
            began = time.perf_counter()
            await read_history(platform, run)
            read = time.perf_counter() - began
        stored = _bytes_of(home)
    return took / steps * 1e6, used / steps * 1e6, read / steps * 1e6, stored // steps


def _bytes_of(home: Path) -> int:
    return sum(path.stat().st_size for path in home.rglob("journal.sqlite*"))


async def _measure(trials: int, steps: int, size: int) -> dict[str, Any]:
    document = new_document(OsRandomness())
    ring = Keyring(lambda: document, "memory")
    found: dict[str, list[tuple[float, float, float, int]]] = {"plain": [], "sealed": []}
    for _ in range(trials):
        found["plain"].append(await _trial(None, steps, size))
        found["sealed"].append(await _trial(ring, steps, size))
    report: dict[str, Any] = {"trials": trials, "steps": steps, "result_bytes": size}
    for index, what in enumerate(("step_us", "cpu_us", "read_us", "stored_bytes")):
        plain, other = (statistics.median(trial[index] for trial in found[name]) for name in ("plain", "sealed"))
        report |= {f"plain_{what}": round(plain, 1), f"sealed_{what}": round(other, 1)}
        report[f"{what.rpartition('_')[0]}_ratio"] = round(other / plain, 3)
    return report


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--trials", type=int, default=7)
    parser.add_argument("--steps", type=int, default=500)
    parser.add_argument("--size", type=int, default=1000, help="bytes of each step's result")
    parser.add_argument("--json", action="store_true")
    args = parser.parse_args()
    report = asyncio.run(_measure(args.trials, args.steps, args.size))
    if args.json:
        print(json.dumps(report))
        return
    for what, unit in (("step", "us"), ("cpu", "us"), ("read", "us"), ("stored", "bytes")):
        print(
            f"{what:7} {report[f'plain_{what}_{unit}']:9} {unit} plain, {report[f'sealed_{what}_{unit}']:9} sealed, "
            f"ratio {report[f'{what}_ratio']}"
        )


if __name__ == "__main__":
    main()
