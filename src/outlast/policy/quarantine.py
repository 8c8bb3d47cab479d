"""What to do with a run whose claims keep leading nowhere.

Source: the poison-message pattern (a receive count with a dead-letter queue, Amazon SQS ``maxReceiveCount``),
corrected for shared workers: dying beside a killer looks like being one, so a suspect is first tried alone. One trial
proves nothing by itself, because a worker may also be killed from outside (by an operator, by the kernel when another
process swells): it takes two that come to nothing. Only claims in a row without a new event count; any progress clears
the suspicion.
"""

from __future__ import annotations

from typing import Literal

import msgspec

Decision = Literal["claim", "trial", "quarantine"]


class Quarantine(msgspec.Struct, frozen=True):
    """`claims_without_progress_max`: so many claims in a row without a new event make a run a suspect.

    `trials_alone_max`: so many trials alone in that row that came to nothing either send it to quarantine.
    """

    claims_without_progress_max: int = 3
    trials_alone_max: int = 2


def decide(policy: Quarantine, fruitless: int, trials: int, alone: bool) -> Decision:
    """Whether a worker may claim a run.

    `fruitless` counts the claims just before, in a row, that no other event followed; `trials` how many of those
    were trials alone in a worker; `alone` says whether this worker was started for this run only. ``trial`` means: do
    not claim, ask for a worker alone.
    """
    if fruitless < policy.claims_without_progress_max:
        return "claim"
    if trials >= policy.trials_alone_max:
        return "quarantine"
    return "claim" if alone else "trial"
