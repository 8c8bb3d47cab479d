"""When a child that died is started again.

Source: exponential backoff with full jitter (AWS Architecture Blog, "Exponential Backoff And Jitter", 2015), with the
restart intensity of Erlang/OTP supervisors in mind: a child that lived is forgiven, one that keeps dying is slowed
down. The first restart is immediate, because most deaths are accidents.
"""

from __future__ import annotations

import msgspec


class Restart(msgspec.Struct, frozen=True):
    """The bounds. All times in seconds.

    `first_s` bounds the delay after the second death in a row, doubled for each further one up to `max_s`. A life of
    `forgive_s` forgives one death, a life of `reset_after_s` all of them.
    """

    first_s: float = 0.1
    max_s: float = 10.0
    forgive_s: float = 2.0
    reset_after_s: float = 30.0


class Deaths(msgspec.Struct, frozen=True):
    """How many recent deaths weigh on a child."""

    weight: float = 0.0


def after_death(policy: Restart, deaths: Deaths, lived_s: float, chance: float) -> tuple[Deaths, float]:
    """The new weight, and how many seconds to wait before the restart. `chance` is uniform in [0, 1)."""
    forgiven = deaths.weight if lived_s >= policy.reset_after_s else lived_s / policy.forgive_s
    weight = max(0.0, deaths.weight - forgiven) + 1.0
    if weight < 2.0:
        return Deaths(weight), 0.0
    doublings = min(weight - 2.0, 64.0)
    return Deaths(weight), chance * min(policy.max_s, policy.first_s * 2.0**doublings)
