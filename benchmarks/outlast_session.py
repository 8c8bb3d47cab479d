"""Measures Outlast: the next turn of a young and of an old session, in-process.

The old one, of 10,000 turns, is made before it says that it is ready (without syncs: only what is measured needs them).
A request "young" makes a session of 10 turns and measures its next turns, "old" measures those of the old one.
"""

from __future__ import annotations

import argparse
import asyncio
import sys
import time
from pathlib import Path

import uvloop

from benchmarks.probe import reply
from benchmarks.runtime import Runtime, opened

young_turns, old_turns = 10, 10_000
measured = 20


async def take_turns(runtime: Runtime, session: str, count: int) -> float:
    """Milliseconds of one turn: from its start to its end."""
    start = time.perf_counter()
    for number in range(count):
        await runtime.complete("turn", {"text": f"message {number}"}, session)
    return (time.perf_counter() - start) / count * 1000


async def serve(directory: Path) -> None:
    loop = asyncio.get_running_loop()
    async with opened(directory, "direct", "process") as runtime:
        await take_turns(runtime, "old", old_turns)
    async with opened(directory, "direct") as runtime:
        print("ready", flush=True)
        count = 0
        while request := (await loop.run_in_executor(None, sys.stdin.readline)).strip():
            count += 1
            session = "old" if request == "old" else f"young-{count}"
            if request == "young":
                await take_turns(runtime, session, young_turns)
            reply({"turn_ms": await take_turns(runtime, session, measured)})


def main() -> None:
    parser = argparse.ArgumentParser()
    parser.add_argument("--dir", type=Path, required=True)
    uvloop.run(serve(parser.parse_args().dir))


if __name__ == "__main__":
    main()
