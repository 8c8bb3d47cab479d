"""Anchored heads in a host's files: cut off, changed, folded, held up."""

from __future__ import annotations

import asyncio
import fcntl
import os
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

import pytest

from outlast.adapters.host.anchor import FileAnchors
from outlast.adapters.host.clock import SystemClock
from outlast.journal.anchor import LoggedAnchors
from outlast.kernel.error import StoreUnavailable
from tests.contracts.anchor_log import STREAM, AnchorLogContract, head


class TestFileAnchors(AnchorLogContract):
    @asynccontextmanager
    async def log(self, directory: Path) -> AsyncIterator[FileAnchors]:
        yield FileAnchors(directory / "anchors", SystemClock(), "w")


def files(directory: Path) -> list[Path]:
    return sorted(directory.glob("*.jsonl"))


async def known(directory: Path) -> tuple[dict[str, int], list[str]]:
    anchors = LoggedAnchors([FileAnchors(directory, SystemClock())])
    found = await anchors.all()
    return {stream: end.seq for stream, end in found.items()}, anchors.faults


async def written(directory: Path, count: int, **bounds: int) -> FileAnchors:
    log = FileAnchors(directory, SystemClock(), "w", **bounds)
    for number in range(1, count + 1):
        await log.write([(f"run/r{number}@0.local.abcd", head(number)), (STREAM, head(number))])
    return log


@pytest.mark.parametrize("cut", range(1, 60, 7))
async def test_a_crash_in_the_middle_of_a_line_leaves_the_older_ones_and_the_next_is_written(
    tmp_path: Path, cut: int
) -> None:
    log = await written(tmp_path, 3)
    (path,) = files(tmp_path)
    os.truncate(path, path.stat().st_size - cut)
    assert await known(tmp_path) == ({"run/r1@0.local.abcd": 1, "run/r2@0.local.abcd": 2, STREAM: 2}, []) or cut == 1
    await log.write([(STREAM, head(7))])
    found, faults = await known(tmp_path)
    assert (found[STREAM], faults) == (7, [])
    assert found["run/r2@0.local.abcd"] == 2


@pytest.mark.parametrize("line", [0, 1])
async def test_a_line_that_is_changed_or_taken_out_shows(tmp_path: Path, line: int) -> None:
    await written(tmp_path, 4)
    (path,) = files(tmp_path)
    lines = path.read_bytes().splitlines(keepends=True)
    for changed in (
        lines[:line] + lines[line + 1 :],
        [*lines[:line], lines[line].replace(b",1,", b",2,").replace(b",2,", b",1,"), *lines[line + 1 :]],
        [*lines[:line], b"{nonsense\n", *lines[line + 1 :]],
    ):
        path.write_bytes(b"".join(changed))
        if changed != lines:
            _, faults = await known(tmp_path)
            assert len(faults) == 1
            assert "altered or removed" in faults[0]
    path.write_bytes(b"".join(lines))
    assert (await known(tmp_path))[1] == []


async def test_full_files_are_followed_by_others_and_many_become_one_that_holds_the_latest(tmp_path: Path) -> None:
    log = await written(tmp_path, 60, file_bytes_max=600, files_max=3)
    assert len(files(tmp_path)) <= 4
    found, faults = await known(tmp_path)
    assert faults == []
    assert found == {f"run/r{number}@0.local.abcd": number for number in range(1, 61)} | {STREAM: 60}
    while len(files(tmp_path)) != 3:
        await log.write([(STREAM, head(60))])
    for path in files(tmp_path)[:2]:
        kept = path.read_bytes()
        path.unlink()
        assert len((await known(tmp_path))[1]) == 1, "a file that is gone shows"
        path.write_bytes(kept)
    await log.write([(STREAM, head(99))])
    found, faults = await known(tmp_path)
    assert (found[STREAM], faults) == (99, [])


async def test_a_fold_that_breaks_off_before_or_after_it_takes_their_place_loses_nothing(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    real = Path.unlink, Path.replace

    def fails(*_: object, **__: object) -> None:
        raise OSError(5, "the disk is gone")

    await written(tmp_path, 20, file_bytes_max=600, files_max=30)
    for name in ("replace", "unlink"):
        monkeypatch.setattr(Path, name, fails)
        with pytest.raises(StoreUnavailable, match="the disk is gone"):
            await written(tmp_path, 1, file_bytes_max=600, files_max=3)
        monkeypatch.setattr(Path, "unlink", real[0])
        monkeypatch.setattr(Path, "replace", real[1])
        found, faults = await known(tmp_path)
        assert faults == []
        assert found[STREAM] == 20
        assert found["run/r20@0.local.abcd"] == 20
    await written(tmp_path, 1, file_bytes_max=600, files_max=3)
    assert len(files(tmp_path)) <= 4
    assert (await known(tmp_path))[0][STREAM] == 20


async def test_a_frozen_process_that_holds_the_log_keeps_nobody_for_ever(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("outlast.adapters.host.anchor.lock_s_max", 0.05)
    await written(tmp_path, 1)
    with (tmp_path / "lock").open() as held:
        fcntl.flock(held, fcntl.LOCK_EX)
        with pytest.raises(StoreUnavailable, match="held by another process"):
            await written(tmp_path, 1)


async def test_a_log_that_cannot_be_read_is_said_and_the_others_count(tmp_path: Path) -> None:
    class Away(FileAnchors):
        async def read(self, visit: object) -> list[str]:
            raise StoreUnavailable("the bucket is away")

    log = await written(tmp_path, 1)
    anchors = LoggedAnchors([Away(tmp_path, SystemClock()), log])
    assert (await anchors.all())[STREAM] == head(1)
    assert anchors.faults == ["the bucket is away; what is anchored there is not held against the journal"]


async def test_processes_that_write_at_once_write_one_chain(tmp_path: Path) -> None:
    logs = [FileAnchors(tmp_path, SystemClock(), f"w{number}") for number in range(4)]
    await asyncio.gather(
        *(log.write([(f"run/{n}x{m}@0.local.abcd", head(1))]) for m, log in enumerate(logs) for n in range(20))
    )
    found, faults = await known(tmp_path)
    assert (len(found), faults) == (80, [])


async def test_a_place_that_cannot_be_written_is_said(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    with pytest.raises(StoreUnavailable, match="cannot be written"):
        await written(tmp_path / "file" / "anchors", 1)
