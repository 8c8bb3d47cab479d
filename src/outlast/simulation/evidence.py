"""What a finished simulation left behind, as the rules see it: bytes, books and times; nothing of the product."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterable
from typing import Any

import msgspec

from outlast.simulation.client import Asked
from outlast.simulation.ledger import Ledger

Raw = tuple[int, int, bytes, bytes]
"""A stored record: number of its first event, how many events, body, hash."""

ENDS = {"run.completed", "run.failed", "run.cancelled", "run.continued"}


class Facts(msgspec.Struct):
    """Everything that the rules are told. Times are virtual seconds."""

    streams: dict[str, list[Raw]]
    acknowledged: list[tuple[str, int, bytes]]
    """(stream, number of the last event, hash) of every append that a writer said was applied."""
    asked: list[Asked]
    ledger: Ledger
    errors: list[str] = []
    durable_at: dict[tuple[str, int], float] = {}
    """When the record that begins with this event became durable."""
    entries: dict[str, tuple[str, int]] = {}
    """The index at the end: each run's state, and the number of its last letter."""
    snapshots: dict[str, tuple[int, bytes, bytes]] = {}
    """Each stream's last snapshot: the number it stands for, the hash there, its body."""
    blobs: dict[str, bytes] = {}
    blob_at: dict[str, float] = {}
    """When each blob was durable as a whole."""
    anchors: dict[str, tuple[int, bytes]] = {}
    """The head of each stream that was noted outside the journal: number and hash."""
    audits: list[str] = []
    """What the product's own audit said that it should not have said, and what it did not say."""
    forgot: bool = False
    """Whether hints were dropped or came late."""
    stops: list[tuple[str, float, float]] = []
    """(agent, from, to) while the kill switch was acknowledged to be thrown."""
    healed_at: float = 0.0
    over_at: float = 0.0
    """When the simulation ended."""
    skewed: bool = False
    """Whether wall clocks were wrong."""
    calm: bool = False
    """Whether there were no faults at all."""
    finished: bool = True
    """Whether the liveness phase came to its end."""


class Event:
    """One event as the bytes tell it. `durable_at` in virtual seconds, `at` by the wall clock of its writer."""

    __slots__ = ("append_id", "at", "data", "durable_at", "seq", "type")

    def __init__(self, seq: int, at: float, append_id: str, data: dict[str, Any], durable_at: float) -> None:
        self.seq = seq
        self.at = at
        self.append_id = append_id
        self.type: str = data["type"]
        self.data = data
        self.durable_at = durable_at

    @property
    def place(self) -> str:
        return self.data.get("place", "")


class Evidence:
    """The facts, parsed."""

    def __init__(self, facts: Facts) -> None:
        self.facts = facts
        self.asked = facts.asked
        self.ledger = facts.ledger
        self.misplaced: list[str] = []
        """Records that do not say of themselves where they stand."""
        self.events = {stream: list(self._parse(stream, records)) for stream, records in facts.streams.items()}
        self.runs = {_id(stream): events for stream, events in self.events.items() if stream.startswith("run/")}
        self.inboxes = {_id(stream): events for stream, events in self.events.items() if stream.startswith("inbox/")}
        self.sessions = {
            _id(stream): events for stream, events in self.events.items() if stream.startswith("session/")
        }
        self.agents = {_id(stream): events for stream, events in self.events.items() if stream.startswith("agent/")}

    def chain(self, run: str) -> list[str]:
        """A run and those that continue it, in order."""
        found: list[str] = []
        while run and run not in found:
            found.append(run)
            events = self.runs.get(run, [])
            run = events[-1].data["run"] if events and events[-1].type == "run.continued" else ""
        return found

    def end(self, run: str) -> str:
        """The type of the last event of a run, or of the one that continues it; empty if there is none."""
        chain = self.chain(run)
        events = self.runs.get(chain[-1], []) if chain else []
        return events[-1].type if events else ""

    def ended_at(self, run: str) -> float | None:
        """When a run's end became durable."""
        return next((event.durable_at for event in self.runs.get(run, []) if event.type in ENDS), None)

    def value(self, payload: dict[str, Any] | None) -> Any:
        """What a payload holds."""
        if payload is None:
            return None
        if "blob" in payload:
            return json.loads(self.facts.blobs.get(payload["blob"]["sha256"], b"null"))
        return payload["json"]

    def input(self, run: str) -> Any:
        """The arguments that a run was created with."""
        events = self.runs.get(run, [])
        return self.value(events[0].data["input"]) if events else None

    def _parse(self, stream: str, records: list[Raw]) -> Iterable[Event]:
        for seq, count, body, _ in records:
            envelope = json.loads(body)
            said = (envelope["stream"], envelope["seq"], len(envelope["events"]))
            if said != (stream, seq, count):
                self.misplaced.append(f"{stream} {seq} with {count} events says that it is {said}")
            durable_at = self.facts.durable_at.get((stream, seq), 0.0)
            for index, data in enumerate(envelope["events"]):
                yield Event(seq + index, envelope["at"], envelope["append_id"], data, durable_at)


def genesis(stream: str) -> bytes:
    """The hash before a stream's first record."""
    return hashlib.sha256(b"outlast:1:" + stream.encode()).digest()


def _id(stream: str) -> str:
    return stream.split("/", 1)[1].split("@", 1)[0]
