"""Who is there on the hosts that share a store: one entry a host, written over and over, read by all others."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Literal, Protocol

import msgspec


class HostBeat(msgspec.Struct, frozen=True):
    """One supervisor's sign of life. `host` is unique for each supervisor process that ever was."""

    host: str
    count: int
    """Grows with every beat; observers age it by their own monotonic clocks, no clock of the host's is trusted."""
    workers: tuple[str, ...] = ()
    """Its workers that are not silent."""
    draining: bool = False
    """It finishes what it has, and wants nothing new."""


class _Drains(msgspec.Struct, frozen=True):
    """How the workers of a host that drains are written; else they are a plain list, as they always were."""

    workers: tuple[str, ...]
    draining: Literal[True] = True


_encoder = msgspec.json.Encoder()
_decoder: msgspec.json.Decoder[tuple[str, ...] | _Drains] = msgspec.json.Decoder(tuple[str, ...] | _Drains)


def written(beat: HostBeat) -> str:
    """All of an entry but its host and its count, as JSON."""
    return _encoder.encode(_Drains(beat.workers) if beat.draining else beat.workers).decode()


def read(host: str, count: int, text: str) -> HostBeat:
    """The entry whose rest was `written`. Raises msgspec.MsgspecError."""
    found = _decoder.decode(text)
    if isinstance(found, _Drains):
        return HostBeat(host, count, found.workers, draining=True)
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
