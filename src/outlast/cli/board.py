"""What `outlast up` shows: its processes and runs as a table that changes, and what happens as lines."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import msgspec
from rich.console import Group, RenderableType
from rich.table import Table
from rich.text import Text

from outlast.cell import event as news
from outlast.cell.member import ChildView
from outlast.cli.output import short
from outlast.cli.story import took

_STYLES = {"up": "green", "starting": "cyan", "silent": "bold yellow", "leaving": "dim", "killed": "bold red"}
_UNTOLD = frozenset({"ChildStarted"})
"""Events that lines for people leave out: what follows them says more."""


def table_of(children: Sequence[ChildView], where: str, name: str, now: float) -> RenderableType:
    """The live display. `where` is the server's address once it serves, `now` the monotonic time."""
    runs = sum(child.runs for child in children if child.kind == "worker")
    head = Text.assemble(
        (short(name), "bold"), "  ", (where or "starting …", "cyan"), "  ", f"{runs} runs in flight" if runs else ""
    )
    table = Table(box=None, pad_edge=False, header_style="bold")
    for heading in ("process", "kind", "state", "pid", "runs", "memory", "up for"):
        table.add_column(heading, justify="right" if heading in ("pid", "runs", "memory", "up for") else "left")
    for child in children:
        kind = f"{child.kind} of {child.pool}" if child.pool not in ("", "default") else child.kind
        table.add_row(
            Text(short(child.id)),
            Text(short(kind + (f", only for {child.solo_for}" if child.solo_for else ""))),
            Text(child.state, _STYLES.get(child.state, "")),
            str(child.pid),
            str(child.runs) if child.kind == "worker" else "",
            f"{child.memory / (1 << 20):.0f} MiB" if child.memory else "",
            took(now - child.since),
        )
    return Group(head, table, Text("Ctrl-C once: finish what is in flight · twice: stop at once", "dim"))


def line_of(event: news.CellEvent) -> Text | None:
    """The line for people; None for what they need not see."""
    name = type(event).__name__
    if name in _UNTOLD:
        return None
    text, style = _tell(event)
    return Text(short(text, 400), style)


def _tell(event: news.CellEvent) -> tuple[str, str]:
    match event:
        case news.ChildReady():
            at = f" at {event.address}" if event.address else ""
            return f"{event.kind} {event.id} serves{at} ({took(event.after_s)} after its start)", "green"
        case news.ChildSilent():
            return f"{event.kind} {event.id} gives no sign of life: its runs go elsewhere", "bold yellow"
        case news.ChildBack():
            return f"{event.kind} {event.id} is back", "green"
        case news.ChildLeaving():
            return f"{event.kind} {event.id} finishes what it has", "dim"
        case news.ChildKilled():
            return f"{event.kind} {event.id} was killed: {event.why}", "bold red"
        case news.ChildDead():
            how = f"by signal {-event.status}" if event.status < 0 else f"with status {event.status}"
            then = "" if event.restart_in_s is None else f"; another one starts in {took(event.restart_in_s)}"
            style = "bold red" if event.status else "dim"
            return f"{event.kind} {event.id} ended {how}, after {took(event.lived_s)}{then}", style
        case news.ChildSaid():
            style = {"warning": "yellow", "error": "bold red"}.get(event.level, "")
            return f"{event.id}: {event.text}", style
        case news.CellFailed():
            return f"the cell cannot work: {event.message}", "bold red"
        case news.CellStopped():
            return "stopped", "dim"
        case news.ChildStarted():
            return f"{event.kind} {event.id} starts, process {event.pid}", "dim"


def document_of(event: news.CellEvent, at: float) -> dict[str, Any]:
    """The JSON line: the event's fields, ``t`` for its kind, ``at`` in seconds since 1970."""
    fields: dict[str, Any] = msgspec.to_builtins(event)
    fields.pop("type", None)
    return {"t": type(event).__name__, "at": round(at, 3), **fields}
