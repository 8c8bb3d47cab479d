"""Dies at a named place, once: the listener behind crash drills and ``outlast run --crash-in``."""

from __future__ import annotations

import os
import signal
from collections.abc import Mapping
from fnmatch import fnmatchcase
from pathlib import Path
from typing import get_args

from outlast.kernel.error import ConfigurationError
from outlast.kernel.point import NoPoints, Place, Points

crash_variable = "OUTLAST_CRASH"
token_variable = "OUTLAST_CRASH_TOKEN"  # noqa: S105 (the name of a variable)


class CrashPoint:
    """SIGKILLs its own process when the place is reached for the nth time about a matching subject.

    Only the process that removes the token file dies, so of many processes with the same orders one dies, once: a
    worker that takes over does not die at the same place again. `subject` is a shell pattern (``*`` and ``?``).
    """

    def __init__(self, place: Place, token: Path, subject: str = "*", nth: int = 1) -> None:
        self._place = place
        self._token = token
        self._subject = subject
        self._left = nth

    def reach(self, place: Place, subject: str = "") -> None:
        if place != self._place or not fnmatchcase(subject, self._subject):
            return
        self._left -= 1
        if self._left > 0:
            return
        try:
            self._token.unlink()
        except OSError:
            return
        os.kill(os.getpid(), signal.SIGKILL)


def crash_points(environment: Mapping[str, str]) -> Points:
    """The listener that the environment orders; nobody listens if it orders none.

    ``OUTLAST_CRASH=place[:subject][#nth]`` and ``OUTLAST_CRASH_TOKEN=file``. Raises ConfigurationError.
    """
    order = environment.get(crash_variable, "")
    if not order:
        return NoPoints()
    token = environment.get(token_variable, "")
    if not token:
        raise ConfigurationError(f"{crash_variable} is set but {token_variable} is not: name the file that permits it")
    rest, _, nth = order.partition("#")
    name, _, subject = rest.partition(":")
    place: Place | None = next((known for known in get_args(Place) if known == name), None)
    if place is None:
        raise ConfigurationError(
            f"{crash_variable} names the place {name[:40]!r}, which does not exist: "
            f"use one of {', '.join(get_args(Place))}"
        )
    if nth and not (nth.isdigit() and int(nth) > 0):
        raise ConfigurationError(f"{crash_variable} ends in '#{nth[:20]}': write '#' and a number from 1")
    return CrashPoint(place, Path(token), subject or "*", int(nth) if nth else 1)
