"""Anchored heads in files of this host, one log for all its processes.

::

    .outlast/anchors/0000000001.jsonl   a segment a line, each with the hash of the one before, in the first file's
    .outlast/anchors/0000000002.jsonl   last line as well: the chain goes through all files
    .outlast/anchors/lock               held while a line is written

A line is written at the end and never changed. A process that dies in the middle of one leaves half a line: the next
one begins a new line behind it, and readers pass over it. A file that is full is followed by another; when there are
too many, all but the last become one that holds the latest head of each stream (a *fold*), whole before it takes their
place. Lines are left to the system to sync: what a loss of power takes is what was anchored last.
"""

from __future__ import annotations

import asyncio
import fcntl
import os
import time
from collections.abc import Callable, Generator, Sequence
from contextlib import contextmanager
from pathlib import Path

from outlast.journal.anchor import (
    Chain,
    Segment,
    encode_segment,
    heads_max,
    segment_hash,
    segments_of,
)
from outlast.journal.stream import Head
from outlast.kernel.clock import Clock
from outlast.kernel.error import StoreUnavailable

file_bytes_max = 8 * 1024 * 1024
"""A file of this size, 8 MiB, is followed by another."""
files_max = 8
"""Bound of the files: from one more on, all but the last become one."""
lock_s_max = 2.0
"""How long another process is waited for, in seconds."""
_look_s = 0.01
_block = 64 * 1024


class FileAnchors:
    """An AnchorLog. `writer` names this process. The directory is made when the first heads are written."""

    def __init__(
        self,
        directory: Path,
        clock: Clock,
        writer: str = "",
        *,
        file_bytes_max: int = file_bytes_max,
        files_max: int = files_max,
    ) -> None:
        self._directory = directory
        self._clock = clock
        self._writer = writer
        self._file_bytes_max = file_bytes_max
        self._files_max = files_max

    async def write(self, heads: Sequence[tuple[str, Head]]) -> None:
        await asyncio.to_thread(self._write, heads)

    async def read(self, visit: Callable[[Segment], None]) -> Sequence[str]:
        return await asyncio.to_thread(self._read, visit)

    def _write(self, heads: Sequence[tuple[str, Head]]) -> None:
        try:
            self._directory.mkdir(mode=0o700, parents=True, exist_ok=True)
            with _locked(self._directory / "lock"):
                files = self._files()
                last, torn = _last_line(files[-1]) if files else (b"", False)
                if not last and len(files) > 1:  # a file that was begun and not written
                    last = _last_line(files[-2])[0]
                before = _link_of(last)
                if not files or files[-1].stat().st_size >= self._file_bytes_max:
                    files.append(self._directory / f"{_number(files[-1]) + 1 if files else 1:010d}.jsonl")
                    torn = False
                lines = segments_of(heads, round(self._clock.now(), 6), self._writer, before)
                _append(files[-1], (b"\n" if torn else b"") + b"".join(line + b"\n" for line in lines))
                if len(files) > self._files_max:
                    self._fold(files[:-1])
        except OSError as error:
            raise StoreUnavailable(f"anchors {self._directory} cannot be written: {error.strerror}") from None

    def _read(self, visit: Callable[[Segment], None]) -> list[str]:
        if not self._directory.is_dir():
            return []
        try:
            with _locked(self._directory / "lock", shared=True):
                chain = Chain(str(self._directory), visit)
                for path in self._files():
                    _follow(path, chain)
                return chain.faults
        except OSError as error:
            raise StoreUnavailable(f"anchors {self._directory} cannot be read: {error.strerror}") from None

    def _files(self) -> list[Path]:
        return sorted(path for path in self._directory.glob("*.jsonl") if path.stem.isdigit())

    def _fold(self, files: Sequence[Path]) -> None:
        """Have one file stand for all these: the latest head of each stream, with a time that is not later."""
        latest: dict[str, tuple[int, str, float]] = {}

        def visit(segment: Segment) -> None:
            for stream, seq, digest in segment.heads:
                known = latest.get(stream)
                if known is None or seq > known[0]:
                    latest[stream] = (seq, digest, segment.at)

        chain = Chain("", visit)
        for path in files:
            _follow(path, chain)
        if chain.faults:
            return  # evidence: it stays as it is
        rows = sorted(((at, stream, seq, digest) for stream, (seq, digest, at) in latest.items()))
        temporary = self._directory / "fold.new"
        with temporary.open("wb") as file:
            before = ""
            for start in range(0, len(rows), heads_max):
                part = rows[start : start + heads_max]
                ends = chain.last if start + heads_max >= len(rows) else ""
                heads = [(stream, seq, digest) for _, stream, seq, digest in part]
                line = encode_segment(Segment(part[0][0], before, heads, self._writer, start == 0, ends))
                before = segment_hash(line)
                file.write(line + b"\n")
            file.flush()
            os.fsync(file.fileno())
        temporary.replace(files[-1])
        for path in files[:-1]:
            path.unlink(missing_ok=True)


def _number(path: Path) -> int:
    return int(path.stem)


def _append(path: Path, content: bytes) -> None:
    file = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_APPEND | os.O_CLOEXEC, 0o600)
    try:
        while content:
            content = content[os.write(file, content) :]
    finally:
        os.close(file)


def _follow(path: Path, chain: Chain) -> None:
    with path.open("rb") as file:
        for line in file:
            written = line.rstrip(b"\n")
            if written:
                chain.take(written)


def _link_of(line: bytes) -> str:
    """What the segment behind this line must name."""
    if not line:
        return ""
    chain = Chain("", lambda segment: None)
    chain.take(line)
    return chain.last


def _last_line(path: Path) -> tuple[bytes, bool]:
    """The last line that is a segment, and whether half a line follows it."""
    with path.open("rb") as file:
        size = file.seek(0, os.SEEK_END)
        tail = b""
        while True:
            start = max(0, size - len(tail) - _block)
            file.seek(start)
            tail = file.read(size - len(tail) - start) + tail
            lines = tail.split(b"\n")
            whole = lines if start == 0 else lines[1:]  # the first one may begin further in front
            for line in reversed(whole):
                if line and _link_of(line):
                    return line, bool(lines[-1])
            if start == 0:
                return b"", bool(lines[-1])


def _take(lock: int, how: int, path: Path) -> None:
    """Not for ever: who holds it may be frozen."""
    for _ in range(int(lock_s_max / _look_s)):
        try:
            return fcntl.flock(lock, how | fcntl.LOCK_NB)
        except BlockingIOError:
            time.sleep(_look_s)
    raise StoreUnavailable(f"anchors {path.parent} are held by another process for over {lock_s_max} s (lock_s_max)")


@contextmanager
def _locked(path: Path, *, shared: bool = False) -> Generator[None]:
    flags = os.O_RDONLY if shared else os.O_RDWR | os.O_CREAT
    try:
        lock = os.open(path, flags | os.O_CLOEXEC, 0o600)
    except FileNotFoundError:  # a copy of the files: nobody writes there
        yield
        return
    try:
        _take(lock, fcntl.LOCK_SH if shared else fcntl.LOCK_EX, path)
        yield
    finally:
        os.close(lock)
