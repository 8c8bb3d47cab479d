"""Whether a process that should beat is alive, silent or hung, as its observer sees it.

Source: the eventually perfect failure detector of Chandra and Toueg ("Unreliable Failure Detectors for Reliable
Distributed Systems", JACM 1996) with a fixed time-out. Beats are counters aged by the observer's own monotonic clock,
because no other clock can be trusted. Being wrong costs time, never correctness: a silent process that comes back is
alive again.
"""

from __future__ import annotations

from typing import Literal

import msgspec

Verdict = Literal["alive", "silent", "hung"]


class Heartbeat(msgspec.Struct, frozen=True):
    """The bounds, in seconds: from when on it counts as silent, from when on as hung."""

    silent_after_s: float = 1.0
    hung_after_s: float = 10.0


class Pulse(msgspec.Struct, frozen=True):
    """What the observer knows: the highest counter heard, and by its own monotonic clock when it heard and looked."""

    count: int
    heard_at: float
    looked_at: float
    verdict: Verdict = "alive"


def begin(now: float) -> Pulse:
    """The pulse of a process that has just said it is ready."""
    return Pulse(0, now, now)


def beat(pulse: Pulse, count: int, now: float) -> Pulse:
    """After a beat. One that is old or doubled (a counter not above the highest heard) changes nothing."""
    if count <= pulse.count:
        return pulse
    return Pulse(count, now, max(now, pulse.looked_at), "alive")


def look(policy: Heartbeat, pulse: Pulse, now: float) -> Pulse:
    """After the observer looked.

    An observer that itself did not run since its last look (a paused machine, a starved process) blames nobody for
    that time: what exceeds a quarter of `silent_after_s` since the last look is added to `heard_at`. A hung process
    stays hung: whoever is told so kills it.
    """
    gap = now - pulse.looked_at
    if gap < 0:
        return pulse
    heard_at = min(now, pulse.heard_at + max(0.0, gap - policy.silent_after_s / 4))
    age = now - heard_at
    verdict: Verdict = pulse.verdict
    if verdict != "hung":
        if age >= policy.hung_after_s:
            verdict = "hung"
        elif age >= policy.silent_after_s:
            verdict = "silent"
    return Pulse(pulse.count, heard_at, now, verdict)
