"""How a queue grows while its readers are away, and how long it takes to drain.

Backlog = arrival rate x outage; drain time = backlog / (capacity - arrival rate), which is never where the capacity
is not above the arrivals (J. D. C. Little, 1961, for the age of what waits: backlog / capacity).
"""

from __future__ import annotations

import math

import msgspec

from outlast.assessment.arithmetic import Line, rate_text, time_text


class Backlog(msgspec.Struct, frozen=True):
    """What an outage leaves in a queue."""

    messages: float
    drain_s: float
    """Seconds from the end of the outage until nothing is late; infinity: never."""
    lines: tuple[Line, ...]


def backlog(arrival: float, capacity: float, outage_s: float) -> Backlog:
    """`arrival` and `capacity` in messages a second."""
    messages = arrival * outage_s
    spare = capacity - arrival
    drain_s = 0.0 if messages == 0 else messages / spare if spare > 0 else math.inf
    lines = (
        Line("arrives meanwhile", f"{messages:.0f} = {rate_text(arrival)} x {time_text(outage_s)}", "declared"),
        Line("drains with what readers have to spare", f"{rate_text(capacity)} - {rate_text(arrival)}", "declared"),
        Line("until nothing waits", time_text(round(drain_s, 1)) if drain_s < math.inf else "never"),
    )
    return Backlog(messages, drain_s, lines)
