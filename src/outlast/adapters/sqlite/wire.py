"""What the writing process and its clients say to each other: frames of msgpack on a Unix socket.

A frame is 4 bytes of length (big endian) and that many bytes of one message. A client may send at any time; answers
bear the number of their request and come in any order. Any malformed frame ends the connection.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Generic, TypeVar

import msgspec

from outlast.journal.removal import Ended
from outlast.journal.snapshot import Snapshot
from outlast.journal.stream import Append, Notice, Outcome

protocol = 1
frame_bytes_max = 9 * 1024 * 1024
"""Bound of one frame, 9 MiB: one snapshot of the largest size."""
frame_bytes_fit = 1024 * 1024
"""Appends that gather are sent in frames of about this size, 1 MiB."""
frame_count_fit = 1024
"""Bound of the items in one frame."""


class Appends(msgspec.Struct, frozen=True, array_like=True, tag=0):
    """Appends, each with the number of the request; answered by Outcomes or Refused."""

    items: Sequence[tuple[int, Append]]


class Save(msgspec.Struct, frozen=True, array_like=True, tag=1):
    """Save a snapshot; answered by Done or Refused."""

    id: int
    snapshot: Snapshot


class Subscribe(msgspec.Struct, frozen=True, array_like=True, tag=2):
    """Send Notices from now on; without `steps` only those that concern others than a run's followers. Not answered."""

    steps: bool = True


class Ping(msgspec.Struct, frozen=True, array_like=True, tag=3):
    """Answered by Done, at once."""

    id: int


class Remove(msgspec.Struct, frozen=True, array_like=True, tag=4):
    """Remove runs; answered by Done or Refused."""

    id: int
    runs: Sequence[Ended]


Request = Appends | Save | Subscribe | Ping | Remove


class Welcome(msgspec.Struct, frozen=True, array_like=True, tag=0):
    """The first message to each client."""

    protocol: int
    lineage: str
    pid: int


class Outcomes(msgspec.Struct, frozen=True, array_like=True, tag=1):
    """What became of appends."""

    items: Sequence[tuple[int, Outcome]]


class Done(msgspec.Struct, frozen=True, array_like=True, tag=2):
    """A Ping, Save or Remove was carried out."""

    id: int


class Refused(msgspec.Struct, frozen=True, array_like=True, tag=3):
    """A request was not carried out: ``usage``, ``too_large`` (never will be) or ``unavailable`` (may be later)."""

    id: int
    kind: str
    message: str


class Notices(msgspec.Struct, frozen=True, array_like=True, tag=4):
    """Hints of growth, after the commit."""

    items: Sequence[Notice]


Answer = Welcome | Outcomes | Done | Refused | Notices

_encoder = msgspec.msgpack.Encoder()
M = TypeVar("M")


class Malformed(Exception):
    """What came is not a frame of this protocol, or a longer one than is allowed."""


def frame(message: Request | Answer) -> bytearray:
    """A message as a frame."""
    buffer = bytearray(4)
    _encoder.encode_into(message, buffer, 4)
    buffer[:4] = (len(buffer) - 4).to_bytes(4, "big")
    return buffer


class Frames(Generic[M]):
    """Cuts what is received into messages of one type. Holds at most one incomplete frame."""

    def __init__(self, decoder: msgspec.msgpack.Decoder[M]) -> None:
        self._decoder = decoder
        self._rest = bytearray()
        self._needed = 4  # bytes until something can be said about what comes first

    def feed(self, received: bytes) -> list[M]:
        """The messages that are complete now. Raises Malformed."""
        whole: bytes | bytearray = received
        if self._rest:
            self._rest += received
            whole = self._rest
        end = len(whole)
        if end < self._needed:
            self._rest = bytearray(received) if whole is received else self._rest
            return []
        messages: list[M] = []
        view = memoryview(whole)
        at = 0
        while True:
            self._needed = 4
            if end - at < 4:
                break
            size = int.from_bytes(view[at : at + 4], "big")
            if size > frame_bytes_max:
                raise Malformed(
                    f"a frame of {size} bytes was announced, the bound frame_bytes_max is {frame_bytes_max}"
                )
            self._needed = 4 + size
            if end - at < self._needed:
                break
            try:
                messages.append(self._decoder.decode(view[at + 4 : at + self._needed]))
            except (msgspec.MsgspecError, UnicodeDecodeError, RecursionError) as error:
                raise Malformed(f"a frame of {size} bytes is not understood: {error}") from None
            at += self._needed
        self._rest = bytearray(view[at:])
        return messages


def requests() -> Frames[Request]:
    """What a writing process receives."""
    return Frames(msgspec.msgpack.Decoder(Request))


def answers() -> Frames[Answer]:
    """What a client receives."""
    return Frames(msgspec.msgpack.Decoder(Answer))
