"""How far the database had come, remembered outside of it: so that one that went back is not mistaken for it."""

from __future__ import annotations

import fcntl
import os
from collections.abc import Generator
from contextlib import contextmanager
from pathlib import Path

import msgspec

from outlast.adapters.postgres.session import Standing
from outlast.kernel.error import ConfigurationError, StoreUnavailable

_encoder = msgspec.json.Encoder()
_decoder = msgspec.json.Decoder(Standing)


class Memory:
    """The highest standing ever seen by any process that shares the file `path` (None: by this process)."""

    def __init__(self, path: Path | None) -> None:
        self._path = path
        self._known: Standing | None = None
        if path is not None:
            path.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
            self._known = self._read()

    @property
    def known(self) -> Standing | None:
        """The highest standing."""
        return self._known

    def _read(self) -> Standing | None:
        assert self._path is not None
        try:
            return _decoder.decode(self._path.read_bytes())
        except FileNotFoundError:
            return None
        except OSError as error:
            raise StoreUnavailable(f"memory {self._path} cannot be read: {error.strerror}") from None
        except msgspec.MsgspecError:
            raise ConfigurationError(
                f"memory {self._path} is not understood: move it away if the database surely did not go back"
            ) from None

    def check(self, found: Standing, place: str) -> None:
        """Raises StoreUnavailable if `found` is of another cluster, or behind the timeline that is known."""
        if self._path is not None:
            self._known = _later(self._known, self._read())
        known = self._known
        if known is None:
            return
        where = f" ({self._path})" if self._path else ""
        if found.system != known.system:
            raise StoreUnavailable(
                f"postgres {place} is another cluster (system {found.system}) than the one known here{where} "
                f"(system {known.system}): correct the URL, or move the memory away if it was replaced on purpose"
            )
        if found.timeline < known.timeline:
            raise StoreUnavailable(
                f"postgres {place} is on timeline {found.timeline}, timeline {known.timeline} is known here{where}: it "
                "was primary before a failover and is refused; make it a standby of the new primary (pg_rewind)"
            )

    def note(self, found: Standing) -> None:
        """Remember `found` if it is the highest."""
        if self._known is not None and (found.system != self._known.system or found <= self._known):
            return
        self._known = found
        if self._path is None:
            return
        try:
            self._write(self._path, found)
        except OSError as error:
            raise StoreUnavailable(f"memory {self._path} cannot be written: {error.strerror}") from None

    def _write(self, path: Path, found: Standing) -> None:
        with _locked(path):
            latest = _later(found, self._read())
            temporary = path.with_name(f".{path.name}.tmp")
            with temporary.open("wb") as file:
                file.write(_encoder.encode(latest))
                file.flush()
                os.fsync(file.fileno())
            temporary.replace(path)
            self._known = latest


def _later(one: Standing | None, other: Standing | None) -> Standing | None:
    if one is None or other is None or one.system != other.system:
        return one or other
    return max(one, other)


@contextmanager
def _locked(path: Path) -> Generator[None]:
    with path.with_name(f".{path.name}.lock").open("wb") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        yield
