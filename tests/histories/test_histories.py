"""Every history that was ever recorded is read, told and followed by today's code."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from outlast.adapters.host.clock import SystemClock
from outlast.adapters.host.randomness import OsRandomness
from outlast.adapters.memory.blob import MemoryBlobs
from outlast.adapters.memory.store import MemoryStore
from outlast.agent import event as ev
from outlast.agent.control import Control
from outlast.agent.platform import Platform, Settings
from outlast.agent.rehearsal import rehearse
from outlast.cell.claim import read_history
from outlast.journal.blob import BlobRef
from outlast.journal.chain import verify
from outlast.journal.stream import StoredRecord
from tests.agent.desk import Dead
from tests.histories.features import Outside, Words, made
from tests.histories.record import FEATURES

HERE = Path(__file__).parent
FILES = sorted(HERE.glob("*.json"))
READERS = {"run": ev.RUN, "inbox": ev.INBOX, "session": ev.SESSION, "agent": ev.AGENT}
NOT_FOLLOWED = {"late"}
"""Their code asks for more where the history ends: time ended them."""


class Kept:
    """A recorded feature, in a store."""

    def __init__(self, path: Path) -> None:
        self.data: dict[str, Any] = json.loads(path.read_text())
        self.store, self.blobs = MemoryStore(), MemoryBlobs()
        for stream, records in self.data["streams"].items():
            self.store._streams[stream] = [
                StoredRecord(r["seq"], r["count"], r["body"].encode(), bytes.fromhex(r["hash"])) for r in records
            ]
        for sha256, content in self.data["blobs"].items():
            self.blobs._blobs[BlobRef(sha256, len(content.encode()))] = content.encode()
        settings = Settings(park_after_s=0.05, wait_poll_s=0.05)
        self.platform = Platform(
            SystemClock(), OsRandomness(), self.store, self.store, self.store, self.blobs, Dead(),
            {"words": Words()}, settings=settings,
        )  # fmt: skip


@pytest.fixture(params=FILES, ids=lambda path: path.stem)
def kept(request: pytest.FixtureRequest) -> Kept:
    return Kept(request.param)


async def test_its_chains_are_whole_and_its_records_can_be_read(kept: Kept) -> None:
    for stream, records in kept.store._streams.items():
        verify(stream, records)
        reader = READERS[stream.split("/")[0]]
        assert sum(len(reader.read(stream, record).events) for record in records) == records[-1].seq + (
            records[-1].count - 1
        )


async def test_its_runs_can_be_told(kept: Kept) -> None:
    control = Control(kept.platform)
    for run in kept.data["runs"]:
        view = await control.view(run)
        assert view.agent
        events = await control.events(run, limit=10_000)
        assert events[-1].seq == view.seq
        assert all(isinstance(json.dumps(event.data), str) for event in events)


async def test_its_runs_are_followed_by_the_code_that_made_them_without_a_difference(kept: Kept) -> None:
    app = made(Outside([]))
    for run in kept.data["runs"]:
        history, _ = await read_history(kept.platform, run)
        assert history.created is not None
        if kept.data["feature"] in NOT_FOLLOWED:
            continue
        found = await rehearse(app, kept.platform, run)
        assert (found.verdict, found.reason) == ("same", ""), (history.created.agent, run)


def test_every_feature_has_its_history() -> None:
    assert {path.stem for path in FILES} == set(FEATURES)


def test_every_type_of_event_is_in_some_history() -> None:
    found = {
        (stream.split("/")[0], event["type"])
        for path in FILES
        for stream, records in json.loads(path.read_text())["streams"].items()
        for record in records
        for event in json.loads(record["body"])["events"]
    }
    unions = {"run": ev.RunEvent, "inbox": ev.Mail, "session": ev.SessionEvent, "agent": ev.AgentEvent}
    wanted = {(kind, member.__struct_config__.tag) for kind, union in unions.items() for member in union.__args__}
    assert wanted - found == set()
