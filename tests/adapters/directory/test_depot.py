"""A depot in a directory passes the suite, makes files that nobody changes by a slip, and leaves nothing half."""

from __future__ import annotations

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


@pytest.mark.parametrize("name", ["", "/etc", "a//b", "../a", "a/../b", "a/.unfinished-1"])
async def test_names_stay_inside(tmp_path: Path, name: str) -> None:
    with pytest.raises(UsageError, match="not the name"):
        await DirectoryDepot(tmp_path, OsRandomness()).put(name, b"x")


async def test_a_directory_that_is_none_is_said(tmp_path: Path) -> None:
    (tmp_path / "file").write_bytes(b"")
    with pytest.raises(StoreUnavailable, match="cannot be written"):
        await DirectoryDepot(tmp_path / "file", OsRandomness()).put("a", b"x")
