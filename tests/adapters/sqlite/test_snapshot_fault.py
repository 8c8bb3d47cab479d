"""Whatever is done to a session's snapshots: the session is what its turns made it, the audit names the damage, and the
next snapshot takes the place of the damaged one."""

from __future__ import annotations

import asyncio
import shutil
import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import apsw
import msgspec
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from outlast.adapters.host.clock import SystemClock
from outlast.adapters.host.randomness import OsRandomness
from outlast.adapters.memory.blob import MemoryBlobs
from outlast.adapters.memory.executor import MemoryExecutors
from outlast.adapters.sqlite.store import SqliteStore
from outlast.agent import event as ev
from outlast.agent.create import run_key
from outlast.agent.platform import Platform
from outlast.agent.session import SessionState, Turn, enter_turn, queue_turn, read_session, save_snapshot, session_key
from outlast.journal.audit import Report, audit
from outlast.journal.blob import Payload
from outlast.journal.index import HintPatch
from outlast.journal.record import make_append
from outlast.journal.snapshot import Snapshot
from outlast.kernel.codec import encode
from outlast.kernel.error import StoreCorrupt
from tests.contracts.note import applied

SESSIONS = ("one", "two")
TURNS = 6
SNAPSHOTS_AT = (2, 4)


def platform_of(store: SqliteStore, snapshots: Any = None) -> Platform:
    return Platform(
        SystemClock(), OsRandomness(), store, store, snapshots or store, MemoryBlobs(), MemoryExecutors()
    )  # fmt: skip


async def take_turn(platform: Platform, session: str, number: int) -> None:
    """A turn that says a word and counts, as a run would."""
    run = f"{session}-{number}"
    turn = await queue_turn(platform, session, run, 0)
    state = {"count": msgspec.Raw(encode(number)), "session": msgspec.Raw(encode(session))}
    change = ev.SessionChange([("user", f"{session} {number}")], state)
    done = ev.RunCompleted(Payload(msgspec.Raw(b"null")), Payload(msgspec.Raw(encode(change))))
    stream = run_key(platform, run)
    hint = HintPatch(run, state="completed", updated_at=turn.at)
    applied(
        await platform.store.append(make_append(stream, await platform.store.head(stream), run, turn.at, [done], hint))
    )
    if number in SNAPSHOTS_AT:
        state_then, tail = await read_session(platform, session, 0)
        await save_snapshot(platform, session, tail.turns[-1], state_then)


def expected(session: str, turns: int) -> tuple[list[tuple[str, str]], dict[str, Any], int]:
    words = [("user", f"{session} {number}") for number in range(1, turns + 1)]
    return words, {"count": turns, "session": session}, turns


def seen(state: SessionState) -> tuple[list[tuple[str, str]], dict[str, Any], int]:
    return state.messages, {key: msgspec.json.decode(raw) for key, raw in state.state.items()}, state.turns


@pytest.fixture(scope="module")
def made() -> Iterator[Path]:
    """A closed journal of two sessions with two snapshots each."""
    directory = Path(tempfile.mkdtemp(prefix="ol-", dir="/tmp"))

    async def make() -> None:
        store = SqliteStore.open(directory / "journal.sqlite", OsRandomness(), durability="process")
        for session in SESSIONS:
            for number in range(1, TURNS + 1):
                await take_turn(platform_of(store), session, number)
        store.close()

    asyncio.run(make())
    yield directory / "journal.sqlite"
    shutil.rmtree(directory)


COLUMNS = ("stream", "seq", "hash", "v", "digest", "body")
ROWS = st.integers(0, 3)
CELLS = st.tuples(ROWS, st.integers(0, 5), st.integers(0, 8), st.binary(max_size=30))


def rows(journal: Path) -> list[tuple[Any, ...]]:
    connection = apsw.Connection(str(journal))
    found = connection.execute(f"SELECT {', '.join(COLUMNS)} FROM snapshot ORDER BY stream, seq").fetchall()
    connection.close()
    return found


def write(journal: Path, table: list[tuple[Any, ...]]) -> None:
    connection = apsw.Connection(str(journal))
    with connection:
        connection.execute("DELETE FROM snapshot")
        for row in table:
            connection.execute("INSERT OR REPLACE INTO snapshot VALUES (?, ?, ?, ?, ?, ?)", row)
    connection.close()


async def audited(store: SqliteStore) -> Report:
    return await audit(store)


async def check(journal: Path, damaged: bool) -> None:
    store = SqliteStore.open(journal, OsRandomness(), durability="process")
    try:
        platform = platform_of(store)
        report = await audited(store)
        assert report.whole
        assert bool(report.flaws) is damaged, report.flaws
        assert {flaw.damage for flaw in report.flaws} <= {"snapshot"}
        for session in SESSIONS:
            state, _ = await read_session(platform, session, 0)
            assert seen(state) == expected(session, TURNS)
            entered = await enter_turn(platform, session, f"{session}-next", 0, False)
            assert entered.state is not None
            assert seen(entered.state) == expected(session, TURNS)
            await rebuilt(store, platform, session, entered.turn, entered.state)
    finally:
        store.close()


async def rebuilt(store: SqliteStore, platform: Platform, session: str, turn: Turn, state: SessionState) -> None:
    """The next snapshot is kept and read, whatever stands beside it."""
    await save_snapshot(platform, session, turn, state)
    kept = await store.load(session_key(platform, session))
    assert kept is not None
    assert kept.seq == turn.seq


def copied(made: Path, directory: Path) -> Path:
    for file in made.parent.iterdir():
        if not file.name.endswith(".lock"):
            shutil.copy(file, directory / file.name)
    return directory / made.name


def changed(value: Any, how: int, text: bytes) -> Any:
    """Another value for a cell: bits flipped, cut, exchanged for something of any type."""
    if how == 0 and isinstance(value, bytes) and value:
        at = len(text) * 31 % len(value)
        return value[:at] + bytes([value[at] ^ 1 << len(text) % 8]) + value[at + 1 :]
    if how == 1 and isinstance(value, bytes | str):
        return value[: len(text) % max(len(value), 1)]
    if how == 2 and isinstance(value, int):
        return value ^ (1 << len(text) * 3 % 40)
    return (text, text.decode("latin-1"), len(text), 1 << 60, 0.5, -1)[how % 6]


def fresh() -> tempfile.TemporaryDirectory[str]:
    return tempfile.TemporaryDirectory(prefix="ol-", dir="/tmp")


@settings(max_examples=120, deadline=None)
@given(cells=st.lists(CELLS, min_size=1, max_size=3))
def test_a_damaged_cell_of_a_snapshot_is_never_believed(made: Path, cells: list[tuple[int, int, int, bytes]]) -> None:
    with fresh() as directory:
        journal = copied(made, Path(directory))
        before = rows(journal)
        table = [list(row) for row in before]
        for row, column, how, text in cells:
            table[row][column] = changed(before[row][column], how, text)
        write(journal, [tuple(row) for row in table])
        asyncio.run(check(journal, any(row not in before for row in rows(journal))))


@settings(max_examples=60, deadline=None)
@given(source=ROWS, target=ROWS, columns=st.sets(st.sampled_from(COLUMNS), min_size=1))
def test_a_snapshot_with_anothers_content_is_never_believed(
    made: Path, source: int, target: int, columns: set[str]
) -> None:
    """Of an earlier turn, or of another session, with or without its checksum."""
    with fresh() as directory:
        journal = copied(made, Path(directory))
        before = rows(journal)
        mixed = tuple(
            before[source if name in columns else target][index] for index, name in enumerate(COLUMNS)
        )  # fmt: skip
        write(journal, [mixed if number == target else row for number, row in enumerate(before)])
        asyncio.run(check(journal, any(row not in before for row in rows(journal))))


@settings(max_examples=60, deadline=None)
@given(at=st.integers(0, 1 << 30), bit=st.integers(0, 7))
def test_a_bit_that_flips_in_the_file_of_a_snapshots_body_is_never_believed(made: Path, at: int, bit: int) -> None:
    with fresh() as directory:
        journal = copied(made, Path(directory))
        content = bytearray(journal.read_bytes())
        body = rows(journal)[at % 4][5]
        place = content.rindex(body) + at % len(body)
        content[place] ^= 1 << bit
        journal.write_bytes(content)
        asyncio.run(check(journal, True))


class Unreadable:
    """Snapshots whose page of the file is gone."""

    async def load(self, stream: str) -> Snapshot | None:
        raise StoreCorrupt("the journal is corrupt or truncated")


async def test_a_session_is_read_without_snapshots_where_they_cannot_be_read(made: Path, short_dir: Path) -> None:
    store = SqliteStore.open(copied(made, short_dir), OsRandomness(), durability="process")
    try:
        state, _ = await read_session(platform_of(store, Unreadable()), "one", 0)
        assert seen(state) == expected("one", TURNS)
    finally:
        store.close()


async def test_the_snapshots_are_used_while_they_are_whole(made: Path, short_dir: Path) -> None:
    journal = copied(made, short_dir)
    assert [row[1] for row in rows(journal)] == [2, 4, 2, 4]
    store = SqliteStore.open(journal, OsRandomness(), durability="process")
    try:
        platform = platform_of(store)
        kept = await store.load(session_key(platform, "one"))
        assert kept is not None
        state = msgspec.json.decode(kept.body, type=SessionState)
        lie = msgspec.structs.replace(state, messages=[("user", "folded")])
        await store.save(Snapshot(kept.stream, kept.seq, kept.hash, kept.v, encode(lie)))
        found, _ = await read_session(platform, "one", 0)
        assert found.messages[0] == ("user", "folded"), "else the tests above test nothing"
    finally:
        store.close()
