"""Who is there on the hosts that share a store: one entry a host, written over and over, read by all others."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Protocol

import msgspec


class HostBeat(msgspec.Struct, frozen=True):
    """One supervisor's sign of life. `host` is unique for each supervisor process that ever was."""

    host: str
    count: int
    """Grows with every beat; observers age it by their own monotonic clocks, no clock of the host's is trusted."""
    workers: tuple[str, ...] = ()
    """Its workers that are not silent."""
    size: int = 0
    """How many workers it should have; 0: as many as it has."""
    draining: bool = False
    """It finishes what it has, and wants nothing new."""

    @property
    def share(self) -> int:
        """As how many workers it counts."""
        return self.size or len(self.workers)


class _Told(msgspec.Struct, frozen=True, omit_defaults=True):
    """How the rest of an entry is written where it is more than the workers; else they are a list, as always."""

    workers: tuple[str, ...]
    size: int = 0
    draining: bool = False


_encoder = msgspec.json.Encoder()
_decoder: msgspec.json.Decoder[tuple[str, ...] | _Told] = msgspec.json.Decoder(tuple[str, ...] | _Told)


def written(beat: HostBeat) -> str:
    """All of an entry but its host and its count, as JSON."""
    plain = not beat.draining and not beat.size
    return _encoder.encode(beat.workers if plain else _Told(beat.workers, beat.size, beat.draining)).decode()


def read(host: str, count: int, text: str) -> HostBeat:
    """The entry whose rest was `written`. Raises msgspec.MsgspecError."""
    found = _decoder.decode(text)
    if isinstance(found, _Told):
        return HostBeat(host, count, found.workers, found.size, found.draining)
    return HostBeat(host, count, found)


class Presence(Protocol):
    """Where hosts say that they are there. Every adapter passes `tests/contracts/presence.py`.

    A hint like any other: losing, doubling or delaying a beat costs time, never correctness.
    """

    async def beat(self, beat: HostBeat) -> None:
        """Write this host's entry over. Raises StoreUnavailable."""
        ...

    async def leave(self, host: str) -> None:
        """Remove a host's entry; nothing if there is none. Raises StoreUnavailable."""
        ...

    async def all(self) -> Sequence[HostBeat]:
        """Every entry, in the order of hosts, as of now. Raises StoreUnavailable."""
        ...
