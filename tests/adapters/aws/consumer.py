"""A process that takes messages from SQS into a SQLite journal, and kills itself where it is told to.

Arguments: endpoint, queue, dead letters, directory, after how many appends it dies (0: never), whether it dies before
its first deletion.
"""

from __future__ import annotations

import asyncio
import os
import signal
import sys
from pathlib import Path
from typing import Any

from outlast.adapters.aws.client import Place
from outlast.adapters.aws.sqs import SqsQueue
from outlast.adapters.host.clock import SystemClock
from outlast.adapters.host.randomness import OsRandomness
from outlast.adapters.memory.executor import MemoryExecutors
from outlast.adapters.sqlite.blob import FileBlobs
from outlast.adapters.sqlite.store import SqliteStore
from outlast.agent.app import App
from outlast.agent.control import Control
from outlast.agent.platform import Platform
from outlast.agent.run import Run
from outlast.cell.intake import Intake, IntakeBounds
from outlast.journal.stream import Append, Outcome
from tests.adapters.aws.emulator import REGION

app: App[None] = App("t")


@app.agent
async def index(run: Run[None], document: str) -> str:
    return document


class Mortal:
    """Dies by SIGKILL after so many calls of one method of what it stands for."""

    def __init__(self, behind: Any, method: str, calls: int) -> None:
        self._behind = behind
        self._method = method
        self._left = calls

    def __getattr__(self, name: str) -> Any:
        found = getattr(self._behind, name)
        if name != self._method or not self._left:
            return found

        async def call(*arguments: Any) -> Any:
            self._left -= 1
            if self._left == 0:
                if self._method == "append":
                    await found(*arguments)  # durable, and nobody hears of it
                os.kill(os.getpid(), signal.SIGKILL)
            return await found(*arguments)

        return call


class Unhurried:
    """A store as it is, without the way around `append`."""

    def __init__(self, behind: SqliteStore) -> None:
        self._behind = behind

    def __getattr__(self, name: str) -> Any:
        return getattr(self._behind, name)

    async def append(self, append: Append) -> Outcome:
        return await self._behind.append(append)


async def main(url: str, queue_url: str, dead_url: str, directory: Path, appends: int, deletions: int) -> None:
    clock, randomness = SystemClock(), OsRandomness()
    store = SqliteStore.open(directory / "journal.sqlite", randomness)
    mortal: Any = Mortal(Unhurried(store), "append", appends)
    blobs = FileBlobs(directory / "blobs", randomness)
    platform = Platform(clock, randomness, mortal, store, store, blobs, MemoryExecutors())
    place = Place(REGION, url)
    queue: Any = Mortal(
        SqsQueue(queue_url, place, hidden_s=1, dead_letters=SqsQueue(dead_url, place)), "delete", deletions
    )
    intake = Intake(Control(platform, app), "index", queue, print, IntakeBounds(wait_s=1, look_every_s=0.1))
    while True:
        depth = await queue.depth()
        if depth.waiting + depth.under_way == 0:
            return
        await intake.take()


if __name__ == "__main__":
    told = sys.argv[1:]
    asyncio.run(main(told[0], told[1], told[2], Path(told[3]), int(told[4]), int(told[5])))
