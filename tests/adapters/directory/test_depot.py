"""A depot in a directory passes the suite, makes files that nobody changes by a slip, and leaves nothing half."""

from __future__ import annotations

import asyncio
import contextlib
import stat
from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from outlast.adapters.directory.depot import DirectoryDepot
from outlast.adapters.host.randomness import OsRandomness
from outlast.kernel.error import StoreUnavailable, UsageError
from tests.contracts.depot import DepotContract


class TestDirectoryDepot(DepotContract):
    @contextlib.asynccontextmanager
    async def opened(self, directory: Path) -> AsyncIterator[DirectoryDepot]:
        yield DirectoryDepot(directory / "depot", OsRandomness())


async def test_files_are_read_only_and_directories_are_for_their_user(tmp_path: Path) -> None:
    depot = DirectoryDepot(tmp_path / "depot", OsRandomness())
    await depot.put("a/b", b"x")
    assert stat.S_IMODE((tmp_path / "depot/a/b").stat().st_mode) == 0o444
    assert stat.S_IMODE((tmp_path / "depot/a").stat().st_mode) == 0o700


async def test_what_was_being_written_is_not_listed_and_goes_with_the_rest(tmp_path: Path) -> None:
    depot = DirectoryDepot(tmp_path, OsRandomness())
    await depot.put("a/b", b"x")
    (tmp_path / "a" / ".unfinished-00").write_bytes(b"half")
    assert await depot.names() == ["a/b"]
    await depot.remove("a/b")
    assert not any(tmp_path.iterdir())


async def test_who_removes_takes_nothing_from_who_writes_and_lists_beside_it(tmp_path: Path) -> None:
    kept = [f"{letter}/kept" for letter in "abcdefgh"]
    depots = [DirectoryDepot(tmp_path / "depot", OsRandomness()) for _ in range(3)]
    for name in kept:
        await depots[0].put(name, b"x")

    async def work(depot: DirectoryDepot, who: int) -> None:
        for number in range(80):
            name = f"d/e/f/{who}.{number}"
            await depot.put(name, b"x")
            assert set(kept) <= set(await depot.names())
            assert await depot.get(name) == b"x"
            await depot.remove(name)

    await asyncio.gather(*(work(depot, who) for who, depot in enumerate(depots)))
    assert await depots[0].names() == kept


async def test_a_directory_that_goes_while_names_are_listed_hides_no_other(tmp_path: Path) -> None:
    depot = DirectoryDepot(tmp_path, OsRandomness())
    for name in ("top", *(f"{number}/x" for number in range(20))):
        await depot.put(name, b"x")
    names = depot._names()
    assert next(names) == "top"
    for number in range(10):
        await depot.remove(f"{number}/x")
    assert sorted(names) == sorted(f"{number}/x" for number in range(10, 20))


@pytest.mark.parametrize("name", ["", "/etc", "a//b", "../a", "a/../b", "a/.unfinished-1"])
async def test_names_stay_inside(tmp_path: Path, name: str) -> None:
    with pytest.raises(UsageError, match="not the name"):
        await DirectoryDepot(tmp_path, OsRandomness()).put(name, b"x")


async def test_a_directory_that_is_none_is_said(tmp_path: Path) -> None:
    (tmp_path / "file").write_bytes(b"")
    with pytest.raises(StoreUnavailable, match="cannot be written"):
        await DirectoryDepot(tmp_path / "file", OsRandomness()).put("a", b"x")
