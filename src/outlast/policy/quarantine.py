"""What to do with a run whose claims keep leading nowhere.

Source: the poison-message pattern (a receive count with a dead-letter queue, Amazon SQS ``maxReceiveCount``),
corrected for shared workers: dying beside a killer looks like being one, so a suspect first gets one trial alone. Only
claims in a row without a new event count; any progress clears the suspicion.
"""

from __future__ import annotations

from typing import Literal

import msgspec

Decision = Literal["claim", "trial", "quarantine"]


class Quarantine(msgspec.Struct, frozen=True):
    """`claims_without_progress_max`: so many claims in a row without a new event make a run a suspect."""

    claims_without_progress_max: int = 3


def decide(policy: Quarantine, fruitless: int, tried_alone: bool, alone: bool) -> Decision:
    """Whether a worker may claim a run.

    `fruitless` counts the claims just before, in a row, that no other event followed; `tried_alone` says whether one of
    those was a trial alone in a worker; `alone` whether this worker was started for this run only. ``trial`` means: do
    not claim, ask for a worker alone.
    """
    if fruitless < policy.claims_without_progress_max:
        return "claim"
    if tried_alone:
        return "quarantine"
    return "claim" if alone else "trial"
