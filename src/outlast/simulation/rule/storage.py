"""Rules about what is stored."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterator
from typing import Any, cast

from outlast.simulation.evidence import ENDS, Event, Evidence, genesis

_STATES = {"run.completed": "completed", "run.failed": "failed", "run.cancelled": "cancelled",
           "run.continued": "continued"}  # fmt: skip
_BY_CLAIMANTS = {"run.created", "run.trial", "run.quarantined", "run.held"}


def chain(evidence: Evidence) -> Iterator[str]:
    """Every stream's records follow each other without a gap, and their hashes fit."""
    for stream, records in evidence.facts.streams.items():
        before = genesis(stream)
        number = 1
        for seq, count, body, digest in records:
            if seq != number:
                yield f"{stream}: event {number} expected, {seq} found"
            if hashlib.sha256(before + body).digest() != digest:
                yield f"{stream}: the hash at {seq} does not fit"
            before, number = digest, seq + count


def record(evidence: Evidence) -> Iterator[str]:
    """Every record says of itself in which stream it stands, where, and how many events it holds."""
    yield from evidence.misplaced


def anchors(evidence: Evidence) -> Iterator[str]:
    """Every head that was noted outside the journal is still part of its stream's history."""
    for stream, (seq, digest) in evidence.facts.anchors.items():
        ends = {number + count - 1: known for number, count, _, known in evidence.facts.streams.get(stream, [])}
        if seq not in ends:
            yield f"{stream} was anchored at {seq}, it ends at {max(ends, default=0)}"
        elif ends[seq] != digest:
            yield f"{stream} is another history at {seq} than the one that was anchored"


def audit(evidence: Evidence) -> Iterator[str]:
    """The product's own audit says what is damaged, and nothing else."""
    yield from evidence.facts.audits


def blob(evidence: Evidence) -> Iterator[str]:
    """A blob that an event names was durable before the event, and is there whole in the end."""
    for stream, events in evidence.events.items():
        for event in events:
            for value in event.data.values():
                if not isinstance(value, dict) or "blob" not in value:
                    continue
                name = cast("dict[str, Any]", value)["blob"]["sha256"]
                there = evidence.facts.blob_at.get(name)
                if there is None or there > event.durable_at:
                    yield f"{stream} {event.seq} names {name[:16]} at {event.durable_at:.6f}, it was there at {there}"
                if hashlib.sha256(evidence.facts.blobs.get(name, b"")).hexdigest() != name:
                    yield f"{stream} {event.seq} names {name[:16]}, which is not whole"


def acknowledged(evidence: Evidence) -> Iterator[str]:
    """Every append that was acknowledged is on the disk, unchanged."""
    there = {
        (stream, seq + count - 1): digest
        for stream, records in evidence.facts.streams.items()
        for seq, count, _, digest in records
    }
    for stream, seq, digest in evidence.facts.acknowledged:
        if there.get((stream, seq)) != digest:
            yield f"{stream} {seq} was acknowledged and is not there"


def visible(evidence: Evidence) -> Iterator[str]:
    """A read after an acknowledgement sees the write."""
    for asked in evidence.asked:
        for what in asked.seen_missing:
            yield f"{asked.name}: {what} was not seen after its acknowledgement"


def owner(evidence: Evidence) -> Iterator[str]:
    """Between two claims, only the claimant appends."""
    for run, events in evidence.runs.items():
        token = ""
        for event in events:
            if event.type == "run.claimed":
                token = event.append_id
            elif token and not event.append_id.startswith(token) and event.type not in _BY_CLAIMANTS:
                yield f"{run} {event.seq} {event.type} by {event.append_id}, {token} owns it"


def outcome(evidence: Evidence) -> Iterator[str]:
    """A step has one outcome, an attempt one intent."""
    decisive = {"step.done", "step.failed", "timer.fired", "signal.consumed", "signal.timed_out"}
    for run, events in evidence.runs.items():
        places = [event.place for event in events if event.type in decisive]
        for place in sorted({place for place in places if places.count(place) > 1}):
            yield f"{run} step {place} has {places.count(place)}"
        open_intents: set[str] = set()
        for event in events:
            if event.type == "step.intended":
                if event.place in open_intents:
                    yield f"{run} step {event.place} is intended again before the last attempt was settled"
                open_intents.add(event.place)
            elif event.type in ("step.done", "step.failed", "step.retried", "step.cleared"):
                open_intents.discard(event.place)


def index(evidence: Evidence) -> Iterator[str]:
    """The index knows every run, and says of it in the end what its stream says."""
    for run in evidence.runs.keys() - evidence.facts.entries.keys():
        yield f"{run} is not in the index"
    if not evidence.facts.finished:
        return
    for run, events in evidence.runs.items():
        state, mail = evidence.facts.entries.get(run, ("missing", 0))
        wanted = _state(events)
        if wanted and state != wanted:
            yield f"{run} is {wanted}, the index says {state}"
        letters = evidence.inboxes.get(run, [])
        if letters and mail != letters[-1].seq and events[-1].type not in ENDS:
            yield f"{run} has {letters[-1].seq} letters, the index says {mail}"


def _state(events: list[Event]) -> str:
    """What the index must say; "" where several things may be right."""
    last = events[-1]
    if last.type in ENDS:
        return _STATES[last.type]
    if last.type == "run.quarantined":
        return "quarantined"
    if last.type == "run.parked" and last.data["reason"].startswith("still "):
        return last.data["reason"].removeprefix("still ")
    return "held" if last.type == "run.held" and not last.place else ""


def snapshot(evidence: Evidence) -> Iterator[str]:
    """A session's snapshot says what its turns say up to there."""
    for stream, (seq, digest, body) in evidence.facts.snapshots.items():
        ends = {number + count - 1: known for number, count, _, known in evidence.facts.streams.get(stream, [])}
        events = evidence.events[stream]
        skipped = {event.data["run"] for event in events if event.type == "turn.skipped"}
        if ends.get(seq) != digest or events[seq - 1].data.get("run") in skipped:
            continue  # nobody will use it
        state, turns = _fold(evidence, events, seq)
        said: dict[str, Any] = json.loads(body)
        if (said.get("state", {}), said.get("turns", 0)) != (state, turns):
            found = (said.get("state", {}), said.get("turns", 0))
            yield f"{stream}: the snapshot at {seq} holds {found}, the turns made {(state, turns)}"


def _fold(evidence: Evidence, events: list[Event], upto: int) -> tuple[dict[str, Any], int]:
    skipped = {event.data["run"] for event in events if event.type == "turn.skipped"}
    state: dict[str, Any] = {}
    turns = 0
    for event in events:
        if event.type != "turn.queued" or event.seq > upto or event.data["run"] in skipped:
            continue
        turns += 1
        last = evidence.runs[evidence.chain(event.data["run"])[-1]][-1]
        change = evidence.value(last.data.get("session")) if last.type == "run.completed" else None
        if change:
            state |= change.get("state", {})
            for key in change.get("removed", []):
                state.pop(key, None)
    return state, turns
