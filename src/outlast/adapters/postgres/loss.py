"""What was acknowledged and is not there: found after a failover, said to the event, never silent."""

from __future__ import annotations

import os
from collections.abc import Sequence
from pathlib import Path

import msgspec

from outlast.journal.loss import Lost
from outlast.kernel.error import StoreCorrupt, StoreUnavailable


class LossReport(msgspec.Struct, frozen=True):
    """What one process had acknowledged and a server does not have."""

    at: float
    """When it was found, in seconds since 1970."""
    place: str
    """The server: host, port and database."""
    system: str
    timeline: int
    """The cluster and the timeline that it is on."""
    lost: tuple[Lost, ...]
    complete: bool = True
    """False: more was acknowledged than is remembered (`acknowledged_max`), so more may be missing."""

    @property
    def events(self) -> int:
        """How many events are missing."""
        return sum(one.last - one.first + 1 for one in self.lost)


_encoder = msgspec.json.Encoder()
_decoder = msgspec.json.Decoder(LossReport)


def losses_beside(memory: Path) -> Path:
    """Where the losses are written that processes with this memory have found."""
    return memory.with_name("losses.jsonl")


def write_loss(path: Path, report: LossReport) -> None:
    """Append one report, durably. Raises StoreUnavailable."""
    try:
        descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_APPEND | os.O_CLOEXEC, 0o600)
        try:
            os.write(descriptor, _encoder.encode(report) + b"\n")
            os.fsync(descriptor)
        finally:
            os.close(descriptor)
    except OSError as error:
        raise StoreUnavailable(
            f"a loss of {report.events} events cannot be written to {path}: {error.strerror}"
        ) from None


def read_losses(path: Path) -> Sequence[LossReport]:
    """All reports, oldest first; none if there is no file. Raises StoreCorrupt, StoreUnavailable."""
    try:
        lines = path.read_bytes().splitlines()
    except FileNotFoundError:
        return []
    except OSError as error:
        raise StoreUnavailable(f"losses {path} cannot be read: {error.strerror}") from None
    try:
        return [_decoder.decode(line) for line in lines]
    except msgspec.MsgspecError as error:
        raise StoreCorrupt(f"losses {path} are not understood: {error}") from None
