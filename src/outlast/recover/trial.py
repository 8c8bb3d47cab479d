"""What test restores have shown: kept beside the backups, one small object each."""

from __future__ import annotations

import msgspec

from outlast.kernel.error import StoreCorrupt
from outlast.recover.depot import Depot

_prefix = "trials/"


class Trial(msgspec.Struct, frozen=True):
    """A backup was restored into a temporary store at `at`, seconds since 1970, in `took_s` seconds, and verified.

    `age_s` is how old the newest backup was then: what a loss at that moment would have cost. `why` says what was wrong
    if it did not pass.
    """

    backup: str
    at: float
    passed: bool
    took_s: float
    age_s: float
    streams: int = 0
    events: int = 0
    why: str = ""


async def keep_trial(depot: Depot, trial: Trial) -> None:
    """Store it. Raises StoreUnavailable, Conflict."""
    name = f"{_prefix}{int(trial.at * 1000):016d}.json"
    await depot.put(name, msgspec.json.format(msgspec.json.encode(trial), indent=1) + b"\n")


async def last_trial(depot: Depot) -> Trial | None:
    """The newest; None if there was none. Raises StoreUnavailable, StoreCorrupt."""
    names = await depot.names(_prefix)
    if not names:
        return None
    try:
        return msgspec.json.decode(await depot.get(names[-1]), type=Trial)
    except (msgspec.MsgspecError, UnicodeDecodeError) as error:
        raise StoreCorrupt(f"{names[-1]} in {depot.where} cannot be read: {error}") from None
