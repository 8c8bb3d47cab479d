"""SQLite through a real writing process passes the suites of its ports, and survives what happens to that process."""

from __future__ import annotations

import asyncio
import os
import signal
import socket
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import pytest

from outlast.adapters.host.clock import SystemClock
from outlast.adapters.host.randomness import OsRandomness
from outlast.adapters.sqlite import wire
from outlast.adapters.sqlite.client import SqliteClient
from outlast.adapters.sqlite.lone import lone_after, lone_run
from outlast.adapters.sqlite.store import SqliteStore
from outlast.journal.chain import genesis
from outlast.journal.index import HintPatch
from outlast.journal.snapshot import Snapshot
from outlast.journal.stream import Append, Applied, Conflicted, Head, Unknown
from outlast.kernel.error import Conflict, PayloadTooLarge, StoreUnavailable, UsageError
from tests.adapters.sqlite.writing import WritingProcess, running
from tests.contracts.event_store import EventStoreContract
from tests.contracts.note import applied, everything, fill, key, names, note, settle
from tests.contracts.run_index import RunIndexContract
from tests.contracts.shrinking import ShrinkingContract
from tests.contracts.snapshot_store import SnapshotStoreContract

Until = Callable[..., Any]


class ThroughAWriter:
    @asynccontextmanager
    async def opened(self, directory: Path) -> AsyncIterator[SqliteClient]:
        async with running(directory) as process:
            client = await SqliteClient.open(process.journal, process.socket)
            try:
                yield client
            finally:
                client.close()


class TestClientStreams(ThroughAWriter, EventStoreContract):
    pass


class TestClientIndex(ThroughAWriter, RunIndexContract):
    pass


class TestClientShrinking(ThroughAWriter, ShrinkingContract):
    pass


class TestClientSnapshots(ThroughAWriter, SnapshotStoreContract):
    pass


@pytest.fixture
async def process(short_dir: Path) -> AsyncIterator[WritingProcess]:
    async with running(short_dir) as process:
        yield process


@pytest.fixture
async def client(process: WritingProcess) -> AsyncIterator[SqliteClient]:
    client = await SqliteClient.open(process.journal, process.socket, answer_s=20.0)
    yield client
    client.close()


async def test_appends_of_two_clients_race_fairly(process: WritingProcess, client: SqliteClient) -> None:
    other = await SqliteClient.open(process.journal, process.socket)
    try:
        for round_ in range(20):
            stream = key(client, f"race{round_}")
            outcomes = await asyncio.gather(
                *(
                    store.append(note(stream, genesis(stream), f"{index}"))
                    for index, store in enumerate([client, other])
                )
            )
            assert {type(outcome) for outcome in outcomes} == {Applied, Conflicted}
            assert await other.head(stream) == await client.head(stream)
    finally:
        other.close()


async def test_killed_mid_load_it_loses_nothing_acknowledged(
    process: WritingProcess, client: SqliteClient, until: Until
) -> None:
    """The process is killed again and again under load; every stream ends with exactly what its writer was told."""
    told: dict[str, list[str]] = {}
    stop = asyncio.Event()

    async def write(number: int) -> None:
        stream = key(client, f"load{number}")
        told[stream] = []
        head = genesis(stream)
        while not stop.is_set():
            name = f"{number}-{head.seq}"
            head = applied(await settle(client, note(stream, head, name, "x" * 300)))
            told[stream].append(name)

    writers = [asyncio.ensure_future(write(number)) for number in range(20)]
    for _ in range(5):
        before = sum(map(len, told.values()))
        await until(lambda before=before: sum(map(len, told.values())) > before + 200, 20, "progress")
        process.kill()
        process.restart()
    before = sum(map(len, told.values()))
    await until(lambda: sum(map(len, told.values())) > before, 20, "progress after the last kill")
    stop.set()
    await asyncio.gather(*writers)
    for stream, acknowledged in told.items():
        assert await names(client, stream) == acknowledged


async def test_what_is_in_flight_when_it_dies_is_unknown_and_can_be_sent_again(
    process: WritingProcess, client: SqliteClient
) -> None:
    os.kill(process.pid, signal.SIGSTOP)
    stream = key(client, "flight")
    append = note(stream, genesis(stream), "flight")
    flight = asyncio.ensure_future(client.append(append))
    await asyncio.sleep(0)
    process.kill()
    assert isinstance(await flight, Unknown)
    process.restart()
    applied(await settle(client, append))
    assert await names(client, stream) == ["flight"]


async def test_appends_made_while_nobody_serves_wait_for_the_next_process(
    process: WritingProcess, client: SqliteClient, until: Until
) -> None:
    process.kill()
    await until(lambda: not client.connected, 10, "the loss is seen")
    stream = key(client, "patient")
    waiting = asyncio.ensure_future(client.append(note(stream, genesis(stream), "patient")))
    with pytest.raises(StoreUnavailable):
        await client.ping()
    process.restart()
    applied(await waiting)


async def test_a_stopped_process_makes_outcomes_unknown_within_the_bound(process: WritingProcess) -> None:
    client = await SqliteClient.open(process.journal, process.socket, answer_s=0.3)
    stream = key(client, "frozen")
    append = note(stream, genesis(stream), "frozen")
    os.kill(process.pid, signal.SIGSTOP)
    try:
        outcomes = await asyncio.gather(client.append(append), client.append(append))
        assert all(isinstance(outcome, Unknown) for outcome in outcomes)
        assert await client.head(stream) == genesis(stream)  # reading needs no writer
    finally:
        os.kill(process.pid, signal.SIGCONT)
    applied(await settle(client, append))
    # what was sent before the freeze may have been carried out after it: once
    assert await names(client, stream) == ["frozen"]
    client.close()


async def test_an_abandoned_append_that_lands_late_conflicts(process: WritingProcess) -> None:
    client = await SqliteClient.open(process.journal, process.socket, answer_s=0.3)
    stream = key(client, "late")
    os.kill(process.pid, signal.SIGSTOP)
    try:
        assert isinstance(await client.append(note(stream, genesis(stream), "late")), Unknown)
    finally:
        os.kill(process.pid, signal.SIGCONT)
    successor = note(stream, genesis(stream), "successor")
    outcome = await settle(client, successor)
    found = await names(client, stream)
    assert found == (["successor"] if isinstance(outcome, Applied) else ["late"])
    client.close()


class SlowClock(SystemClock):
    """A nanosecond for each look: whoever waits until a time has come waits for his answer instead."""

    def __init__(self) -> None:
        super().__init__()
        self.looks = 0

    def monotonic(self) -> float:
        self.looks += 1
        return self.looks * 1e-9


async def test_the_answer_to_a_lone_stream_is_taken_at_once_but_others_have_their_turn(
    process: WritingProcess,
) -> None:
    client = await SqliteClient.open(process.journal, process.socket, clock=SlowClock())
    at_once: dict[str, list[bool]] = {"alone": [], "one": [], "two": []}
    heads = {name: genesis(key(client, name)) for name in at_once}

    async def append(*those: str) -> None:
        waiting = []
        for name in those:
            future: asyncio.Future[Any] = asyncio.get_running_loop().create_future()
            client.submit(note(key(client, name), heads[name], f"{name}{heads[name].seq}"), future)
            at_once[name].append(future.done())
            waiting.append(future)
        for name, outcome in zip(those, await asyncio.gather(*waiting), strict=True):
            heads[name] = applied(outcome)

    for _ in range(80):
        await append("alone")
    for _ in range(40):
        await append("one", "two")
    for _ in range(20):
        await append("one")
        await append("two")
    client.close()
    assert not any(at_once["alone"][:lone_after]), "first it must be alone for a while"
    assert at_once["alone"][lone_after:].count(False) == (80 - lone_after) // lone_run
    assert not any(at_once["one"] + at_once["two"])


async def test_who_does_not_ask_for_steps_is_told_of_all_else(
    process: WritingProcess, client: SqliteClient, until: Until
) -> None:
    other = await SqliteClient.open(process.journal, process.socket)
    seen: list[str] = []
    follower: list[str] = []
    client.listen(lambda notices: seen.extend(notice.stream for notice in notices), steps=False)
    stop = other.listen(lambda notices: follower.extend(notice.stream for notice in notices))
    other.listen(lambda notices: None, steps=False)
    await client.ping()
    await other.ping()  # both are subscribed now
    run, inbox = key(client, "r"), key(client, "r", "inbox")
    head = await fill(client, run, 3)
    await fill(client, inbox, 1)
    await until(lambda: inbox in seen and inbox in follower, 10, "word of the inbox")
    assert (seen, follower) == ([inbox], [run, run, run, inbox])
    await client.append(note(run, head, "hinted", hint=HintPatch("r", mail=1)))
    await until(lambda: run in seen and follower.count(run) == 4, 10, "word of the hint")
    stop()
    stop()
    await other.ping()
    await fill(client, run, 2)
    await fill(client, inbox, 1)
    await until(lambda: seen == [inbox, run, inbox], 10, "word of the inbox")
    assert len(follower) == 5
    other.close()


async def test_a_closed_client_answers_unknown(client: SqliteClient) -> None:
    stream = key(client, "closed")
    client.close()
    client.close()
    assert isinstance(await client.append(note(stream, genesis(stream), "closed")), Unknown)


async def test_without_a_writing_process_opening_says_so(short_dir: Path) -> None:
    with pytest.raises(StoreUnavailable, match="outlast up"):
        await SqliteClient.open(short_dir / "journal.sqlite", short_dir / "writer.sock", wait_s=0.05)


async def test_a_snapshot_over_the_bound_is_refused(client: SqliteClient) -> None:
    stream = key(client, "s", "session")
    with pytest.raises(PayloadTooLarge, match="snapshot_bytes_max"):
        await client.save(Snapshot(stream, 1, bytes(32), 1, bytes(8 * 1024 * 1024 + 1)))
    with pytest.raises(UsageError):
        await client.save(Snapshot("nonsense", 1, bytes(32), 1, b""))
    await client.ping()


async def test_text_that_cannot_be_sent_harms_only_its_own_append(client: SqliteClient) -> None:
    good, bad = key(client, "good"), "run/\ud800"
    first, second, third = await asyncio.gather(
        client.append(note(good, genesis(good), "good")),
        client.append(Append(bad, genesis(good), "bad", 1, b"{}")),
        client.append(note(good, genesis(good), "second")),
        return_exceptions=True,
    )
    assert isinstance(first, Applied)
    assert isinstance(second, UsageError)
    assert isinstance(third, Conflicted)


async def test_two_cannot_write_one_directory(process: WritingProcess) -> None:
    with pytest.raises(Conflict, match=str(process.pid)):
        SqliteStore.open(process.journal, OsRandomness())
    second = WritingProcess(process.journal.parent)
    try:
        assert second.process.wait(20) == 1
        assert "open for writing already" in second.said()
    finally:
        second.stop()
    client = await SqliteClient.open(process.journal, process.socket)
    await client.ping()  # the first one's socket was left alone
    client.close()


async def test_it_beats_and_ends_in_order(short_dir: Path) -> None:
    process = WritingProcess(short_dir)
    process.wait_until_ready()
    process.control.settimeout(10)
    said = b""
    while said.count(b'"beat"') < 3:
        said += process.control.recv(4096)
    assert b'{"t":"ready"}' in said
    process.control.sendall(b'{"t":"drain","within_s":1.0}\n')
    assert process.process.wait(20) == 0
    assert not process.socket.exists()
    process.stop()


async def test_it_ends_when_its_supervisor_does(process: WritingProcess) -> None:
    process.control.close()
    assert process.process.wait(20) != 0


async def test_its_socket_is_for_this_user_only(process: WritingProcess) -> None:
    assert process.socket.stat().st_mode & 0o777 == 0o600


class Raw:
    """A client that does not behave."""

    def __init__(self, path: Path) -> None:
        self.channel = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
        self.channel.connect(str(path))
        self.channel.settimeout(20)
        self.channel.recv(4096)

    def ends(self) -> bool:
        """Whether the other side closes, after whatever it still says."""
        try:
            while self.channel.recv(65536):
                pass
        except ConnectionError:
            pass
        self.channel.close()
        return True


@pytest.mark.parametrize(
    "sent",
    [
        b"\xff\xff\xff\xff",
        (wire.frame_bytes_max + 1).to_bytes(4, "big"),
        b"\x00\x00\x00\x00",
        b"\x00\x00\x00\x05hello",
        b"\x00\x00\x00\x02\x91\x63",
        b"\x00\x00\x00\x08" + b"\x91" * 8,
        b"GET / HTTP/1.1\r\nHost: x\r\n\r\n" * 10,
    ],
    ids=["longest", "too_long", "empty", "text", "unknown", "nested", "http"],
)
async def test_whoever_sends_nonsense_is_disconnected(
    process: WritingProcess, client: SqliteClient, sent: bytes
) -> None:
    raw = Raw(process.socket)
    raw.channel.sendall(sent)
    if sent.startswith(b"GET"):
        raw.channel.shutdown(socket.SHUT_WR)
    assert await asyncio.to_thread(raw.ends)
    assert (await fill(client, key(client, "unharmed"), 3)).seq == 3


async def test_a_frame_may_come_byte_by_byte(process: WritingProcess, client: SqliteClient) -> None:
    raw = Raw(process.socket)
    stream = key(client, "slow")
    for byte in bytes(wire.frame(wire.Appends([(7, note(stream, genesis(stream), "slow"))]))):
        raw.channel.send(bytes([byte]))
    (answer,) = wire.answers().feed(await asyncio.to_thread(raw.channel.recv, 4096))
    assert isinstance(answer, wire.Outcomes)
    assert answer.items[0][0] == 7
    raw.channel.close()


async def test_one_who_never_reads_is_disconnected_and_holds_up_nobody(
    process: WritingProcess, client: SqliteClient
) -> None:
    raw = Raw(process.socket)
    raw.channel.setblocking(False)
    refused = Append("run/" + "x" * 4000, Head(0, bytes(32)), "x", 1, b"{}")
    questions = bytes(wire.frame(wire.Appends([(number, refused) for number in range(200)])))
    loop = asyncio.get_running_loop()

    async def flood() -> None:
        while True:
            await loop.sock_sendall(raw.channel, questions)

    flooding = asyncio.ensure_future(flood())
    stream = key(client, "meanwhile")
    head = genesis(stream)
    while not flooding.done():
        head = applied(await client.append(note(stream, head, f"m{head.seq}")))
        await asyncio.sleep(0)
    assert isinstance(flooding.exception(), OSError)
    raw.channel.close()
    assert len(await everything(client, stream)) == head.seq


async def test_a_listener_that_never_reads_misses_notices_and_holds_up_nobody(
    process: WritingProcess, client: SqliteClient
) -> None:
    raw = Raw(process.socket)
    raw.channel.sendall(wire.frame(wire.Subscribe()))
    streams = [key(client, f"n{index}") for index in range(100)]
    for _ in range(3):
        await asyncio.gather(*(fill(client, stream, 40) for stream in streams))
    assert process.process.poll() is None
    raw.channel.close()


async def test_too_many_clients_are_turned_away(process: WritingProcess, client: SqliteClient) -> None:
    raws: list[socket.socket] = []
    for _ in range(200):
        raw = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
        raw.connect(str(process.socket))
        raws.append(raw)
    raws[-1].settimeout(20)
    assert await asyncio.to_thread(raws[-1].recv, 1) == b""
    await client.ping()
    for raw in raws:
        raw.close()


async def test_a_client_of_another_directory_is_told_so(process: WritingProcess, tmp_path: Path) -> None:
    store = SqliteStore.open(tmp_path / "journal.sqlite", OsRandomness())
    store.close()
    with pytest.raises(Exception, match="different directories"):
        await SqliteClient.open(tmp_path / "journal.sqlite", process.socket)


async def test_many_in_flight_over_several_frames(client: SqliteClient) -> None:
    streams = [key(client, f"w{index:04}") for index in range(3000)]
    outcomes = await asyncio.gather(
        *(client.append(note(stream, genesis(stream), "wide", "x" * 2000)) for stream in streams)
    )
    assert all(isinstance(outcome, Applied) for outcome in outcomes)
    assert len(await client.streams("run", limit=5000)) == 3000


async def test_a_reader_that_stays_open_sees_a_restart(process: WritingProcess, client: SqliteClient) -> None:
    stream = key(client, "seen")
    head = await fill(client, stream, 3)
    assert process.stop() == 0
    assert await client.head(stream) == head
    process.restart()
    head = await _fill_through_loss(client, stream, head, 3)
    assert await client.head(stream) == head


async def _fill_through_loss(client: SqliteClient, stream: str, head: Head, count: int) -> Head:
    for _ in range(count):
        head = applied(await settle(client, note(stream, head, f"r{head.seq}")))
    return head
