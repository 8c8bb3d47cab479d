"""A database that is read-only, full, locked, corrupt, truncated, of another format, on a network: clear errors."""

from __future__ import annotations

import asyncio
import os
import random
import shutil
import subprocess
import sys
from collections.abc import AsyncIterator, Callable, Iterator
from pathlib import Path

import apsw
import pytest

from outlast.adapters.host.randomness import OsRandomness
from outlast.adapters.sqlite.anchor import SqliteAnchors, beside
from outlast.adapters.sqlite.blob import FileBlobs
from outlast.adapters.sqlite.client import SqliteClient
from outlast.adapters.sqlite.database import check_library
from outlast.adapters.sqlite.filesystem import bsd_mounts, check_local, linux_mounts
from outlast.adapters.sqlite.reader import SqliteReader
from outlast.adapters.sqlite.store import SqliteStore
from outlast.journal.blob import BlobRef
from outlast.journal.chain import genesis
from outlast.journal.stream import Applied, Unknown
from outlast.kernel.error import (
    ConfigurationError,
    Conflict,
    NotFound,
    StoreCorrupt,
    StoreError,
    StoreUnavailable,
)
from tests.adapters.sqlite.writing import ROOT, WritingProcess
from tests.contracts.note import applied, everything, fill, key, note, settle


@pytest.fixture
def journal(short_dir: Path) -> Path:
    return short_dir / "journal.sqlite"


@pytest.fixture
async def store(journal: Path) -> AsyncIterator[SqliteStore]:
    store = SqliteStore.open(journal, OsRandomness())
    yield store
    store.close()


def opened(journal: Path) -> SqliteStore:
    return SqliteStore.open(journal, OsRandomness())


async def made(journal: Path, count: int = 50, size: int = 400) -> None:
    """A journal of three streams, closed."""
    store = opened(journal)
    for name in ("a", "b", "c"):
        await fill(store, key(store, name), count, size)
    store.close()


@pytest.mark.parametrize("version", ["3.51.3", "3.51.9", "3.52.0", "4.0.0", "3.50.7", "3.50.12", "3.44.6"])
def test_fixed_versions_of_sqlite_are_accepted(version: str) -> None:
    check_library(version)


@pytest.mark.parametrize("version", ["3.51.2", "3.51.0", "3.50.6", "3.49.9", "3.45.0", "3.44.5", "3.40.1", "3.7.17"])
def test_versions_of_sqlite_with_the_reset_bug_are_refused(version: str) -> None:
    with pytest.raises(ConfigurationError, match=r"3\.51\.3"):
        check_library(version)


LINUX = """\
/dev/vda / ext4 rw,relatime 0 0
tmpfs /run tmpfs rw 0 0
server:/export /mnt/shared nfs4 rw,vers=4.2 0 0
user@host:/x /mnt/a\\040b fuse.sshfs rw 0 0
/dev/vdb /mnt/shared/local ext4 rw 0 0
"""
MACOS = """\
/dev/disk3s1s1 on / (apfs, sealed, local, read-only, journaled)
//user@server/share on /Volumes/share (smbfs, nodev, nosuid, mounted by user)
"""


@pytest.mark.parametrize("directory", ["/mnt/shared", "/mnt/shared/x/y", "/mnt/a b/z"])
def test_network_file_systems_are_refused(directory: str) -> None:
    with pytest.raises(StoreUnavailable, match="network file system"):
        check_local(Path(directory), linux_mounts(LINUX))


@pytest.mark.parametrize("directory", ["/", "/run/x", "/mnt", "/mnt/shared2", "/mnt/shared/local/x"])
def test_local_file_systems_are_accepted(directory: str) -> None:
    check_local(Path(directory), linux_mounts(LINUX))


def test_network_file_systems_are_refused_on_macos_too() -> None:
    check_local(Path("/Users"), bsd_mounts(MACOS))
    with pytest.raises(StoreUnavailable, match="smbfs"):
        check_local(Path("/Volumes/share/x"), bsd_mounts(MACOS))


async def test_a_directory_is_written_by_one_store(store: SqliteStore, journal: Path) -> None:
    with pytest.raises(Conflict, match=f"process {os.getpid()}"):
        opened(journal)
    await fill(store, key(store, "a"), 2)
    store.close()
    opened(journal).close()


def test_a_missing_directory_is_named(short_dir: Path) -> None:
    with pytest.raises(StoreUnavailable, match="is not there"):
        opened(short_dir / "missing" / "journal.sqlite")
    with pytest.raises(StoreUnavailable, match="outlast up"):
        SqliteReader.open(short_dir / "journal.sqlite")


def test_a_directory_in_its_place_is_named(journal: Path) -> None:
    journal.mkdir()
    with pytest.raises(StoreUnavailable, match="is a directory"):
        opened(journal)


_AS_NOBODY = """
import os, sys
from pathlib import Path
from outlast.adapters.host.randomness import OsRandomness
from outlast.adapters.sqlite.store import SqliteStore
from outlast.adapters.sqlite.reader import SqliteReader
from outlast.kernel.error import OutlastError
path = Path(sys.argv[1])
if os.geteuid() == 0:
    os.setegid(65534)
    os.seteuid(65534)
try:
    SqliteStore.open(path, OsRandomness()).close()
except OutlastError as error:
    print(error.code, error)
else:
    print("opened")
"""


def as_nobody(journal: Path) -> str:
    done = subprocess.run(
        [sys.executable, "-c", _AS_NOBODY, journal], cwd=ROOT, capture_output=True, text=True, timeout=60, check=False
    )
    return done.stdout + done.stderr


async def test_a_read_only_directory_is_said(journal: Path) -> None:
    journal.parent.chmod(0o555)
    try:
        assert as_nobody(journal).startswith("store_unavailable")
    finally:
        journal.parent.chmod(0o700)


async def test_a_read_only_database_is_said(journal: Path) -> None:
    await made(journal, 2)
    journal.chmod(0o444)
    lock = Path(f"{journal}.lock")
    lock.chmod(0o666)
    journal.parent.chmod(0o777)
    said = as_nobody(journal)
    assert said.startswith("store_unavailable"), said
    assert "read-only" in said


@pytest.mark.parametrize("content", [b"x", b"this is not a database " * 100, bytes(5000), b"SQLite format 3\x00" * 40])
def test_what_is_no_database_is_said(journal: Path, content: bytes) -> None:
    journal.write_bytes(content)
    with pytest.raises(StoreCorrupt):
        opened(journal)
    with pytest.raises(StoreCorrupt):
        SqliteReader.open(journal)
    assert journal.read_bytes() == content


def test_another_programs_database_is_left_alone(journal: Path) -> None:
    other = apsw.Connection(str(journal))
    other.execute("CREATE TABLE precious (x)")
    other.close()
    with pytest.raises(StoreCorrupt, match="not a journal"):
        opened(journal)
    with pytest.raises(StoreCorrupt, match="not a journal"):
        SqliteReader.open(journal)


async def test_another_format_is_refused(journal: Path) -> None:
    await made(journal, 1)
    other = apsw.Connection(str(journal))
    other.pragma("user_version", 99)
    other.close()
    with pytest.raises(ConfigurationError, match="format 99"):
        opened(journal)
    with pytest.raises(ConfigurationError, match="format 99"):
        SqliteReader.open(journal)


def test_a_region_that_cannot_stand_in_a_key_is_refused(journal: Path) -> None:
    with pytest.raises(ConfigurationError, match="region"):
        SqliteStore.open(journal, OsRandomness(), region="Mars!")
    with pytest.raises(ConfigurationError, match="durability"):
        SqliteStore.open(journal, OsRandomness(), durability="hope")  # type: ignore[arg-type]


@pytest.mark.parametrize("keep", [0.0005, 0.01, 0.3, 0.5, 0.9])
async def test_a_truncated_database_is_said(journal: Path, keep: float) -> None:
    await made(journal)
    size = journal.stat().st_size
    os.truncate(journal, max(1, int(size * keep)))
    with pytest.raises(StoreCorrupt):
        opened(journal)
    with pytest.raises(StoreCorrupt):
        SqliteReader.open(journal)


async def test_flipped_bits_are_found_or_harmless(journal: Path, tmp_path: Path) -> None:
    """Whatever byte is damaged: a store error when it is read, or every stream still verifies."""
    await made(journal)
    whole = journal.read_bytes()
    chance = random.Random(7)
    refused = 0
    for round_ in range(60):
        damaged = bytearray(whole)
        for _ in range(1 + round_ % 20):
            damaged[chance.randrange(len(damaged))] ^= 1 << chance.randrange(8)
        copy = tmp_path / f"{round_}.sqlite"
        copy.write_bytes(damaged)
        try:
            reader = SqliteReader.open(copy)
        except (StoreError, ConfigurationError):
            refused += 1
            continue
        try:
            for stream in await reader.streams("run"):
                await everything(reader, stream)  # type: ignore[arg-type]
        except StoreError:
            refused += 1
        finally:
            reader.close()
    assert refused > 20


async def test_a_locked_database_makes_appends_unknown_until_it_is_free(store: SqliteStore, journal: Path) -> None:
    stream = key(store, "locked")
    await fill(store, stream, 1)
    store._connection.set_busy_timeout(50)
    other = apsw.Connection(str(journal))
    other.execute("BEGIN IMMEDIATE")
    append = note(stream, await store.head(stream), "waits")
    outcome = await store.append(append)
    assert isinstance(outcome, Unknown)
    assert "locked" in outcome.reason
    other.execute("ROLLBACK")
    other.close()
    assert applied(await store.append(append)).seq == 2


async def test_a_full_disk_makes_appends_unknown_until_there_is_space(store: SqliteStore) -> None:
    stream = key(store, "full")
    head = await fill(store, stream, 3)
    pages = store._connection.pragma("page_count")
    store._connection.pragma("max_page_count", pages + 2)
    outcome = None
    while True:
        append = note(stream, head, f"f{head.seq}", "x" * 900)
        outcome = await store.append(append)
        if not isinstance(outcome, Applied):
            break
        head = outcome.head
    assert isinstance(outcome, Unknown)
    assert "full" in outcome.reason
    assert await store.head(stream) == head
    store._connection.pragma("max_page_count", pages + 10_000)
    head = applied(await settle(store, append))
    assert len(await everything(store, stream)) == head.seq


async def test_after_a_fault_that_does_not_pass_everybody_is_answered(store: SqliteStore, journal: Path) -> None:
    other = apsw.Connection(str(journal))
    other.execute("DROP TABLE record")
    other.close()
    streams = [key(store, f"s{index}") for index in range(5000)]  # more than one round
    appends = [note(stream, genesis(stream), "lost") for stream in streams]
    outcomes = await asyncio.gather(*map(store.append, appends))
    assert all(isinstance(outcome, Unknown) for outcome in outcomes)
    with pytest.raises(StoreCorrupt, match="restore"):
        await store.append(appends[0])


async def test_closing_commits_what_waits(journal: Path) -> None:
    store = opened(journal)
    stream = key(store, "waits")
    waiting = asyncio.ensure_future(store.append(note(stream, genesis(stream), "waits")))
    await asyncio.sleep(0)
    store.close()
    store.close()
    assert isinstance(await waiting, Applied)
    assert isinstance(await store.append(note(stream, genesis(stream), "too late")), Unknown)
    store = opened(journal)
    assert (await store.head(stream)).seq == 1
    store.close()


@pytest.fixture
def small_disk(short_dir: Path) -> Iterator[Path]:
    """A file system of 8 MiB."""
    place = short_dir / "disk"
    place.mkdir()
    mounted = os.geteuid() == 0 and (
        subprocess.run(
            ["mount", "-t", "tmpfs", "-o", "size=8m", "tmpfs", place], check=False, capture_output=True
        ).returncode
        == 0
    )
    if not mounted:
        pytest.skip("a small file system needs the right to mount (the bounded database above covers the rest)")
    try:
        yield place
    finally:
        subprocess.run(["umount", place], check=True)


def fill_up(path: Path) -> None:
    with path.open("wb", buffering=0) as file:
        try:
            while True:
                file.write(bytes(4096))
        except OSError:
            return


@pytest.fixture
def locked_disk(small_disk: Path) -> Callable[[], None]:
    """Call it to make the small file system read-only."""

    def lock() -> None:
        subprocess.run(["mount", "-o", "remount,ro", small_disk], check=True)

    return lock


async def test_a_journal_on_a_read_only_file_system_is_read_and_audited(
    small_disk: Path, locked_disk: Callable[[], None]
) -> None:
    journal = small_disk / "a #b?c.sqlite"
    await made(journal, 3)
    assert not Path(f"{journal}-wal").exists()
    locked_disk()
    reader = SqliteReader.open(journal)
    assert sum(record.count for record in await reader.read(f"run/a@{reader.lineage}", 0, 100)) == 3
    reader.close()
    anchors = SqliteAnchors.open_readable(beside(journal))
    assert len(await anchors.all()) == 3
    anchors.close()


async def told(process: WritingProcess, line: str) -> None:
    """Reads what it tells its supervisor until it has told this."""
    seen = ""
    process.control.setblocking(False)
    async with asyncio.timeout(20):
        while line not in seen:
            seen += (await asyncio.get_running_loop().sock_recv(process.control, 65536)).decode()


async def test_a_really_full_disk_is_survived_by_the_writing_process(small_disk: Path) -> None:
    ballast = small_disk / "ballast"
    process = WritingProcess(small_disk)
    client = None
    try:
        client = await SqliteClient.open(process.journal, process.socket)
        stream = key(client, "full")
        head = await fill(client, stream, 5, 500)
        fill_up(ballast)
        while True:
            append = note(stream, head, f"f{head.seq}", "x" * 3000)
            outcome = await client.append(append)
            if not isinstance(outcome, Applied):
                break
            head = outcome.head
        assert isinstance(outcome, Unknown)
        assert isinstance(await client.append(append), Unknown)
        assert await client.head(stream) == head
        assert process.process.poll() is None, process.said()
        with pytest.raises(StoreUnavailable):
            await FileBlobs(small_disk / "blobs", OsRandomness()).put(os.urandom(100_000))
        await told(process, "the disk is full; free some space")
        ballast.unlink()
        head = applied(await settle(client, append))
        await told(process, "the journal is written again")
        head = await fill(client, stream, 20, 500)
        assert len(await everything(client, stream)) == head.seq
    finally:
        if client is not None:
            client.close()
        process.stop()


@pytest.mark.crash
@pytest.mark.parametrize("place", ["commit.before", "commit.after"])
async def test_killed_between_gathering_commit_and_answer_it_loses_and_doubles_nothing(
    short_dir: Path, place: str
) -> None:
    token = short_dir / "token"
    process = WritingProcess(short_dir, {"OUTLAST_CRASH": f"{place}:run/hit*", "OUTLAST_CRASH_TOKEN": str(token)})
    client = None
    try:
        client = await SqliteClient.open(process.journal, process.socket)
        for round_ in range(6):
            streams = [key(client, f"hit{round_}-{index}") for index in range(5)]
            token.touch()
            appends = [note(stream, genesis(stream), "hit") for stream in streams]
            outcomes = await asyncio.gather(*map(client.append, appends))
            assert any(isinstance(outcome, Unknown) for outcome in outcomes)
            assert not token.exists()
            process.process.wait(20)
            there = [(await client.head(stream)).seq for stream in streams]
            if not any(isinstance(outcome, Applied) for outcome in outcomes):
                # The five may have come in more than one group: whoever missed the first is nowhere.
                assert set(there) == {0} if place == "commit.before" else 1 in there
            for outcome, seq in zip(outcomes, there, strict=True):
                assert not isinstance(outcome, Applied) or seq == 1
            process.kill()
            process.restart()
            await asyncio.gather(*(settle(client, append) for append in appends))
            for stream in streams:
                assert len(await everything(client, stream)) == 1
    finally:
        if client is not None:
            client.close()
        process.stop()


async def test_damaged_anchors_do_not_stop_the_journal(journal: Path) -> None:
    await made(journal, 2)
    journal.with_name("anchors.sqlite").write_bytes(b"damaged" * 1000)
    store = opened(journal)
    head = await fill(store, key(store, "a"), 1)
    store.close()
    assert journal.with_name("anchors.sqlite.damaged").read_bytes() == b"damaged" * 1000
    anchors = SqliteAnchors.open(journal.with_name("anchors.sqlite"))
    assert list((await anchors.all()).values()) == [head]
    anchors.close()


async def test_a_journal_that_is_gone_is_not_begun_anew_without_a_word(journal: Path) -> None:
    await made(journal, 3)
    anchors = journal.with_name("anchors.sqlite")
    for suffix in ("", "-wal", "-shm"):
        Path(f"{journal}{suffix}").unlink(missing_ok=True)
    with pytest.raises(StoreCorrupt, match=r"is gone, but .* remembers 3 streams"):
        SqliteStore.open(journal, OsRandomness())
    assert not journal.exists(), "and nothing is made in its place"
    anchors.rename(journal.with_name("aside"))
    SqliteStore.open(journal, OsRandomness()).close()


async def test_heads_are_anchored_when_the_store_closes(journal: Path) -> None:
    await made(journal, 3)
    anchors = SqliteAnchors.open(journal.with_name("anchors.sqlite"))
    assert {head.seq for head in (await anchors.all()).values()} == {3}
    anchors.close()


async def test_a_damaged_blob_is_found(short_dir: Path) -> None:
    blobs = FileBlobs(short_dir / "blobs", OsRandomness())
    ref = await blobs.put(b"content" * 100)
    path = short_dir / "blobs" / ref.sha256[:2] / ref.sha256
    path.write_bytes(b"Content" * 100)
    with pytest.raises(StoreCorrupt):
        await blobs.get(ref)
    path.write_bytes(b"")
    with pytest.raises(StoreCorrupt):
        await blobs.get(ref)
    assert await blobs.put(b"content" * 100) == ref  # what is damaged is written again
    assert await blobs.get(ref) == b"content" * 100
    with pytest.raises(NotFound):
        await blobs.get(BlobRef("../../etc/passwd", 1))
    assert list((short_dir / "blobs").rglob("*.tmp")) == []


async def test_a_copy_of_a_live_journal_opens(store: SqliteStore, journal: Path, tmp_path: Path) -> None:
    head = await fill(store, key(store, "a"), 30, 500)
    for name in ("journal.sqlite", "journal.sqlite-wal"):
        shutil.copy(journal.with_name(name), tmp_path / name)
    copy = SqliteReader.open(tmp_path / "journal.sqlite")
    assert await copy.head(key(store, "a")) == head
    copy.close()
