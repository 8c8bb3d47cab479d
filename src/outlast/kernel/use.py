"""What a step has used, noted by whatever it used: guards, model endpoints, a tool about itself."""

from __future__ import annotations

from contextvars import ContextVar

uses_max = 16
"""Names that are kept for one step; more are not."""

used: ContextVar[list[str] | None] = ContextVar("outlast_used", default=None)
"""The names so far, of the step that is performed here; None: no step is."""


def note_use(name: str) -> None:
    """The step that is performed here has asked `name`, whatever came of it. Nothing outside of a step."""
    names = used.get()
    if names is not None and name not in names and len(names) < uses_max:
        names.append(name)
