"""What AWS does when it does not do what was asked: nothing is lost, nothing is doubled, and the storm stays small."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from outlast.adapters.aws.engine import AwsEngine
from outlast.adapters.aws.permission import OPERATIONS
from outlast.cell.presence import HostBeat
from outlast.journal.blob import BlobRef
from outlast.journal.chain import genesis
from outlast.journal.index import HintPatch, RunEntry
from outlast.journal.snapshot import Snapshot
from outlast.journal.stream import Applied, Conflicted, Unknown
from outlast.kernel.error import StoreUnavailable
from tests.adapters.aws.opening import engine, options
from tests.contracts.note import applied, fill, key, names, note, settle
from tests.servers.microburst import Faults

STREAMS, RECORDS = 3, 4

FAULTS: dict[str, dict[str, Any]] = {
    "throttled": {"error": {"code": "ThrottlingException"}},
    "a failure inside": {"error": {"code": "InternalServerError", "status": 500}},
    "unavailable": {"error": {"code": "ServiceUnavailable", "status": 503}},
    "no answer in time": {"timeout_ms": 4000},
    "connection reset": {"reset": True},
    "answer lost": {"response": {"abort_frac": 0.0}},
}


async def until_done(ask: Callable[[], Any]) -> Any:
    """What a caller does who may try again."""
    for _ in range(200):
        try:
            return await ask()
        except StoreUnavailable:
            continue
    raise AssertionError("still unavailable after 200 tries")


async def one_run(opened: AwsEngine, name: str) -> None:
    """A run that begins, grows and ends, with its inbox, its blob and its snapshot."""
    journal = opened.journal
    stream, inbox = key(journal, name), key(journal, name, "inbox")
    head = genesis(stream)
    for index in range(RECORDS):
        state = "running" if index < RECORDS - 1 else "completed"
        hint = HintPatch(name, agent="desk", state=state, owner="w", created_at=1.0, updated_at=float(index))
        head = applied(await settle(journal, note(stream, head, f"{name}.{index}", hint=hint)))
    letter = note(inbox, genesis(inbox), f"{name}.mail", hint=HintPatch(name, mail=1, updated_at=99.0))
    applied(await settle(journal, letter))
    for _ in range(2):  # the second put looks at what is there
        await until_done(lambda: opened.blobs.put(name.encode() * 1000))
    for seq in (1, 2, 3):
        await until_done(lambda seq=seq: journal.save(Snapshot(stream, seq, head.hash, 1, name.encode())))
    await until_done(lambda: opened.presence.beat(HostBeat(name, 1)))


@pytest.mark.timeout(300)
@pytest.mark.parametrize("fault", FAULTS)
async def test_whatever_becomes_of_calls_nothing_is_lost_and_nothing_doubled(
    faults: Faults, short_dir: Path, until: Callable[..., Any], fault: str
) -> None:
    async with engine(options(short_dir.name, faults.address, read_timeout_s=30)) as warm:
        await warm.blobs.put(b"warm")
    async with engine(options(short_dir.name, faults.address, read_timeout_s=1), protection=None) as opened:
        journal, usage = opened.journal, opened.usage
        before, began = usage.calls.total(), time.monotonic()
        operations = [name.partition(":")[2] for name in OPERATIONS["worker"]]
        faults.set(
            *({"operation": operation, "sequence": {"fail": 1, "pass": 6}, **FAULTS[fault]} for operation in operations)
        )
        runs = [f"r{number}" for number in range(STREAMS)]
        await asyncio.gather(*(one_run(opened, run) for run in runs))
        for run in runs:
            stream = key(journal, run)
            assert await until_done(lambda stream=stream: names(journal, stream)) == [
                f"{run}.{index}" for index in range(RECORDS)
            ]
            inbox = key(journal, run, "inbox")
            assert await until_done(lambda inbox=inbox: names(journal, inbox)) == [f"{run}.mail"]
            content = run.encode() * 1000
            assert await until_done(lambda content=content: opened.blobs.get(BlobRef.of(content))) == content
            snapshot = await until_done(lambda stream=stream: journal.load(stream))
            assert (snapshot.seq, snapshot.body) == (3, run.encode())
        assert [beat.host for beat in await until_done(opened.presence.all)] == runs
        await until_done(lambda: opened.presence.leave("r0"))
        assert len(await until_done(opened.presence.all)) == STREAMS - 1
        await until(lambda: journal.hints_waiting == 0, 30, "the index is told")
        for run in runs:
            found = await until_done(lambda run=run: journal.entry(run))
            assert found == RunEntry(run, "desk", state="completed", owner="w", mail=1, created_at=1.0, updated_at=99.0)
        assert [entry.run for entry in await until_done(journal.list)] == runs[::-1]
        bitten = {event["operation"] for event in faults.fired()}
        assert bitten >= set(operations) - {"CopyObject"}, "a fault that never bit proves nothing"
        first = usage.calls.total() - before - usage.repeated.total()
        windows = 1 + (time.monotonic() - began) // 10
        assert usage.repeated.total() <= 2 * windows * (20 + 2 * 10) + 0.1 * first, "repetitions are on a budget"
        assert usage.hints_lost == 0


async def test_an_append_is_sent_once_however_it_fails(faults: Faults, short_dir: Path) -> None:
    async with engine(options(short_dir.name, faults.address, read_timeout_s=30)) as opened:
        journal = opened.journal
        stream = key(journal, "r")
        head = await fill(journal, stream, 1)
        faults.set({"operation": "PutItem", "error": {"code": "ProvisionedThroughputExceededException"}})
        before = opened.usage.calls["dynamodb:PutItem"]
        for attempt in range(1, 4):
            assert isinstance(await journal.append(note(stream, head, "b")), Unknown)
            assert opened.usage.calls["dynamodb:PutItem"] == before + attempt
        faults.set()
        assert isinstance(await journal.append(note(stream, head, "b")), Applied)


@pytest.mark.parametrize(
    "code", ["ReplicatedWriteConflictException", "TransactionConflictException", "RequestLimitExceeded"]
)
async def test_a_conflict_inside_of_aws_is_no_conflict_of_writers(faults: Faults, short_dir: Path, code: str) -> None:
    async with engine(options(short_dir.name, faults.address, read_timeout_s=30)) as opened:
        journal = opened.journal
        stream = key(journal, "r")
        head = await fill(journal, stream, 1)
        faults.set({"operation": "PutItem", "error": {"code": code, "status": 400}, "times": 1})
        append = note(stream, head, "b")
        assert isinstance(await journal.append(append), Unknown)
        assert isinstance(await journal.append(append), Applied)
        assert await names(journal, stream) == ["a1", "b"]


async def test_after_a_lost_answer_the_same_bytes_are_found_and_the_index_is_told(
    faults: Faults, short_dir: Path
) -> None:
    async with engine(options(short_dir.name, faults.address, read_timeout_s=30)) as opened:
        journal = opened.journal
        stream = key(journal, "r")
        head = await fill(journal, stream, 1)
        faults.set({"operation": "PutItem", "response": {"abort_frac": 0.0}, "times": 1})
        append = note(stream, head, "b", hint=HintPatch("r", state="held"))
        assert isinstance(await journal.append(append), Unknown)
        assert await names(journal, stream) == ["a1", "b"], "it was written"
        rival = note(stream, head, "rival")
        assert isinstance(await journal.append(rival), Conflicted)
        assert isinstance(await journal.append(append), Applied)
        entry = await journal.entry("r")
        assert entry is not None
        assert entry.state == "held"
        assert await names(journal, stream) == ["a1", "b"]


async def test_a_hint_that_cannot_be_written_fails_no_append_and_is_written_later(
    faults: Faults, short_dir: Path, until: Callable[..., Any]
) -> None:
    async with engine(options(short_dir.name, faults.address, read_timeout_s=30)) as opened:
        journal = opened.journal
        stream = key(journal, "r")
        faults.set({"operation": "PutItem", "body": "Item.sk.S == 'hint'", "error": {"code": "ThrottlingException"}})
        head = genesis(stream)
        for index, state in enumerate(("ready", "running", "parked")):
            hint = HintPatch("r", agent="desk", state=state, wake_at=50.0, updated_at=float(index))
            head = applied(await journal.append(note(stream, head, f"a{index}", hint=hint)))
        assert await journal.entry("r") is None
        assert journal.hints_waiting == 1
        faults.set()
        await until(lambda: journal.hints_waiting == 0, 20, "the hint is written")
        assert await journal.entry("r") == RunEntry("r", "desk", state="parked", wake_at=50.0, updated_at=2.0)


async def test_hints_that_are_given_up_are_counted(faults: Faults, short_dir: Path, until: Callable[..., Any]) -> None:
    from outlast.adapters.aws.dynamodb.hint import HintBounds

    bounds = HintBounds(tries_max=2, first_s=0.01)
    async with engine(options(short_dir.name, faults.address, read_timeout_s=30), hints=bounds) as opened:
        journal = opened.journal
        faults.set({"operation": "PutItem", "body": "Item.sk.S == 'hint'", "error": {"code": "ThrottlingException"}})
        stream = key(journal, "r")
        applied(await journal.append(note(stream, genesis(stream), "a", hint=HintPatch("r"))))
        await until(lambda: journal.hints_waiting == 0, 20, "the hint is given up")
        assert opened.usage.hints_lost == 1


@pytest.mark.parametrize(
    ("code", "advice"),
    [
        ("AccessDeniedException", "permissions"),
        ("UnrecognizedClientException", "credentials"),
        ("ResourceNotFoundException", "prepare"),
        ("ValidationException", "400 ValidationException"),
    ],
)
async def test_what_can_never_work_is_said_with_what_to_do(
    faults: Faults, short_dir: Path, code: str, advice: str
) -> None:
    async with engine(options(short_dir.name, faults.address, read_timeout_s=30)) as opened:
        journal = opened.journal
        stream = key(journal, "r")
        head = await fill(journal, stream, 1)
        faults.set({"service": "dynamodb", "error": {"code": code, "status": 400}})
        before = opened.usage.calls.total()
        for ask in (
            lambda: journal.append(note(stream, head, "b")),
            lambda: journal.read(stream),
            lambda: journal.entry("r"),
        ):
            with pytest.raises(StoreUnavailable, match=advice):
                await ask()
        assert opened.usage.calls.total() == before + 3, "nothing of it is tried again"
        faults.set()
        assert await names(journal, stream) == ["a1"]
