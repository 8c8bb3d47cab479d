"""What is sealed opens only with its key, in its place, unaltered; and costs no effect and no byte of a retry."""

from __future__ import annotations

import asyncio
import base64
import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import msgspec
import pytest

from outlast.adapters.faulty.plan import FaultPlan
from outlast.adapters.faulty.store import FaultyStore
from outlast.adapters.host.clock import SystemClock
from outlast.adapters.memory.blob import MemoryBlobs
from outlast.adapters.memory.store import MemoryStore
from outlast.agent import event as ev
from outlast.journal.audit import audit
from outlast.journal.blob import BlobRef, Payload, inline_bytes_max, store_payload
from outlast.journal.chain import genesis, link, verify
from outlast.journal.index import HintPatch, RunEntry, hint_bytes_max
from outlast.journal.record import append_id_of, make_append
from outlast.journal.sealed import QuickSealedStore, SealedBlobs, SealedStore, sealed
from outlast.journal.snapshot import Snapshot
from outlast.journal.stream import (
    SEALED,
    Append,
    Head,
    Notice,
    Outcome,
    StoredRecord,
    Unknown,
    append_bytes_max,
    check_append,
    quick,
    sealed_bytes_max,
)
from outlast.journal.writer import Fenced, StreamWriter, settle_append
from outlast.kernel.error import StoreCorrupt, StoreSealed, UsageError
from outlast.kernel.point import NoPoints
from tests.contracts.note import Noted, applied, fill, note
from tests.journal.ring import Ring, key_named

STREAM = "run/r@0.local.memory"
OLD, NEW = key_named("old"), key_named("new")


def behind(records: Sequence[StoredRecord], stream: str = STREAM) -> MemoryStore:
    """A store that holds these bytes under a chain that fits them: what somebody may forge who can write the file."""
    store = MemoryStore()
    head = genesis(stream)
    for record in records:
        head = Head(head.seq + record.count, link(head.hash, record.body))
        store.put(Append(stream, Head(record.seq - 1, bytes(32)), "forged", record.count, record.body), head)
    return store


async def stored(store: MemoryStore, stream: str = STREAM) -> Sequence[StoredRecord]:
    return await store.read(stream)


async def test_the_envelope_stays_readable_and_the_events_do_not() -> None:
    store = MemoryStore()
    await fill(SealedStore(store, Ring(OLD)), STREAM, 1)
    (record,) = await stored(store)
    found = json.loads(record.body)
    assert record.body.startswith(SEALED)
    assert (found["stream"], found["seq"], found["append_id"], found["at"]) == (STREAM, 1, "a1", 1000.0)
    assert found.keys() == {"format", "stream", "seq", "append_id", "at", "sealed"}
    assert found["sealed"]["key"] == OLD.id
    assert append_id_of(record) == "a1"
    assert verify(STREAM, [record]) == await store.head(STREAM)


async def test_without_a_key_a_sealed_record_names_the_key_that_is_missing() -> None:
    store = MemoryStore()
    created = ev.RunCreated("desk", Payload(msgspec.Raw(b"{}")), "d", "main", 0.0)
    await SealedStore(store, Ring(OLD)).append(make_append(STREAM, genesis(STREAM), "a", 1.0, [created]))
    (record,) = await stored(store)
    with pytest.raises(StoreSealed, match=rf"record 1 is sealed with key {OLD.id}.*stores.journal.encrypt"):
        ev.RUN.read(STREAM, record)
    assert StoreSealed.code == "store_sealed"


async def test_a_lost_and_a_wrong_key_are_errors_that_name_it_and_not_corruption() -> None:
    store = MemoryStore()
    await fill(SealedStore(store, Ring(OLD)), STREAM, 1)
    for other in (NEW, key_named("old", "but not the same")):
        with pytest.raises(StoreSealed, match=OLD.id):
            await SealedStore(store, Ring(other)).read(STREAM)


async def test_records_from_before_the_key_and_of_any_key_are_read_together() -> None:
    store = MemoryStore()
    await fill(store, STREAM, 2)
    await fill(SealedStore(store, Ring(OLD)), STREAM, 2)
    both = SealedStore(store, Ring(NEW, OLD))
    await fill(both, STREAM, 2)
    records = await both.read(STREAM)
    assert verify(STREAM, records) == await store.head(STREAM)
    assert [json.loads(record.body)["events"][0]["text"] for record in records] == [f"x{n}" for n in (0, 1, 0, 1, 0, 1)]
    assert [OLD.id.encode() in record.stored for record in records] == [False, False, True, True, False, False]


@pytest.mark.parametrize("change", ["text", "append_id", "at", "seq", "stream"])
async def test_an_altered_record_is_found_even_if_the_chain_was_made_to_fit(change: str) -> None:
    store = MemoryStore()
    await fill(SealedStore(store, Ring(OLD)), STREAM, 1)
    (record,) = await stored(store)
    found = json.loads(record.body)
    if change == "text":
        text = bytearray(base64.b64decode(found["sealed"]["text"]))
        text[-1] ^= 1
        found["sealed"]["text"] = base64.b64encode(text).decode()
    else:
        found[change] = {"append_id": "other", "at": 999.0, "seq": 1, "stream": STREAM}[change]
    stream = STREAM.replace("/r@", "/other@") if change == "stream" else STREAM
    if change == "stream":
        found["stream"] = stream
    place = 2 if change == "seq" else 1
    if change == "seq":
        found["seq"] = 2
    body = json.dumps(found, separators=(",", ":")).encode()
    forged = behind([StoredRecord(place, 1, body, b"")], stream)
    with pytest.raises(StoreCorrupt, match=f"sealed with key {OLD.id} is not what was written"):
        await SealedStore(forged, Ring(OLD)).read(stream)


async def test_exchanged_records_of_two_streams_do_not_open() -> None:
    store, other = MemoryStore(), STREAM.replace("/r@", "/other@")
    for stream in (STREAM, other):
        await fill(SealedStore(store, Ring(OLD)), stream, 1)
    for here, there in ((STREAM, other), (other, STREAM)):
        forged = behind(await stored(store, there), here)
        with pytest.raises(StoreCorrupt, match="stands in another place"):
            await SealedStore(forged, Ring(OLD)).read(here)


async def test_a_snapshot_opens_in_its_place_only_and_one_that_does_not_is_none() -> None:
    store = MemoryStore()
    ours = SealedStore(store, Ring(OLD))
    snapshot = Snapshot("session/s@0.local.memory", 3, b"h" * 32, 1, b'{"n":"payload"}')
    await ours.save(snapshot)
    kept = store.snapshots()[snapshot.stream]
    assert b"payload" not in kept.body
    assert await ours.load(snapshot.stream) == snapshot
    assert await SealedStore(store, Ring(NEW)).load(snapshot.stream) is None
    for moved in (
        msgspec.structs.replace(kept, seq=4),
        msgspec.structs.replace(kept, hash=b"i" * 32),
        msgspec.structs.replace(kept, body=kept.body[:-1] + bytes([kept.body[-1] ^ 1])),
    ):
        elsewhere = MemoryStore()
        await elsewhere.save(moved)
        assert await SealedStore(elsewhere, Ring(OLD)).load(snapshot.stream) is None


async def test_blobs_are_named_by_what_is_stored_and_old_ones_stay_readable() -> None:
    inner = MemoryBlobs()
    plain = await inner.put(b"from before")
    blobs = SealedBlobs(inner, Ring(OLD))
    ref = await blobs.put(b"payload")
    assert ref == await blobs.put(b"payload"), "the same content with the same key is stored once"
    assert ref != BlobRef.of(b"payload")
    assert b"payload" not in inner.contents()[ref]
    assert await blobs.get(ref) == b"payload"
    assert await blobs.get(plain) == b"from before"
    after = SealedBlobs(inner, Ring(NEW, OLD))
    assert await after.get(ref) == b"payload"
    assert await after.put(b"payload") != ref
    with pytest.raises(StoreSealed, match="old"):
        await SealedBlobs(inner, Ring(NEW)).get(ref)
    bad = inner.contents()[ref][:-1] + b"?"
    forged = await inner.put(bad)
    with pytest.raises(StoreCorrupt):
        await blobs.get(forged)
    with pytest.raises(StoreCorrupt, match="do not name their key"):
        await blobs.get(await inner.put(b"outlast:sealed:1:no end of line"))


# -- retries and rotation ---------------------------------------------------------------------------------------------


class Away(MemoryStore):
    """Says *unknown* so many times; `sent` is all that came, `kept`: it was written all the same."""

    def __init__(self, times: int, *, kept: bool) -> None:
        super().__init__()
        self.times = times
        self.kept = kept
        self.sent: list[Append] = []

    async def append(self, append: Append) -> Outcome:
        self.sent.append(append)
        if self.times > 0:
            self.times -= 1
            if self.kept:
                await super().append(append)
            return Unknown("away")
        return await super().append(append)


@pytest.mark.parametrize("kept", [False, True])
async def test_a_rotation_between_two_tries_changes_no_byte(kept: bool) -> None:
    inner, ring = Away(3, kept=kept), Ring(OLD)
    store = SealedStore(inner, ring)
    append = note(STREAM, genesis(STREAM), "mine", "payload")
    assert isinstance(await store.append(append), Unknown)
    ring.keys.insert(0, NEW)
    head = await settle_append(store, append, SystemClock(), 10.0)
    assert len({sent.body for sent in inner.sent}) == 1
    assert len(inner.sent) >= 3
    assert head == await inner.head(STREAM)
    await store.append(note(STREAM, head, "next"))
    assert [json.loads(record.body)["sealed"]["key"] for record in await stored(inner)] == [OLD.id, NEW.id]
    assert not store._tried


async def test_a_writer_goes_on_through_rotations_and_faults() -> None:
    inner, ring = MemoryStore(), Ring(OLD)
    faulty: Any = FaultyStore(inner, FaultPlan(lost_request=0.1, lost_answer=0.1, late=0.1))
    store, _ = sealed(faulty, MemoryBlobs(), ring)
    writer = StreamWriter(store, STREAM, genesis(STREAM), "w", SystemClock(), NoPoints(), 10.0, lambda: None)
    for index in range(30):
        if index % 10 == 5:
            ring.keys.insert(0, key_named(f"k{index}"))
        await writer.append(Noted(f"n{index}"))
    assert faulty.faults.counts
    records = await SealedStore(inner, ring).read(STREAM)
    assert verify(STREAM, records) == await inner.head(STREAM)
    assert [event["text"] for r in records for event in json.loads(r.body)["events"]] == [f"n{n}" for n in range(30)]
    assert len({json.loads(record.stored)["sealed"]["key"] for record in records}) == 4
    assert not store._tried


async def test_who_is_beaten_by_a_record_it_cannot_open_is_fenced() -> None:
    inner = MemoryStore()
    await fill(SealedStore(inner, Ring(NEW)), STREAM, 1)
    late = note(STREAM, genesis(STREAM), "late")
    with pytest.raises(Fenced):
        await settle_append(SealedStore(inner, Ring(OLD)), late, SystemClock(), 5.0)


async def test_what_is_remembered_of_tries_is_bounded(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("outlast.journal.sealed.tried_max", 10)
    store = SealedStore(Away(10_000, kept=False), Ring(OLD))
    for index in range(50):
        await store.append(note(STREAM, genesis(STREAM), f"n{index}"))
    assert len(store._tried) == 10


class Quick(MemoryStore):
    def submit(self, append: Append, reply: Any) -> None:
        task = asyncio.ensure_future(self.append(append))
        task.add_done_callback(lambda done: reply.set_result(done.result()))


async def test_appends_without_a_coroutine_are_sealed_and_offered_only_by_what_has_them() -> None:
    inner = Quick()
    store, _ = sealed(inner, MemoryBlobs(), Ring(OLD))
    assert isinstance(store, QuickSealedStore)
    assert quick(store) is store
    assert quick(sealed(MemoryStore(), MemoryBlobs(), Ring(OLD))[0]) is None
    writer = StreamWriter(store, STREAM, genesis(STREAM), "w", SystemClock(), NoPoints(), 10.0, lambda: None)
    for _ in range(5):
        await asyncio.gather(writer.append(Noted("payload")), writer.append(Noted("payload")))
    assert writer.head == await inner.head(STREAM)
    assert all(b"payload" not in record.body for record in await stored(inner))
    assert not store._tried


# -- bounds -----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("less", [0, 1, 2, 3])
async def test_a_body_of_exactly_the_bound_also_fits_sealed(less: int) -> None:
    inner = MemoryStore()
    store = SealedStore(inner, Ring(key_named("k" * 128)))
    empty = len(note(STREAM, genesis(STREAM), "big", "").body)
    append = note(STREAM, genesis(STREAM), "big", "x" * (append_bytes_max - empty - less))
    assert len(append.body) == append_bytes_max - less
    applied(await store.append(append))
    (record,) = await store.read(STREAM)
    assert record.body == append.body
    assert append_bytes_max < len(record.stored) <= sealed_bytes_max
    with pytest.raises(UsageError, match="append_bytes_max"):
        await store.append(note(STREAM, genesis(STREAM), "big", "x" * (append_bytes_max - empty + 1)))


async def test_no_store_takes_a_sealed_body_over_its_own_bound_or_a_plain_one_over_the_other() -> None:
    start = genesis(STREAM)
    check_append(Append(STREAM, start, "a", 1, SEALED + b"x" * (sealed_bytes_max - len(SEALED))))
    for body in (SEALED + b"x" * sealed_bytes_max, b"{" + b"x" * append_bytes_max):
        with pytest.raises(UsageError, match="append_bytes_max"):
            check_append(Append(STREAM, start, "a", 1, body))


@pytest.mark.parametrize(("more", "inline"), [(0, True), (1, False)])
async def test_a_payload_of_exactly_the_inline_bound_stays_inline(more: int, inline: bool) -> None:
    inner, inner_blobs = MemoryStore(), MemoryBlobs()
    store, blobs = sealed(inner, inner_blobs, Ring(OLD))
    raw = b'"' + b"x" * (inline_bytes_max - 2 + more) + b'"'
    payload = await store_payload(raw, blobs)
    assert (payload.blob is None) == inline
    created = ev.RunCreated("desk", payload, "d", "main", 0.0)
    applied(await store.append(make_append(STREAM, genesis(STREAM), "a", 1.0, [created])))
    (record,) = await store.read(STREAM)
    (event,) = ev.RUN.read(STREAM, record).events
    assert isinstance(event, ev.RunCreated)
    assert event.input == payload
    assert len(inner_blobs.contents()) == (not inline)


async def test_a_body_that_is_no_record_is_refused() -> None:
    store = SealedStore(MemoryStore(), Ring(OLD))
    for body in (b"{}", b'{"stream":"x"}', b"[1]", note(STREAM, genesis(STREAM), "a").body + b" "):
        with pytest.raises(UsageError, match="malformed"):
            await store.append(Append(STREAM, genesis(STREAM), "a", 1, body))


# -- the index --------------------------------------------------------------------------------------------------------


async def said(store: SealedStore, reason: str, run: str = "r") -> RunEntry:
    head = await store.head(STREAM)
    hint = HintPatch(run, state="held", reason=reason, updated_at=1.0)
    applied(await store.append(note(STREAM, head, f"a{head.seq}", hint=hint)))
    entry = await store.entry(run)
    assert entry is not None
    return entry


async def test_a_reason_is_sealed_and_read_and_never_stops_a_run_from_being_found() -> None:
    inner, ring = MemoryStore(), Ring(OLD)
    store = SealedStore(inner, ring)
    seen: list[Notice] = []
    store.listen(seen.extend)
    assert (await said(store, "payload: é")).reason == "payload: é"
    assert seen[0].hint is not None
    assert seen[0].hint.reason == "payload: é"
    assert "payload" not in inner.entries()[0].reason
    assert [entry.reason for entry in await store.list(state="held")] == ["payload: é"]
    lost = SealedStore(inner, Ring(NEW))
    (entry,) = await lost.list()
    assert entry.reason == f"(sealed with key {OLD.id}, which is not here)"
    assert await lost.due(0.0) == []
    assert (await said(store, "")).reason == ""
    assert inner.entries()[0].reason == ""


async def test_a_reason_of_another_run_says_that_it_is_damaged() -> None:
    inner = MemoryStore()
    store = SealedStore(inner, Ring(OLD))
    await said(store, "payload")
    inner.patch(HintPatch("other", reason=inner.entries()[0].reason))
    entry = await store.entry("other")
    assert entry is not None
    assert "damaged" in entry.reason


async def test_who_looks_for_work_waits_for_no_key() -> None:
    inner, ring = MemoryStore(), Ring(NEW)
    hint = HintPatch("r", state="ready", reason="payload")
    applied(await SealedStore(inner, Ring(OLD)).append(note(STREAM, genesis(STREAM), "a", hint=hint)))
    store = SealedStore(inner, ring)
    assert [entry.run for entry in await store.due(0.0)] == ["r"]
    assert ring.fetched == []
    await store.list()
    assert ring.fetched == [OLD.id]


@pytest.mark.parametrize("size", [1000, hint_bytes_max * 3 // 4, hint_bytes_max - 100])
async def test_a_long_reason_is_cut_and_its_append_is_written(size: int) -> None:
    store = SealedStore(MemoryStore(), Ring(key_named("k" * 128)))
    reason = (await said(store, "é" * (size // 2))).reason
    assert reason
    assert ("é" * (size // 2)).startswith(reason)
    assert len(reason.encode()) == size or len(reason.encode()) > hint_bytes_max // 2


async def test_a_hint_that_is_too_large_is_refused_as_without_a_key() -> None:
    with pytest.raises(UsageError, match="hint_bytes_max"):
        await said(SealedStore(MemoryStore(), Ring(OLD)), "x" * hint_bytes_max)


# -- the audit --------------------------------------------------------------------------------------------------------


async def test_the_chain_is_verified_without_a_key_and_the_blobs_with_one(short_dir: Path) -> None:
    inner, inner_blobs = MemoryStore(), MemoryBlobs()
    store, blobs = sealed(inner, inner_blobs, Ring(OLD))
    payload = await store_payload(b'"' + b"x" * 100_000 + b'"', blobs)
    created = ev.RunCreated("desk", payload, "d", "main", 0.0)
    hint = HintPatch("r", agent="desk")
    applied(await store.append(make_append(STREAM, genesis(STREAM), "a", 1.0, [created], hint)))
    reader: Any = inner
    reader.damaged_snapshots = _none
    without = await audit(reader, inner_blobs)
    assert without.whole
    assert not without.flaws
    assert (without.records, without.events, without.sealed, without.blobs) == (1, 1, 1, 0)
    with_key = await audit(reader, inner_blobs, sealer=Ring(OLD))
    assert with_key.whole
    assert (with_key.sealed, with_key.blobs) == (0, 1)
    assert payload.blob is not None
    inner_blobs.damage(payload.blob, b"?")
    assert [flaw.damage for flaw in (await audit(reader, inner_blobs, sealer=Ring(OLD))).flaws] == ["blob"]
    wrong = await audit(reader, inner_blobs, sealer=Ring(NEW))
    assert [flaw.damage for flaw in wrong.flaws] == ["unreadable"]
    forged: Any = behind([_altered((await stored(inner))[0])])
    forged.damaged_snapshots = _none
    assert [f.damage for f in (await audit(forged, inner_blobs)).flaws if f.grave] == [], "nobody sees it without a key"
    found = await audit(forged, inner_blobs, sealer=Ring(OLD))
    assert [flaw.damage for flaw in found.flaws if flaw.grave] == ["record"]


async def _none() -> Sequence[tuple[str, str]]:
    return []


def _altered(record: StoredRecord) -> StoredRecord:
    found = json.loads(record.body)
    text = bytearray(base64.b64decode(found["sealed"]["text"]))
    text[20] ^= 1
    found["sealed"]["text"] = base64.b64encode(text).decode()
    body = json.dumps(found, separators=(",", ":")).encode()
    return StoredRecord(record.seq, record.count, body, record.hash)
