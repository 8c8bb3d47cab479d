"""Power-safe, proven: a real writing process under a preloaded shim that logs every write, sync and send.

The shim keeps the database and its log as they stood at each sync. Before any acknowledgement leaves the process there
has been a sync after the last write to the log, and what was synced by then reopens whole with all that was
acknowledged: also when, of each file, only what its own last sync covered is left.
"""

from __future__ import annotations

import asyncio
import os
import shutil
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import apsw
import pytest

from outlast.adapters.sqlite import wire
from outlast.adapters.sqlite.client import SqliteClient
from outlast.adapters.sqlite.reader import SqliteReader
from outlast.journal.chain import genesis
from outlast.journal.stream import Append, Applied, Unknown
from tests.adapters.sqlite.writing import ROOT, WritingProcess
from tests.contracts.note import applied, everything, fill, key, note, settle


@pytest.fixture(scope="module")
def shim(tmp_path_factory: pytest.TempPathFactory) -> Path:
    compiler = shutil.which("cc") or shutil.which("gcc") or shutil.which("clang")
    if compiler is None or not sys.platform.startswith("linux"):
        reason = "the proof of power safety needs Linux and a C compiler (cc)"
        if os.environ.get("CI") == "true":
            pytest.fail(reason)
        pytest.skip(reason)
    library = tmp_path_factory.mktemp("shim") / "shim.so"
    source = Path(__file__).with_name("shim.c")
    subprocess.run([compiler, "-shared", "-fPIC", "-O1", "-o", library, source, "-ldl"], check=True)
    return library


def environment(shim: Path, directory: Path) -> dict[str, str]:
    (directory / "images").mkdir()
    return {
        "LD_PRELOAD": str(shim),
        "SHIM_LOG": str(directory / "shim.log"),
        "SHIM_IMAGES": str(directory / "images"),
        "SHIM_DATABASE": str(directory / "journal.sqlite"),
        "WRITING_CHECKPOINT_PAGES": "40",
    }


async def load(directory: Path, shim: Path, durability: str) -> None:
    process = WritingProcess(directory, {**environment(shim, directory), "WRITING_DURABILITY": durability})
    try:
        process.wait_until_ready()
        client = await SqliteClient.open(process.journal, process.socket)
        await fill(client, key(client, "alone"), 40, 700)
        await asyncio.gather(*(fill(client, key(client, f"many{index}"), 8, 700) for index in range(12)))
        client.close()
    finally:
        process.kill()


Ack = tuple[int, bytes]
"""Number and hash of a stream's end, as it was acknowledged."""


def events(log: Path) -> Iterator[tuple[str, str, list[Ack]]]:
    """(what, which, what was acknowledged with it) for each line of the log."""
    frames: dict[str, wire.Frames[wire.Answer]] = {}
    for text in log.read_text().splitlines():
        what, _, rest = text.partition(" ")
        acknowledged: list[Ack] = []
        if what == "send":
            channel, _, raw = rest.partition(" ")
            if raw.startswith("7b"):  # JSON: the control channel
                continue
            for answer in frames.setdefault(channel, wire.answers()).feed(bytes.fromhex(raw)):
                if isinstance(answer, wire.Welcome):
                    continue
                assert isinstance(answer, wire.Outcomes)
                acknowledged += [
                    (outcome.head.seq, outcome.head.hash) for _, outcome in answer.items if isinstance(outcome, Applied)
                ]
            yield what, "", acknowledged
        else:
            yield what, rest, []


def unsynced(log: Path) -> int:
    """How many acknowledgements left while something written to the log was not synced."""
    dirty = False
    found = 0
    for what, which, acknowledged in events(log):
        if (what, which) == ("write", "wal"):
            dirty = True
        elif what == "sync" and which.startswith("wal"):
            dirty = False
        elif acknowledged and dirty:
            found += len(acknowledged)
    return found


async def held(directory: Path, database: Path, wal: Path) -> set[Ack]:
    """What the database holds, opened from these two files; every stream verified from genesis."""
    shutil.rmtree(directory, ignore_errors=True)
    directory.mkdir()
    shutil.copy(database, directory / "journal.sqlite")
    shutil.copy(wal, directory / "journal.sqlite-wal")
    reader = SqliteReader.open(directory / "journal.sqlite")
    try:
        found: set[Ack] = set()
        for stream in await reader.streams("run"):
            found |= {(record.seq + record.count - 1, record.hash) for record in await everything(reader, stream)}  # type: ignore[arg-type]
    finally:
        reader.close()
    check = apsw.Connection(str(directory / "journal.sqlite"))
    assert check.pragma("integrity_check") == "ok"
    check.close()
    return found


async def test_a_sync_stands_before_every_acknowledgement(short_dir: Path, shim: Path) -> None:
    await load(short_dir, shim, "power")
    assert unsynced(short_dir / "shim.log") == 0
    assert sum(len(acknowledged) for _, _, acknowledged in events(short_dir / "shim.log")) == 40 + 12 * 8


async def test_this_test_can_tell_the_difference(short_dir: Path, shim: Path) -> None:
    await load(short_dir, shim, "process")
    assert unsynced(short_dir / "shim.log") > 100


async def test_every_synced_state_reopens_whole_with_all_that_was_acknowledged(short_dir: Path, shim: Path) -> None:
    await load(short_dir, shim, "power")
    images = short_dir / "images"
    acknowledged: set[Ack] = set()
    pending: set[Ack] = set()
    last: dict[str, str] = {}
    checked = checkpoints = 0
    for what, which, told in events(short_dir / "shim.log"):
        if told:
            # whoever was told by now must find it in what was synced by now
            pending |= set(told)
            number_db, number_wal = last["db"], last["wal"]
            strict = await held(short_dir / "strict", images / f"{number_db}.db", images / f"{number_wal}.wal")
            acknowledged |= pending
            assert acknowledged <= strict
            checked += 1
        elif what == "sync":
            kind, _, number = which.partition(" ")
            checkpoints += kind == "db"
            last[kind] = number
            if kind != "other" and acknowledged:
                stood = await held(short_dir / "stood", images / f"{number}.db", images / f"{number}.wal")
                assert acknowledged <= stood
    assert checked > 40
    assert checkpoints > 2


async def test_after_a_failed_sync_the_process_ends_and_the_next_one_goes_on(short_dir: Path, shim: Path) -> None:
    failing = {**environment(shim, short_dir), "SHIM_FAIL": "60"}
    process = WritingProcess(short_dir, failing)
    client = await SqliteClient.open(process.journal, process.socket)
    try:
        streams = [key(client, f"s{index}") for index in range(8)]
        heads = {stream: genesis(stream) for stream in streams}
        unknown: list[Append] = []
        while not unknown:
            appends = [note(stream, heads[stream], f"a{heads[stream].seq}", "x" * 500) for stream in streams]
            for append, outcome in zip(appends, await asyncio.gather(*map(client.append, appends)), strict=True):
                if isinstance(outcome, Applied):
                    heads[append.stream] = outcome.head
                else:
                    assert isinstance(outcome, Unknown)
                    unknown.append(append)
        assert await asyncio.to_thread(process.process.wait, 20) == 1
        assert "check the disk" in process.said()
        process.kill()
        process.forget("SHIM_FAIL")
        process.restart()
        for append in unknown:
            heads[append.stream] = applied(await settle(client, append))
        for stream, head in heads.items():
            assert await client.head(stream) == head
            await everything(client, stream)
    finally:
        client.close()
        process.kill()


async def test_a_blob_is_synced_renamed_and_its_directory_synced(short_dir: Path, shim: Path) -> None:
    code = (
        "import asyncio, sys; from pathlib import Path\n"
        "from outlast.adapters.host.randomness import OsRandomness\n"
        "from outlast.adapters.sqlite.blob import FileBlobs\n"
        "asyncio.run(FileBlobs(Path(sys.argv[1]), OsRandomness()).put(b'x' * 100000))\n"
    )
    subprocess.run(
        [sys.executable, "-c", code, short_dir / "blobs"],
        env={**os.environ, **environment(shim, short_dir)},
        cwd=ROOT,
        check=True,
        timeout=60,
    )
    lines = [line.split()[0] for line in (short_dir / "shim.log").read_text().splitlines()]
    assert "rename" in lines
    at = lines.index("rename")
    assert "sync" in lines[:at]
    assert "sync" in lines[at + 1 :]
