"""Hints about runs, by which they are found. Written with appends; losing or delaying one costs time, never truth."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Literal, Protocol

import msgspec
from msgspec import UNSET, UnsetType

from outlast.kernel.error import UsageError

State = Literal[
    "ready", "trial", "running", "parked", "held", "quarantined", "completed", "failed", "cancelled", "continued"
]
"""ready: somebody should claim it · trial: only a worker of its own may · running: claimed · parked: waits for time or
mail · held: waits for a person · quarantined: killed its workers · the rest: ended."""

ENDED: frozenset[str] = frozenset({"completed", "failed", "cancelled", "continued"})
RESTING: frozenset[str] = frozenset({"parked", "held", "quarantined"})
"""Nobody looks at it before its time or mail comes."""


class HintPatch(msgspec.Struct, frozen=True, omit_defaults=True):
    """What an append changes about its run's entry; what is unset stays as it is (or takes the entry's default)."""

    run: str
    agent: str | UnsetType = UNSET
    pool: str | UnsetType = UNSET
    session: str | UnsetType = UNSET
    parent: str | UnsetType = UNSET
    state: State | UnsetType = UNSET
    owner: str | UnsetType = UNSET
    """The worker's identity, "" for none."""
    wake_at: float | UnsetType = UNSET
    """When a parked run wants to go on; 0: only on mail."""
    mail: int | UnsetType = UNSET
    """The number of the last event in its inbox. The entry keeps the maximum."""
    seen: int | UnsetType = UNSET
    """The last inbox event its owner has taken notice of. The entry keeps the maximum."""
    reason: str | UnsetType = UNSET
    """One line for people: why held, quarantined or failed."""
    created_at: float | UnsetType = UNSET
    updated_at: float | UnsetType = UNSET


class RunEntry(msgspec.Struct, frozen=True):
    """What the index knows of one run; fields as in HintPatch."""

    run: str
    agent: str = ""
    pool: str = ""
    session: str = ""
    parent: str = ""
    state: State = "ready"
    owner: str = ""
    wake_at: float = 0.0
    mail: int = 0
    seen: int = 0
    reason: str = ""
    created_at: float = 0.0
    updated_at: float = 0.0

    def patched(self, patch: HintPatch) -> RunEntry:
        """This entry after `patch`."""
        changes = {
            name: value
            for name in HintPatch.__struct_fields__
            if name != "run" and (value := getattr(patch, name)) is not UNSET
        }
        for counter in ("mail", "seen"):
            if counter in changes:
                changes[counter] = max(changes[counter], getattr(self, counter))
        return msgspec.structs.replace(self, **changes)

    def due(self, now: float) -> bool:
        """Whether a worker should claim it now: ready, on trial, or parked and its time or unread mail has come.

        Held and quarantined runs are woken by mail too (a resolve, redrive, cancel or signal).
        """
        if self.state in ("ready", "trial"):
            return True
        if self.state == "parked":
            return 0 < self.wake_at <= now or self.mail > self.seen
        return self.state in ("held", "quarantined") and self.mail > self.seen


hint_bytes_max = 16 * 1024
"""Bound of one patch, 16 KiB."""

_encoder = msgspec.msgpack.Encoder()


def hint_bytes(patch: HintPatch) -> int:
    """What a patch takes of `hint_bytes_max`."""
    return len(_encoder.encode(patch))


def check_hint(patch: HintPatch) -> None:
    """What every store refuses: raises UsageError. A hint must not fail the commit of its neighbours."""
    for number in (patch.mail, patch.seen):
        if number is not UNSET and not 0 <= number < 2**53:
            raise UsageError(f"hint of run {patch.run[:128]!r} counts {number}: expected 0 or more, below 2**53")
    for moment in (patch.wake_at, patch.created_at, patch.updated_at):
        if moment != moment:
            raise UsageError(f"hint of run {patch.run[:128]!r} holds a time that is not a number")
    try:
        size = hint_bytes(patch)
    except UnicodeEncodeError:
        raise UsageError(f"hint of run {patch.run[:128]!r} holds text that is not UTF-8") from None
    if not patch.run or size > hint_bytes_max:
        raise UsageError(
            f"hint of run {patch.run[:128]!r} takes {size} bytes: it must name a run, and the bound hint_bytes_max is "
            f"{hint_bytes_max}"
        )


class Behind(list[RunEntry]):
    """Runs as a copy of the store told them that may be behind; a list that is none of these is as of now."""

    def __init__(self, entries: Iterable[RunEntry], behind_s: float | None) -> None:
        super().__init__(entries)
        self.behind_s = behind_s
        """How far behind the copy was at most, in seconds; None: it could not be measured."""


class RunIndex(Protocol):
    """Finds runs. Every adapter passes `tests/contracts/run_index.py`."""

    async def entry(self, run: str) -> RunEntry | None:
        """The entry of one run."""
        ...

    async def due(self, now: float, limit: int = 100, pool: str | None = None) -> Sequence[RunEntry]:
        """Runs for which `RunEntry.due(now)` holds, oldest update first."""
        ...

    async def next_wake(self, now: float) -> float | None:
        """The earliest `wake_at` later than `now` of a parked run."""
        ...

    async def owned(self, owner: str | None = None, limit: int = 10_000) -> Sequence[RunEntry]:
        """Running runs of one owner, or of all owners."""
        ...

    async def list(
        self,
        *,
        state: str | None = None,
        agent: str | None = None,
        session: str | None = None,
        before: str | None = None,
        limit: int = 50,
        fresh: bool = False,
    ) -> Sequence[RunEntry]:
        """Newest first by (created_at, run); `before` is the `run` of the last entry already seen.

        A `Behind` if it may lack what was acknowledged before. `fresh`: no copy that may be behind is asked. Whoever
        decides something on it says so; a list for people need not.
        """
        ...

    async def counts(self) -> dict[str, int]:
        """How many runs are in each state."""
        ...
