"""Arithmetic that can be read: every number with its unit and where it comes from."""

from __future__ import annotations

import math
from typing import Literal

import msgspec

from outlast.assessment.figure import Figure

Origin = Literal["declared", "default", "documented", "measured", "computed"]
"""Where a number comes from."""


class Line(msgspec.Struct, frozen=True):
    """One line of a sum: ``detection  30 s  = 3 probes of 10 s  (declared: regions.edge.probe)``."""

    text: str
    value: str
    """The number with its unit, as it is shown; empty: a remark."""
    source: Origin = "computed"
    reference: str = ""

    def __str__(self) -> str:
        if not self.value:
            return self.text
        if self.source == "computed" and not self.reference:
            return f"{self.text}: {self.value}"
        origin = f"{self.source}: {self.reference}" if self.reference else self.source
        return f"{self.text}: {self.value} ({origin})"


def time_text(seconds: float) -> str:
    """Seconds in the unit that reads best: ``0s``, ``300ms``, ``1.25h``; ``never`` for infinity."""
    if seconds == 0 or not math.isfinite(seconds):
        return "0s" if seconds == 0 else "never"
    for unit, factor in (("d", 86400.0), ("h", 3600.0), ("m", 60.0), ("s", 1.0)):
        if seconds >= factor:
            return f"{seconds / factor:.3g}{unit}"
    return f"{seconds * 1000:.3g}ms"


def loss_text(share: float) -> str:
    """A small share as per cent: 0.000021 -> ``0.0021%``."""
    return f"{share * 100:.2g}%"


def duration_line(text: str, figure: Figure) -> Line:
    """A line about seconds."""
    return Line(text, time_text(figure.value), figure.source, figure.reference)


def share_text(value: float) -> str:
    """A share as per cent with the digits that matter: 0.9995 -> ``99.95%``, 0.999987 -> ``99.9987%``."""
    if value >= 1:
        return "100%"
    lost = 1 - value
    digits = 0
    while lost * 100 < 10 ** (1 - digits) and digits < 8:
        digits += 1
    text = f"{value * 100:.{digits}f}"
    return f"{text.rstrip('0').rstrip('.') if digits else text}%"


def rate_text(value: float) -> str:
    """Requests a second, in the unit that reads best."""
    if value == 0 or value >= 1:
        return f"{value:g}/s"
    return f"{value * 60:.3g}/m" if value * 60 >= 1 else f"{value * 3600:.3g}/h"
