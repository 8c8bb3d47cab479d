"""Whatever is done to the file of a blob: reading gives its content or a clear error, and the audit names the blob."""

from __future__ import annotations

import asyncio
import os
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from outlast.adapters.host.randomness import OsRandomness
from outlast.adapters.sqlite.blob import FileBlobs
from outlast.adapters.sqlite.reader import SqliteReader
from outlast.adapters.sqlite.store import SqliteStore
from outlast.journal.audit import audit
from outlast.journal.blob import BlobRef, Payload
from outlast.journal.record import make_append
from outlast.kernel.error import NotFound, StoreCorrupt, StoreUnavailable
from tests.adapters.sqlite.writing import ROOT
from tests.contracts.note import applied, key
from tests.journal.test_audit import Valued

CONTENTS = (b"first " * 3000, b"other " * 3000, b"x", b"")
Damage = Callable[["Cupboard", Path], None]


class Cupboard:
    """A journal whose events name blobs; put in order again by `mend`."""

    def __init__(self, directory: Path) -> None:
        self.directory = directory
        self.journal = directory / "journal.sqlite"
        self.folder = directory / "blobs"
        self.refs = asyncio.run(self._make())

    async def _make(self) -> list[BlobRef]:
        store = SqliteStore.open(self.journal, OsRandomness(), durability="process")
        refs = [await self.blobs.put(content) for content in CONTENTS]
        stream = key(store, "a")
        for number, ref in enumerate(refs):
            event = Valued(Payload(blob=ref))
            applied(await store.append(make_append(stream, await store.head(stream), f"n{number}", 1.0, [event])))
        store.close()
        return refs

    @property
    def blobs(self) -> FileBlobs:
        """A process that has just begun."""
        return FileBlobs(self.folder, OsRandomness())

    def path(self, ref: BlobRef) -> Path:
        return self.folder / ref.sha256[:2] / ref.sha256

    def mend(self) -> None:
        shutil.rmtree(self.folder, ignore_errors=True)
        for content in CONTENTS:
            asyncio.run(self.blobs.put(content))

    async def named(self) -> set[str]:
        """The blobs that the audit finds fault with."""
        reader = SqliteReader.open(self.journal)
        try:
            report = await audit(reader, self.blobs)
        finally:
            reader.close()
        assert report.blobs == len(CONTENTS)
        assert {flaw.damage for flaw in report.flaws} <= {"blob", "index"}
        found = {flaw.subject for flaw in report.flaws if flaw.damage == "blob"}
        assert report.whole is not bool(found)
        return found


def flipped(places: list[tuple[int, int]]) -> Damage:
    def damage(cupboard: Cupboard, path: Path) -> None:
        content = bytearray(path.read_bytes())
        for at, bit in places:
            if content:
                content[at % len(content)] ^= 1 << bit
        path.write_bytes(content)

    return damage


def resized(size: int) -> Damage:
    """Cut, or made longer, up to a terabyte that takes no space."""
    return lambda cupboard, path: os.truncate(path, size)


def replaced(content: bytes) -> Damage:
    def damage(cupboard: Cupboard, path: Path) -> None:
        path.write_bytes(content)

    return damage


def another(number: int) -> Damage:
    def damage(cupboard: Cupboard, path: Path) -> None:
        path.write_bytes(cupboard.path(cupboard.refs[number]).read_bytes())

    return damage


def removed(cupboard: Cupboard, path: Path) -> None:
    path.unlink()


def folder(cupboard: Cupboard, path: Path) -> None:
    path.unlink()
    path.mkdir()


def pipe(cupboard: Cupboard, path: Path) -> None:
    path.unlink()
    os.mkfifo(path)


def link_to_itself(cupboard: Cupboard, path: Path) -> None:
    path.unlink()
    path.symlink_to(path)


def link_to_nothing(cupboard: Cupboard, path: Path) -> None:
    path.unlink()
    path.symlink_to(path.with_name("nothing"))


def file_for_its_folder(cupboard: Cupboard, path: Path) -> None:
    shutil.rmtree(path.parent)
    path.parent.write_bytes(b"file")


def no_folder(cupboard: Cupboard, path: Path) -> None:
    shutil.rmtree(path.parent)


def nothing_at_all(cupboard: Cupboard, path: Path) -> None:
    shutil.rmtree(cupboard.folder)


KINDS = (
    removed, folder, pipe, link_to_itself, link_to_nothing, file_for_its_folder, no_folder, nothing_at_all,
)  # fmt: skip
damages = st.one_of(
    st.lists(st.tuples(st.integers(0, 20_000), st.integers(0, 7)), min_size=1, max_size=4).map(flipped),
    st.one_of(st.integers(0, 20_000), st.just(1 << 40)).map(resized),
    st.binary(max_size=40).map(replaced),
    st.integers(0, len(CONTENTS) - 1).map(another),
    st.sampled_from(KINDS),
)


@pytest.fixture(scope="module")
def cupboard() -> Iterator[Cupboard]:
    directory = Path(tempfile.mkdtemp(prefix="ol-", dir="/tmp"))
    yield Cupboard(directory)
    shutil.rmtree(directory)


async def taken(cupboard: Cupboard, ref: BlobRef, content: bytes) -> bool:
    """Whether its content is read; anything else than a clear error fails."""
    try:
        async with asyncio.timeout(20):
            got = await cupboard.blobs.get(ref)
    except (NotFound, StoreCorrupt, StoreUnavailable) as error:
        assert ref.sha256[:16] in str(error)
        return False
    assert got == content
    return True


async def check(cupboard: Cupboard, number: int, damage: Damage) -> None:
    ref, content = cupboard.refs[number], CONTENTS[number]
    whole = {other.sha256 for other in cupboard.refs}
    running = cupboard.blobs
    assert await running.put(content) == ref  # it knows the folder from before
    damage(cupboard, cupboard.path(ref))
    there = await taken(cupboard, ref, content)
    lost = {other.sha256 for other, text in zip(cupboard.refs, CONTENTS, strict=True)
            if not await taken(cupboard, other, text)}  # fmt: skip
    assert lost <= whole
    assert (ref.sha256 in lost) is not there
    assert await cupboard.named() == lost
    for blobs in (running, cupboard.blobs):
        try:
            assert await blobs.put(content) == ref
        except StoreUnavailable:
            assert not await taken(cupboard, ref, content)  # what cannot be written is not said to be there
        else:
            assert await blobs.get(ref) == content
    assert list(cupboard.folder.rglob("*.tmp")) == []


@settings(max_examples=120, deadline=None)
@given(number=st.integers(0, len(CONTENTS) - 1), damage=damages)
def test_a_damaged_blob_is_whole_again_or_an_error_never_other_bytes(
    cupboard: Cupboard, number: int, damage: Damage
) -> None:
    try:
        asyncio.run(check(cupboard, number, damage))
    finally:
        cupboard.mend()


@pytest.mark.parametrize("damage", KINDS)
@pytest.mark.parametrize("number", [0, 3])
def test_a_blob_with_something_else_in_its_place_is_an_error(cupboard: Cupboard, number: int, damage: Damage) -> None:
    try:
        damage(cupboard, cupboard.path(cupboard.refs[number]))
        assert not asyncio.run(taken(cupboard, cupboard.refs[number], CONTENTS[number]))
    finally:
        cupboard.mend()


_AS_NOBODY = """
import asyncio, os, sys
from pathlib import Path
from outlast.adapters.host.randomness import OsRandomness
from outlast.adapters.sqlite.blob import FileBlobs
from outlast.journal.blob import BlobRef
from outlast.kernel.error import OutlastError
asyncio.run(asyncio.to_thread(int))  # imports what nobody may not
if os.geteuid() == 0:
    os.setegid(65534)
    os.seteuid(65534)
blobs = FileBlobs(Path(sys.argv[1]), OsRandomness())
for work in (blobs.get(BlobRef.of(b"x")), blobs.put(b"x"), blobs.put(b"new")):
    try:
        asyncio.run(work)
    except OutlastError as error:
        print(error.code, error)
"""


def test_a_blob_that_may_not_be_read_or_written_is_said(cupboard: Cupboard) -> None:
    path = cupboard.path(BlobRef.of(b"x"))
    cupboard.directory.chmod(0o755)
    cupboard.folder.chmod(0o755)
    path.parent.chmod(0o555)
    path.chmod(0)
    try:
        done = subprocess.run(
            [sys.executable, "-c", _AS_NOBODY, cupboard.folder], cwd=ROOT, capture_output=True, text=True, timeout=60
        )
    finally:
        path.parent.chmod(0o700)
        cupboard.mend()
    said = done.stdout.splitlines()
    assert [line.partition(" ")[0] for line in said] == ["store_unavailable"] * 3, done.stderr
    assert "cannot be read: Permission denied" in said[0]
    assert all("check space and permissions" in line for line in said[1:])
