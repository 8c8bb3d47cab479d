"""A run's events and steps as lines that people read."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import UTC, datetime
from typing import Any, cast

from rich.text import Text

from outlast.cli.output import short

_END = {
    "run.completed": ("completed", "bold green"),
    "run.failed": ("failed", "bold red"),
    "run.cancelled": ("cancelled", "bold yellow"),
    "run.continued": ("continued in another run", "bold cyan"),
}

_STATES = {
    "completed": "green",
    "done": "green",
    "failed": "red",
    "quarantined": "bold red",
    "held": "bold yellow",
    "in_doubt": "bold yellow",
    "cancelled": "yellow",
    "running": "cyan",
    "ready": "cyan",
    "parked": "dim",
    "waiting": "dim",
    "abandoned": "dim",
    "retrying": "yellow",
}


def took(seconds: float) -> str:
    """A duration as people write it: ``3 ms``, ``1.2 s``, ``5 m 03 s``."""
    if seconds < 0:
        return "0 ms"
    if seconds < 1:
        return f"{seconds * 1000:.0f} ms"
    if seconds < 60:
        return f"{seconds:.1f} s"
    minutes, rest = divmod(round(seconds), 60)
    if minutes < 60:
        return f"{minutes} m {rest:02d} s"
    hours, minutes = divmod(minutes, 60)
    if hours < 48:
        return f"{hours} h {minutes:02d} m"
    return f"{hours // 24} d {hours % 24} h"


def moment(at: float) -> str:
    """A time as people read it, in the zone of this machine; "-" for none."""
    return datetime.fromtimestamp(at, UTC).astimezone().strftime("%Y-%m-%d %H:%M:%S") if at else "-"


def failure(error: Any) -> str:
    """A recorded exception on one line."""
    fields = _mapping(error)
    if "message" not in fields:
        return short(error, 300)
    name = str(fields.get("type", "")).rsplit(".", 1)[-1]
    step = (
        f" (step {fields['step']} {fields.get('name', '')}, attempt {fields.get('attempt')})"
        if "step" in fields
        else ""
    )
    return short(f"{name}: {fields['message']}{step}", 300)


def _mapping(value: Any) -> dict[str, Any]:
    return cast("dict[str, Any]", value) if isinstance(value, dict) else {}


def state_style(state: str) -> str:
    """Rich's style for the state of a run or a step."""
    return _STATES.get(state, "")


def advice(view: Mapping[str, Any]) -> list[str]:
    """What a person can do about a run that waits for one."""
    run = view["run"]
    held = [step for step in view["steps"] if step["state"] == "held"]
    lines = [
        f"decide step {step['place']} ({step['name']}): "
        f"outlast resolve {run} {step['place']} --done JSON | --retry | --fail"
        for step in held
        if view["state"] == "held"
    ]
    if view["state"] == "quarantined" or (view["state"] == "held" and not lines):
        lines.append(f"let it try again: outlast redrive {run}")
    return lines


class Teller:
    """Turns a run's events into lines, one event at a time; remembers what a line needs to know of earlier ones."""

    def __init__(self, width: int = 120) -> None:
        self._began: float | None = None
        self._owner = ""
        self._names: dict[str, str] = {}
        self._width = max(width, 60)

    def line(self, event: Mapping[str, Any], *, everything: bool = False) -> Text | None:
        """The line for one event; None for what only machines care about, unless `everything` is wanted."""
        data: Mapping[str, Any] = event["data"]
        at = float(event["at"])
        if self._began is None:
            self._began = at
        if data.get("name") and data.get("place"):
            self._names[str(data["place"])] = str(data["name"])
        told = self._tell(str(event["type"]), data, at)
        if told is None and not everything:
            return None
        mark, style, text = told or ("·", "dim", f"{event['type']} {short(data, self._width)}")
        head = f"{at - self._began:8.3f} s  "
        return Text.assemble((head, "dim"), (f"{mark} ", style), short(text, self._width - len(head) - 2))

    def _tell(self, kind: str, data: Mapping[str, Any], at: float) -> tuple[str, str, str] | None:
        if kind in _END:
            return self._end(kind, data)
        family = kind.partition(".")[0]
        if family == "run":
            return self._run(kind, data)
        if family == "step":
            return self._step(kind, data, at)
        return self._wait(kind, data, at)

    def _end(self, kind: str, data: Mapping[str, Any]) -> tuple[str, str, str]:
        word, style = _END[kind]
        mark = {"run.completed": "●", "run.failed": "✗"}.get(kind, "■")
        if kind == "run.failed":
            where = f" at step {data['place']} {data.get('name', '')}" if data.get("place") else ""
            attempt = f", attempt {data['attempt']}" if data.get("attempt") else ""
            return mark, style, f"{word}{where}{attempt}: {failure(data.get('error'))}"
        if kind == "run.completed":
            return mark, style, f"{word}: {short(data.get('value'))}"
        return mark, style, f"{word}: {data.get('reason') or data.get('run') or ''}"

    def _run(self, kind: str, data: Mapping[str, Any]) -> tuple[str, str, str] | None:
        if kind == "run.claimed":
            before, self._owner = self._owner, str(data.get("worker", ""))
            if before:
                return "↻", "bold magenta", f"worker {self._owner} takes over from {before}"
            return "▸", "cyan", f"worker {self._owner} has it"
        if kind in ("run.released", "run.parked", "run.quarantined"):
            before, self._owner = self._owner, ""
            if kind == "run.released":
                return "▹", "cyan", f"worker {before} lets go of it"
        lost = f"{'events' if data.get('of') == 'run' else 'messages'} {data.get('first')} to {data.get('last')}"
        how = "a failover lost what was acknowledged"
        if data.get("cause") == "restore":
            how = "the journal was restored to before"
            if int(data.get("last") or 0) < int(data.get("first") or 0):
                lost = lost.replace(f" to {data.get('last')}", " and later, if there were any")
        texts = {
            "run.created": ("○", "cyan", f"created, agent {data.get('agent')}"),
            "run.parked": ("·", "dim", f"rests outside any worker: {data.get('reason')}"),
            "run.held": ("!", "bold yellow", f"held for a person: {data.get('reason')}"),
            "run.quarantined": ("!", "bold red", f"quarantined: {data.get('reason')}"),
            "run.redriven": ("↻", "cyan", "redriven by a person"),
            "run.lost": ("!", "bold red", f"{how}: {lost}"),
            "run.cancelling": ("■", "yellow", f"cancellation was asked for: {data.get('reason')}"),
            "run.trial": ("·", "dim", "will be tried in a worker of its own"),
        }
        return texts.get(kind)

    def _step(self, kind: str, data: Mapping[str, Any], at: float) -> tuple[str, str, str] | None:
        place = str(data.get("place", ""))
        name = f"{place} {self._names.get(place, '')}"
        if kind == "step.done":
            by = {"verify": "  (verify: it had happened, not repeated)", "person": "  (decided by a person)"}
            took_s = at - float(data.get("started_at") or at)
            attempt = f", attempt {data['attempt']}" if data.get("attempt", 1) > 1 else ""
            value = short(data.get("value"), 60)
            text = f"{name}{by.get(str(data.get('by')), '')} → {value}  ({took(took_s)}{attempt})"
            return "✓", "green", text
        if kind == "step.failed":
            return "✗", "red", f"{name} failed, attempt {data.get('attempt')}: {failure(data.get('error'))}"
        if kind == "step.retried":
            wait_s = max(float(data.get("next_at") or at) - at, 0.0)
            text = f"{name} attempt {data.get('attempt')} failed, again in {took(wait_s)}: {failure(data.get('error'))}"
            return "↺", "yellow", text
        texts = {
            "step.intended": ("…", "dim", f"{name} begins (once), attempt {data.get('attempt')}"),
            "step.doubted": ("?", "bold yellow", f"{name} in doubt: {data.get('reason')}"),
            "step.cleared": ("↺", "yellow", f"{name} surely did not happen (by {data.get('by')}): another attempt"),
            "step.abandoned": ("-", "dim", f"{name} abandoned by the agent"),
            "step.drifted": ("~", "yellow", f"{name} drift: the code asks otherwise now, the recorded result stands"),
        }
        return texts.get(kind)

    def _wait(self, kind: str, data: Mapping[str, Any], at: float) -> tuple[str, str, str] | None:
        place = str(data.get("place", ""))
        value = short(data.get("value"), 60)
        texts = {
            "timer.set": ("·", "dim", f"{place} sleeps {took(float(data.get('fire_at') or at) - at)}"),
            "child.started": ("·", "dim", f"{place} {data.get('name')} goes on as run {data.get('run')}"),
            "timer.fired": ("✓", "green", f"{place} slept"),
            "signal.awaited": ("·", "dim", f"{place} waits for signal {data.get('name')}"),
            "signal.consumed": (
                "✓",
                "green",
                f"{place} signal {data.get('name')}: {value}",
            ),
            "signal.timed_out": ("✓", "yellow", f"{place} signal {data.get('name')} did not come in time"),
        }
        return texts.get(kind)
