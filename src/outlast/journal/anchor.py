"""Heads of streams kept outside the database, so that a truncated history shows.

Where one process writes the journal they are a table (`adapters/sqlite/anchor.py`). Where many do, each process writes
*segments* into a log that is only appended to: which heads it has acknowledged since its last one, and the hash of the
segment before. A log that breaks off in the middle of a segment is read up to there; what is changed, or taken out of
its middle, shows.
"""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Protocol

import msgspec

from outlast.journal.removal import Removal
from outlast.journal.stream import Head
from outlast.kernel.error import StoreCorrupt, StoreUnavailable

heads_max = 2_000
"""Bound of the heads in one segment: about 300 KB."""


Witness = Callable[[Sequence[tuple[str, Head]]], None]
"""Is told the heads that a store acknowledges, before anybody else; must be quick and must not fail."""


def unseen(heads: Sequence[tuple[str, Head]]) -> None:
    """Nobody looks."""


class AnchorStore(Protocol):
    """Remembers how far streams had come. Only ever moves forward."""

    async def note(self, heads: Iterable[tuple[str, Head]]) -> None:
        """Remember these heads; a lower number than the one known is ignored."""
        ...

    async def all(self) -> dict[str, Head]:
        """Every anchored head by stream."""
        ...


class Segment(msgspec.Struct, frozen=True, omit_defaults=True):
    """What one process had acknowledged since its last segment. `at`: seconds since 1970 at its writer."""

    at: float
    before: str
    """SHA-256 of the segment before, in hexadecimal; empty at the beginning of a log."""
    heads: list[tuple[str, int, str]]
    """Stream, number of its last event, chain hash there in hexadecimal."""
    writer: str = ""
    fold: bool = False
    """It stands for older segments, which are gone: nothing is before it."""
    ends: str = ""
    """The last segment of a fold: the hash of the last one that it stands for, which the next one names."""
    v: int = 1


_encoder = msgspec.json.Encoder()
_decoder = msgspec.json.Decoder(Segment)


def encode_segment(segment: Segment) -> bytes:
    """Its bytes, one line without an end."""
    return _encoder.encode(segment)


def segment_hash(written: bytes) -> str:
    """What the next segment calls this one."""
    return hashlib.sha256(written).hexdigest()


def segments_of(heads: Iterable[tuple[str, Head]], at: float, writer: str, before: str) -> list[bytes]:
    """The segments that hold these heads, each chained to the one before."""
    rows = [(stream, head.seq, head.hash.hex()) for stream, head in heads]
    written: list[bytes] = []
    for start in range(0, len(rows), heads_max):
        written.append(encode_segment(Segment(at, before, rows[start : start + heads_max], writer)))
        before = segment_hash(written[-1])
    return written


class Chain:
    """Follows one log, segment by segment in the order in which they were written. `faults` says what does not fit."""

    def __init__(self, name: str, visit: Callable[[Segment], None]) -> None:
        self.faults: list[str] = []
        self.last = ""
        """What the next segment must name."""
        self._name = name
        self._visit = visit
        self._torn = 0

    def take(self, written: bytes) -> None:
        """The next segment. One that cannot be read was not finished, if the next one does not name it."""
        try:
            segment = _decoder.decode(written)
        except (msgspec.MsgspecError, UnicodeDecodeError, RecursionError):
            self._torn += 1
            return
        if not segment.fold and segment.before != self.last:
            lost = " (one before it cannot be read)" if self._torn else ""
            self._fault(f"the segment of {segment.at:.0f} follows another one than is there{lost}")
        self._torn = 0
        self.last = segment.ends or segment_hash(written)
        self._visit(segment)

    def _fault(self, what: str) -> None:
        if len(self.faults) < _faults_max:
            self.faults.append(f"anchors {self._name}: {what}: segments were altered or removed")


_faults_max = 20


class AnchorLog(Protocol):
    """A log of segments. Every adapter passes `tests/contracts/anchor_log.py`, and as LoggedAnchors that of
    AnchorStore.
    """

    async def write(self, heads: Sequence[tuple[str, Head]]) -> None:
        """Append these heads. Raises StoreUnavailable; then they may be there, and may be written again."""
        ...

    async def read(self, visit: Callable[[Segment], None]) -> Sequence[str]:
        """Call `visit` with every segment that can be read, of all processes that wrote here; what does not fit, a
        line for each. Raises StoreUnavailable.
        """
        ...


class LoggedAnchors:
    """An AnchorStore of several logs: what is noted goes to each, what is known comes from all.

    `removed`: streams that retention removed, by their names. What was anchored of one before is no longer expected.
    """

    def __init__(self, logs: Sequence[AnchorLog], removed: Mapping[str, Removal] | None = None) -> None:
        self._logs = logs
        self._removed = removed or {}
        self.segments = 0
        """How many were read by the last `all`."""
        self.faults: list[str] = []
        """What did not fit in it."""

    async def note(self, heads: Iterable[tuple[str, Head]]) -> None:
        noted = list(heads)
        if noted:
            for log in self._logs:
                await log.write(noted)

    async def all(self) -> dict[str, Head]:
        """As in AnchorStore; a log that cannot be read is one of `faults`. Raises StoreCorrupt for a malformed head."""
        found: dict[str, Head] = {}
        self.segments, self.faults = 0, []

        def visit(segment: Segment) -> None:
            self.segments += 1
            for stream, seq, digest in segment.heads:
                removal = self._removed.get(stream)
                if removal is not None and (segment.at <= removal.at or digest == removal.hash):
                    continue
                known = found.get(stream)
                if known is None or seq > known.seq:
                    found[stream] = Head(seq, _bytes_of(stream, digest))

        for log in self._logs:
            try:
                self.faults += await log.read(visit)
            except StoreUnavailable as error:
                self.faults.append(f"{error}; what is anchored there is not held against the journal")
        return found


def _bytes_of(stream: str, digest: str) -> bytes:
    try:
        return bytes.fromhex(digest)
    except ValueError:
        raise StoreCorrupt(f"the anchored head of {stream} has no hash: expected 64 hexadecimal digits") from None
