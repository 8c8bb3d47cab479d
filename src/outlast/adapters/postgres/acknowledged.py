"""What this host's processes have acknowledged, remembered outside the database: the books for a failover.

Each process keeps its last `acknowledged_max` appends in memory and, where there is a memory file, in a log beside it
that it holds a lock on. A process that opens the same database takes over the logs of those that have ended. After a
failover each also looks into the logs of the others: it may be asked to go on with a run of theirs before they find
out.

Checked against a server, the last append of each stream is enough: records are chained and never removed, so where it
is, all before it are.
"""

from __future__ import annotations

import asyncio
import fcntl
import os
from collections import deque
from collections.abc import Iterator, Sequence
from contextlib import ExitStack, suppress
from pathlib import Path

import msgspec

from outlast.adapters.postgres.session import Session
from outlast.journal.commit import Write
from outlast.journal.loss import Lost
from outlast.kernel.error import StoreUnavailable

_page = 5000
_MISSING = """
    SELECT w.number FROM unnest(%b::int8[], %b::text[], %b::int8[], %b::bytea[]) AS w(number, stream, seq, hash)
    WHERE NOT EXISTS (SELECT FROM record r WHERE r.stream = w.stream AND r.seq = w.seq AND r.hash = w.hash)
"""


class Entry(msgspec.Struct, frozen=True, array_like=True, gc=False):
    """One append: its first event, how many, the chain hash after it, the cluster and about where in its log."""

    stream: str
    seq: int
    count: int
    hash: bytes
    system: str
    lsn: int


_encoder = msgspec.json.Encoder()
_decoder = msgspec.json.Decoder(Entry)


class Acknowledged:
    """The books of one process. `memory` is the file that they lie beside, `about` the database and schema.

    Raises StoreUnavailable when it cannot write there.
    """

    def __init__(self, memory: Path | None, about: str, token: str, bound: int) -> None:
        self._entries: deque[Entry] = deque(maxlen=bound)
        self._bound = bound
        self._about = _encoder.encode(["outlast acknowledged", about])
        self._memory = memory
        self._path = None if memory is None else memory.with_name(f"{memory.name}.acknowledged-{token}")
        self._file: int | None = None
        self._lines = 0
        self.complete = True
        """Whether nothing was forgotten."""
        if memory is not None:
            try:
                with ExitStack() as held:
                    others = self._take_over(memory, held)
                    self._begin()
                    for path in others:
                        path.unlink(missing_ok=True)
            except OSError as error:
                raise StoreUnavailable(
                    f"what is acknowledged cannot be kept beside {memory}: {error.strerror}"
                ) from None

    def __len__(self) -> int:
        return len(self._entries)

    def note(self, writes: Sequence[Write], system: str, lsn: int) -> None:
        """Remember appends, before anybody is told that they are durable."""
        new = [
            Entry(write.append.stream, write.append.expected.seq + 1, write.append.count, write.head.hash, system, lsn)
            for write in writes
        ]
        if len(self._entries) + len(new) > self._bound:
            self.complete = False
        self._entries.extend(new)
        self._log(new)

    async def missing(self, session: Session, system: str) -> list[Lost]:
        """What the server does not have of what was acknowledged, in the order of streams. Forgotten here thereby."""
        return await _missing(session, [entry for entry in self._entries if entry.system == system])

    async def missing_of_others(self, session: Session, system: str) -> list[Lost]:
        """What it does not have of what other processes of this host have acknowledged: theirs to report."""
        if self._memory is None:
            return []
        return await _missing(session, await asyncio.to_thread(self._others, self._memory, system))

    def _others(self, memory: Path, system: str) -> list[Entry]:
        found: list[Entry] = []
        for path in sorted(memory.parent.glob(f"{memory.name}.acknowledged-*")):
            if path == self._path:
                continue
            with suppress(OSError):  # its process has ended, and somebody has taken it over
                found += [entry for entry in self._read(path) or () if entry.system == system]
        return found

    def forget(self, lost: Sequence[Lost]) -> None:
        """They were reported: not again."""
        spans = {one.stream: one for one in lost}
        kept = [
            entry
            for entry in self._entries
            if entry.stream not in spans or not spans[entry.stream].first <= entry.seq <= spans[entry.stream].last
        ]
        self._entries.clear()
        self._entries.extend(kept)
        self.complete = True
        if self._path is not None:
            self._begin()

    def _log(self, entries: Sequence[Entry]) -> None:
        if self._file is None:
            return
        try:
            os.write(self._file, b"".join(_encoder.encode(entry) + b"\n" for entry in entries))
            self._lines += len(entries)
            if self._lines > 2 * self._bound:
                self._begin()
        except OSError:
            self.complete = False  # the append is durable all the same: a report will say that it may lack something

    def _begin(self) -> None:
        """A log that holds what is remembered now, and no more."""
        assert self._path is not None
        temporary = self._path.with_name(f".{self._path.name}")
        file = os.open(temporary, os.O_WRONLY | os.O_CREAT | os.O_TRUNC | os.O_APPEND | os.O_CLOEXEC, 0o600)
        fcntl.flock(file, fcntl.LOCK_EX)
        os.write(file, self._about + b"\n")
        for entry in self._entries:
            os.write(file, _encoder.encode(entry) + b"\n")
        temporary.replace(self._path)
        if self._file is not None:
            os.close(self._file)
        self._file, self._lines = file, len(self._entries)

    def _take_over(self, memory: Path, held: ExitStack) -> list[Path]:
        """Read the logs that nobody holds any more; those files, kept from others for as long as `held` is."""
        found: list[Path] = []
        for path in sorted(memory.parent.glob(f"{memory.name}.acknowledged-*")):
            with suppress(OSError), ExitStack() as own:
                descriptor = os.open(path, os.O_RDONLY | os.O_CLOEXEC)
                own.callback(os.close, descriptor)
                fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
                if os.fstat(descriptor).st_nlink and self._adopt(path):
                    found.append(path)
                    held.enter_context(own.pop_all())
        return found

    def _adopt(self, path: Path) -> bool:
        entries = self._read(path)
        if entries is None:
            return False
        if len(self._entries) + len(entries) > self._bound:
            self.complete = False
        self._entries.extend(entries)
        return True

    def _read(self, path: Path) -> list[Entry] | None:
        """What a log holds; None if it is of another database."""
        lines = path.read_bytes().splitlines()
        if not lines or lines[0] != self._about:
            return None
        entries: list[Entry] = []
        for line in lines[1:]:
            with suppress(msgspec.MsgspecError):  # the last one: its process died, or is writing it now
                entries.append(_decoder.decode(line))
        return entries

    def close(self) -> None:
        """Let go of the log: who opens the database next takes it over. Any number of times."""
        if self._file is not None:
            os.close(self._file)
            self._file = None


async def _missing(session: Session, entries: Sequence[Entry]) -> list[Lost]:
    """What the server lacks of these, one span for each stream."""
    last: dict[str, Entry] = {}
    for entry in entries:
        known = last.get(entry.stream)
        if known is None or entry.seq > known.seq:
            last[entry.stream] = entry
    streams = {entry.stream for entry in await _absent(session, list(last.values()))}
    if not streams:
        return []
    absent = await _absent(session, [entry for entry in entries if entry.stream in streams])
    spans: dict[str, Lost] = {}
    for entry in absent:
        end, span = entry.seq + entry.count - 1, spans.get(entry.stream)
        first, last_seq = (entry.seq, end) if span is None else (min(span.first, entry.seq), max(span.last, end))
        spans[entry.stream] = Lost(entry.stream, first, last_seq)
    return [spans[stream] for stream in sorted(spans)]


async def _absent(session: Session, entries: Sequence[Entry]) -> list[Entry]:
    ((there,),) = await session.rows("SELECT to_regclass('record') IS NOT NULL")
    if not there:
        return list(entries)  # the whole schema is gone
    absent: list[Entry] = []
    for page in _pages(entries):
        rows = await session.rows(
            _MISSING,
            (
                list(range(len(page))),
                [entry.stream for entry in page],
                [entry.seq for entry in page],
                [entry.hash for entry in page],
            ),
        )
        absent += [page[number] for (number,) in rows]
    return absent


def _pages(entries: Sequence[Entry]) -> Iterator[Sequence[Entry]]:
    for start in range(0, len(entries), _page):
        yield entries[start : start + _page]
