"""Quantities with their units, as users write them: ``500ms 5s 10m``, ``64KiB``, ``0.25USD``, ``20%``, ``1500/m``.

Each is read by one function and written by another, so that what is written reads back as the same number.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from datetime import timedelta

from outlast.kernel.error import ConfigurationError

_SECONDS = {"ms": 0.001, "s": 1.0, "m": 60.0, "h": 3600.0, "d": 86400.0}
_BYTES = {"B": 1, "KiB": 1 << 10, "MiB": 1 << 20, "GiB": 1 << 30, "TiB": 1 << 40}
_QUANTITY = re.compile(r"\s*([0-9]{1,15}(?:\.[0-9]{1,15})?)\s*([A-Za-z]+)\s*\Z")
_SHARE = re.compile(r"\s*([0-9]{1,15}(?:\.[0-9]{1,15})?)\s*%\s*\Z")
_TIMES = re.compile(r"\s*([0-9]{1,15}(?:\.[0-9]{1,15})?)\s*x\s*\Z")
_RATE = re.compile(r"\s*([0-9]{1,15}(?:\.[0-9]{1,15})?)\s*/\s*([smhd])\s*\Z")
_SPENDING = re.compile(r"\s*([0-9]{1,15}(?:\.[0-9]{1,15})?)\s*USD\s*/\s*(hour|day|month|year)\s*\Z")
_BURN_RATE = re.compile(r"\s*(\S+)\s+over\s+(\S+)\s*\Z")

hours_per_month = 730.0
"""Of an average month: a year is 8,760 hours."""
_shown_max = 64
"""Characters of what was found that an error shows."""
_digits_max = 15
"""More says nothing: a float has 15 to 17."""
_MONTHS = {"hour": 1 / hours_per_month, "day": 24 / hours_per_month, "month": 1.0, "year": 12.0}

Duration = str | float | int | timedelta
"""Seconds as a number, a `timedelta`, or text with a unit such as ``"30s"``."""


def _shown(value: object) -> str:
    """What was found, on one short line."""
    text = repr(value)
    return text if len(text) <= _shown_max else f"{text[:_shown_max]}…"


def _parse(text: str, units: dict[str, float] | dict[str, int], what: str) -> float:
    match = _QUANTITY.match(text)
    if match is None or match[2] not in units:
        raise ConfigurationError(
            f"{what} {_shown(text)} is not understood: write a number and one of {', '.join(units)}"
        )
    return float(match[1]) * units[match[2]]


def seconds(value: Duration) -> float:
    """A duration in seconds; raises ConfigurationError for what is not one."""
    if isinstance(value, timedelta):
        result = value.total_seconds()
    elif isinstance(value, str):
        result = _parse(value, _SECONDS, "duration")
    else:
        result = float(value)
    if not 0 <= result < 1e10:
        raise ConfigurationError(f"duration {_shown(value)} is not understood: write zero or more, less than 300 years")
    return result


def size(value: str | int) -> int:
    """A size in bytes."""
    result = int(_parse(value, _BYTES, "size")) if isinstance(value, str) else value
    if result < 0:
        raise ConfigurationError(f"size {value!r} is negative: write zero or more bytes")
    return result


def usd(value: str | float | int) -> float:
    """An amount of money in US dollars."""
    return _parse(value, {"USD": 1.0}, "amount") if isinstance(value, str) else float(value)


def share(text: str) -> float:
    """A share of one, written in per cent: ``20%`` is 0.2."""
    match = _SHARE.match(text)
    if match is None or float(match[1]) > 100:
        raise ConfigurationError(f"share {_shown(text)} is not understood: write 0% to 100%")
    return float(match[1]) / 100


def times(text: str) -> float:
    """How many times as much: ``3x`` is 3."""
    match = _TIMES.match(text)
    if match is None:
        raise ConfigurationError(f"factor {_shown(text)} is not understood: write for example 3x")
    return float(match[1])


def rate(text: str) -> float:
    """How often in a second: ``1500/m`` is 25."""
    match = _RATE.match(text)
    if match is None:
        raise ConfigurationError(f"rate {_shown(text)} is not understood: write a number and one of /s, /m, /h, /d")
    return float(match[1]) / _SECONDS[match[2]]


def spending(text: str) -> float:
    """US dollars in a month of 730 hours: ``9000USD/month`` is 9000, ``1USD/hour`` is 730."""
    match = _SPENDING.match(text)
    if match is None:
        raise ConfigurationError(f"amount {_shown(text)} is not understood: write for example 9000USD/month")
    return float(match[1]) / _MONTHS[match[2]]


def burn_rate(text: str) -> tuple[float, float]:
    """How many times as fast, and over how many seconds: ``14x over 1h`` is (14, 3600)."""
    match = _BURN_RATE.match(text)
    if match is None:
        raise ConfigurationError(f"burn rate {_shown(text)} is not understood: write for example 14x over 1h")
    return times(match[1]), seconds(match[2])


def duration_text(value: float) -> str:
    """Seconds as a short text that `seconds` reads back: 90 -> ``1.5m``."""
    for unit, factor in (("d", 86400.0), ("h", 3600.0), ("m", 60.0), ("s", 1.0)):
        if value >= factor:
            return f"{value / factor:g}{unit}"
    return f"{value * 1000:g}ms"


def duration_exactly(value: float) -> str:
    """Seconds as text in the largest unit that needs the fewest decimals; `seconds` reads the same number: ``90s``."""
    return _exactly(value, {"d": 86400.0, "h": 3600.0, "m": 60.0, "s": 1.0, "ms": 0.001}, "s", seconds)


def size_exactly(value: int) -> str:
    """Bytes as text in the largest unit without decimals: ``64KiB``."""
    return _exactly(float(value), {"TiB": 1 << 40, "GiB": 1 << 30, "MiB": 1 << 20, "KiB": 1 << 10, "B": 1}, "B", size)


def usd_exactly(value: float) -> str:
    """Dollars as text: ``0.25USD``."""
    return _exactly(value, {"USD": 1.0}, "USD", usd)


def spending_exactly(value: float) -> str:
    """Dollars in a month as text: ``9000USD/month``."""
    return _exactly(value, {"USD/month": 1.0}, "USD/month", spending)


def share_exactly(value: float) -> str:
    """A share of one as text: ``99.95%``."""
    return _exactly(value, {"%": 0.01}, "%", share)


def times_exactly(value: float) -> str:
    """A factor as text: ``3x``."""
    return _exactly(value, {"x": 1.0}, "x", times)


def rate_exactly(value: float) -> str:
    """How often in a second as text, by the shortest time that needs the fewest decimals: ``25/s``."""
    return _exactly(value, {"/s": 1.0, "/m": 1 / 60, "/h": 1 / 3600, "/d": 1 / 86400}, "/s", rate)


def number_exactly(value: float) -> str:
    """A number without a unit."""
    return _exactly(value, {"": 1.0}, "", float)


def _exactly(value: float, units: Mapping[str, float], plain: str, read: Callable[[str], float | int]) -> str:
    """The shortest text that `read` takes for `value`; in `plain` if rounding leaves none."""
    for digits in range(_digits_max + 1):
        for unit, factor in units.items():
            text = f"{value / factor:.{digits}f}{unit}"
            if (unit == plain or factor <= value < factor * 1e12) and read(text) == value:
                return text
    return f"{value / units[plain]:.{_digits_max}f}{plain}"
