"""One client of the writing process: bounded buffers, nothing that waits."""

from __future__ import annotations

import os
import socket
import struct
import sys

from outlast.adapters.sqlite.wire import (
    Answer,
    Malformed,
    Outcomes,
    Request,
    Subscribe,
    frame,
    frame_count_fit,
    requests,
)
from outlast.journal.stream import Outcome

read_bytes = 64 * 1024
"""How much is read at once."""
reads_max = 16
"""How many times one client is read in one turn: the others have theirs."""
unsent_bytes_max = 16 * 1024 * 1024
"""Bound of the answers a client has not taken, 16 MiB: beyond it, it is disconnected."""
hint_bytes_max = 256 * 1024
"""Notices for a client that has so much to take already are dropped."""


class Gone(Exception):
    """The connection has ended, or must end; says why."""


def check_same_user(channel: socket.socket) -> None:
    """Raise Gone unless the other end is of this user, or root. Only Linux tells; elsewhere the file's mode counts."""
    if sys.platform == "linux":
        raw = channel.getsockopt(socket.SOL_SOCKET, socket.SO_PEERCRED, struct.calcsize("3i"))
        uid = struct.unpack("3i", raw)[1]
        if uid not in (0, os.geteuid()):
            raise Gone(f"a process of user {uid} asked, only {os.geteuid()} may")


class Peer:
    """A connection. `subscribed`: which notices it wants."""

    def __init__(self, channel: socket.socket) -> None:
        channel.setblocking(False)
        self.channel = channel
        self.subscribed: Subscribe | None = None
        self.waits_to_send = False
        """The owner has asked to be told when it takes more."""
        self._frames = requests()
        self._unsent = bytearray()
        self._outcomes: list[tuple[int, Outcome]] = []

    @property
    def unsent(self) -> int:
        """Bytes that wait for the client to take them."""
        return len(self._unsent)

    def receive(self) -> list[Request]:
        """All requests that are there now, within a turn's share. Raises Gone."""
        found: list[Request] = []
        for _ in range(reads_max):
            try:
                received = self.channel.recv(read_bytes)
            except (BlockingIOError, InterruptedError):
                break
            except OSError as error:
                raise Gone(error.strerror or "connection failed") from None
            if not received:
                if found:
                    break  # what came before the end is still carried out; the end is read again
                raise Gone("closed")
            try:
                found += self._frames.feed(received)
            except Malformed as error:
                raise Gone(str(error)) from None
            if len(received) < read_bytes:
                break
        return found

    def add(self, number: int, outcome: Outcome) -> None:
        """An outcome, to be sent by `answer`."""
        self._outcomes.append((number, outcome))

    def answer(self) -> None:
        """Send the outcomes that were added. Raises Gone."""
        outcomes, self._outcomes = self._outcomes, []
        for start in range(0, len(outcomes), frame_count_fit):
            self.send(Outcomes(outcomes[start : start + frame_count_fit]))

    def send(self, message: Answer) -> None:
        """Send, or keep it until the client takes it. Raises Gone when it takes too little."""
        self._unsent += frame(message)
        self.flush()
        if len(self._unsent) > unsent_bytes_max:
            raise Gone(f"{len(self._unsent)} bytes of answers were not taken")

    def hint(self, raw: bytes | bytearray) -> None:
        """Send a frame that may as well be dropped. Raises Gone."""
        if len(self._unsent) <= hint_bytes_max:
            self._unsent += raw
            self.flush()

    def flush(self) -> None:
        """Send what waits, as far as it goes. Raises Gone."""
        if not self._unsent:
            return
        try:
            sent = self.channel.send(self._unsent)
        except (BlockingIOError, InterruptedError):
            return
        except OSError as error:
            raise Gone(error.strerror or "connection failed") from None
        del self._unsent[:sent]
