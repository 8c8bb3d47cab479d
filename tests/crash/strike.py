"""Backs up or restores, and SIGKILLs itself at the n-th write: before it, in the middle of it, or behind it.

``backup HOME PLACE N WHERE`` or ``restore PLACE HOME N WHERE``; N 0 lets it live.
"""

from __future__ import annotations

import asyncio
import os
import signal
import sys
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import Any

from outlast.adapters.directory.depot import DirectoryDepot
from outlast.adapters.sqlite.store import SqliteStore
from outlast.blueprint.load import load
from outlast.bootstrap.backing import back_up
from outlast.bootstrap.depot import open_depot
from outlast.bootstrap.restoring import restore


def die() -> None:
    os.kill(os.getpid(), signal.SIGKILL)


def deadly(call: Callable[..., Awaitable[Any]], number: int, where: str) -> Callable[..., Awaitable[Any]]:
    left = number

    async def struck(*arguments: Any, **more: Any) -> Any:
        nonlocal left
        left -= 1
        mine = left == 0  # others may be under way at the same time
        if mine and where == "before":
            die()
        if mine and where == "within":
            os.link = lambda *_: die()  # written and synced, and not named yet
        result = await call(*arguments, **more)
        if mine and where == "behind":
            die()
        return result

    return struck


async def main(task: str, first: str, second: str, number: int, where: str) -> None:
    if task == "backup":
        DirectoryDepot.put = deadly(DirectoryDepot.put, number, where)  # type: ignore[method-assign]
        home = Path(first)
        async with open_depot(second, home) as depot:
            await back_up(home, load(home), depot)
    else:
        SqliteStore.append = deadly(SqliteStore.append, number, where)  # type: ignore[method-assign]
        async with open_depot(first, Path.cwd()) as depot:
            await restore(depot, Path(second), None)


if __name__ == "__main__":
    asyncio.run(main(sys.argv[1], sys.argv[2], sys.argv[3], int(sys.argv[4]), sys.argv[5]))
