"""What ``outlast run --crash-in TOOL`` proved, told from the run's events."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from outlast.cli.output import note
from outlast.cli.story import took


def tell_crash(events: Sequence[dict[str, Any]], tool: str, *, killed: bool) -> bool:
    """Say on standard error what was killed, how long recovery took, and whether the effect was repeated.

    False if nothing was killed, so that nothing was shown.
    """
    if not killed:
        names = sorted({str(event["data"]["name"]) for event in events if event["type"] == "step.done"})
        note(f"nothing was killed: the run never came to the end of {tool!r} (its steps: {', '.join(names) or 'none'})")
        return False
    claims = [event for event in events if event["type"] == "run.claimed"]
    if len(claims) > 1:
        died, took_over = claims[0]["data"]["worker"], claims[1]
        before = max(float(event["at"]) for event in events if event["seq"] < took_over["seq"])
        note(
            f"worker {died} was killed after the effect of {tool} and before its record; {took_over['data']['worker']} "
            f"took over, {took(float(took_over['at']) - before)} after the last recorded event"
        )
    note(_effect(events, tool))
    return True


def _effect(events: Sequence[dict[str, Any]], tool: str) -> str:
    steps: list[dict[str, Any]] = [event for event in events if "place" in event["data"]]
    places = {event["data"]["place"] for event in steps if event["data"].get("name") == tool}
    ours = [event for event in steps if event["data"]["place"] in places]
    kinds = {event["type"] for event in ours}
    done = [event["data"] for event in ours if event["type"] == "step.done"]
    if "step.intended" not in kinds:
        return f"{tool} is not declared effect='once': it was called again with the same key, as it permits"
    if "step.cleared" in kinds:
        return f"{tool} is effect='once': its verify said that nothing had happened, so it was tried again"
    if done and done[0].get("by") == "verify":
        return f"{tool} is effect='once': its verify found the effect, so it was not repeated"
    if done and done[0].get("by") == "person":
        return f"{tool} is effect='once': a person decided, it was not repeated"
    return f"{tool} is effect='once' and nobody can tell whether it happened: it was not repeated, a person decides"
