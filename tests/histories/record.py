"""Records the histories that are missing: ``python -m tests.histories.record``. It never touches one that is there."""

from __future__ import annotations

import asyncio
import json
import sys
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import Any

from outlast.agent.create import run_key
from tests.agent.desk import Desk, desk
from tests.histories.features import Outside, Words, made

HERE = Path(__file__).parent
Feature = Callable[[Desk, Outside], Awaitable[list[str]]]
FEATURES: dict[str, Feature] = {}


def feature(record: Feature) -> Feature:
    FEATURES[record.__name__] = record
    return record


@feature
async def steps(d: Desk, outside: Outside) -> list[str]:
    outside.fails = 1
    return [await ended(d, await d.start("steps", 5))]


@feature
async def fails(d: Desk, outside: Outside) -> list[str]:
    return [await ended(d, await d.start("fails"))]


@feature
async def doubt(d: Desk, outside: Outside) -> list[str]:
    runs: list[str] = []
    for place in ("intent.after", "effect.after"):
        d.kill(d.workers[0].identity)
        mortal = await d.hire_mortal(place, "book")
        run = await d.start("doubt")
        runs.append(run)
        await d.replace(mortal)
        await d.until(run, "held")
        await d.control.resolve(run, "2", "done", "no number")
        await d.wait_for(lambda run=run: count(d, run, "run.held", 2))
        await d.control.resolve(run, "2", "done", 22)
        await d.wait_for(lambda run=run: count(d, run, "run.held", 3))
        await d.control.resolve(run, "3", "retry")
        await d.wait_for(lambda run=run: count(d, run, "run.held", 4))
        await d.control.resolve(run, "3", "fail", message="it is closed")
        await ended(d, run)
    return runs


@feature
async def held(d: Desk, outside: Outside) -> list[str]:
    run = await d.start("doubt")
    await d.until(run, "held")
    return [run]


@feature
async def waits(d: Desk, outside: Outside) -> list[str]:
    run = await d.start("waits")
    await d.has(run, "signal.awaited")
    await d.control.signal(run, "ok", {"yes": True, "by": "Ada"}, id="1")
    await d.control.signal(run, "large", "x" * 70_000)
    return [await ended(d, run)]


@feature
async def branches(d: Desk, outside: Outside) -> list[str]:
    outside.hang = True
    return [await ended(d, await d.start("branches"))]


@feature
async def children(d: Desk, outside: Outside) -> list[str]:
    run = await d.start("parent")
    await ended(d, run)
    return [entry.run for entry in await d.store.list(limit=100)]


@feature
async def sessions(d: Desk, outside: Outside) -> list[str]:
    runs: list[str] = []
    for text in ("one", "hold", "two"):
        runs.append(await d.start("turn", text, session="talk"))
        if text == "hold":
            await d.until(runs[-1], "held")
        else:
            await ended(d, runs[-1])
    await asyncio.sleep(0.4)
    runs.append(await d.start("turn", "three", session="talk"))
    await ended(d, runs[-1])
    return runs


@feature
async def cancelled(d: Desk, outside: Outside) -> list[str]:
    run = await d.start("cancelled")
    await d.until(run, "parked")
    await d.control.cancel(run, "not needed")
    return [await ended(d, run)]


@feature
async def late(d: Desk, outside: Outside) -> list[str]:
    return [await ended(d, await d.start("late", deadline_s=0.2))]


@feature
async def budget(d: Desk, outside: Outside) -> list[str]:
    run = await d.start("budget")
    await d.until(run, "held")
    await d.control.redrive(run)
    await d.until(run, "completed")
    return [run]


@feature
async def stopped(d: Desk, outside: Outside) -> list[str]:
    run = await d.start("stopped")
    await d.until(run, "parked")
    await d.control.stop_agent("stopped", "it runs wild")
    await d.control.signal(run, "go")
    await d.until(run, "held")
    await d.control.resume_agent("stopped")
    await d.until(run, "completed")
    return [run]


@feature
async def suspect(d: Desk, outside: Outside) -> list[str]:
    from outlast.cell.claim import claim

    for worker in list(d.workers):
        d.kill(worker.identity)
    run = await d.start("suspect")
    for n in range(6):
        await claim(d.platform(d.store), run, f"dead-{n}", n == 4, d.app.agents)
    await d.until(run, "quarantined")
    return [run]


@feature
async def moved(d: Desk, outside: Outside) -> list[str]:
    outside.marks, outside.wording = False, "old"
    old = await d.start("moved")
    await d.until(old, "parked")
    outside.marks, outside.wording = True, "new"
    new = await d.start("moved")
    await d.until(new, "parked")
    await d.crash_and_replace()
    for run in (old, new):
        await d.control.signal(run, "go")
        await ended(d, run)
    return [old, new]


@feature
async def released(d: Desk, outside: Outside) -> list[str]:
    run = await d.start("released")
    await d.has(run, "signal.awaited")
    d.workers[0].offer(run)
    worker = d.workers.pop()
    await worker.drain(5)
    await d.hire()
    d.ring(run)
    await d.wait_for(lambda: count(d, run, "run.claimed", 2))
    await d.control.signal(run, "go")
    return [await ended(d, run)]


@feature
async def parked(d: Desk, outside: Outside) -> list[str]:
    run = await d.start("parked")
    await d.has(run, "run.parked")
    await d.control.signal(run, "go")
    return [await ended(d, run)]


@feature
async def models(d: Desk, outside: Outside) -> list[str]:
    return [await ended(d, await d.start("models"))]


@feature
async def brief(d: Desk, outside: Outside) -> list[str]:
    """As they are written since fields that have their defaults are left out."""
    outside.fails = 1
    runs = [await ended(d, await d.start("steps", 5)), await ended(d, await d.start("fails"))]
    return [*runs, await ended(d, await d.start("models"))]


@feature
async def curtailed(d: Desk, outside: Outside) -> list[str]:
    run = await d.start("curtailed")
    await d.until(run, "parked")
    await d.lose(run_key(d.control.platform, run), await d.number(run, "step.intended", "2"))
    await d.until(run, "held")
    await d.control.redrive(run)
    await d.has(run, "signal.awaited")
    await d.control.signal(run, "go", 7)
    await d.until(run, "held")
    await d.control.resolve(run, "4", "fail", message="it is closed")
    return [await ended(d, run)]


async def ended(d: Desk, run: str) -> str:
    view = await d.until(run, "completed", "failed", "cancelled", "continued")
    assert view.ended_at is not None
    return run


async def count(d: Desk, run: str, kind: str, times: int) -> bool:
    return (await d.types(run)).count(kind) >= times


async def recorded(name: str) -> dict[str, Any]:
    """One feature's streams, exactly as they were stored."""
    outside = Outside([])
    park_after_s = 10 if name == "released" else 0.05
    async with desk(made(outside), endpoints={"words": Words()}, park_after_s=park_after_s, wait_poll_s=0.1) as d:
        runs = await FEATURES[name](d, outside)
        return {
            "feature": name,
            "runs": runs,
            "streams": {
                key: [
                    {"seq": r.seq, "count": r.count, "body": r.body.decode(), "hash": r.hash.hex()} for r in records
                ]
                for key, records in sorted(d.store._streams.items())
            },
            "blobs": {ref.sha256: content.decode() for ref, content in d.blobs._blobs.items()},
        }


def main() -> None:
    for name in FEATURES:
        path = HERE / f"{name}.json"
        if not path.exists():
            path.write_text(json.dumps(asyncio.run(recorded(name)), indent=1, ensure_ascii=False) + "\n")
            sys.stdout.write(f"recorded {path.name}\n")


if __name__ == "__main__":
    main()
