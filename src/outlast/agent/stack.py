"""Where in the code of a user an error arose: told in the log of the process; the journal keeps only what it said."""

from __future__ import annotations

import logging
import re
import traceback
from pathlib import Path

_log = logging.getLogger("outlast.failed")
_own = f"{Path(__file__).parent.parent}/"
_chars_max = 20_000
_CONTROL = re.compile(r"[\x00-\x08\x0b-\x1f\x7f-\x9f\ud800-\udfff]")  # what an error says is data, also in a terminal


def tell_where(what: str, error: BaseException) -> None:
    """The traceback of `error` without the frames of Outlast itself, under a line that says what failed.

    Nothing where nobody listens, nor for an error that did not arise in the user's code.
    """
    if not _log.hasHandlers():
        return
    told = traceback.TracebackException.from_exception(error)
    _without_own(told)
    if not told.stack:
        return
    text = "".join(told.format())[:_chars_max].rstrip()
    _log.warning("%s\n%s", what, _CONTROL.sub(lambda found: repr(found[0])[1:-1], text))


def log_to_stderr() -> None:
    """Have it on standard error, unless the app says by itself where its log goes."""
    if not _log.hasHandlers():
        handler = logging.StreamHandler()
        handler.setFormatter(logging.Formatter("%(asctime)s %(message)s"))
        _log.addHandler(handler)


def _without_own(told: traceback.TracebackException) -> None:
    waiting = [told]
    while waiting:
        one = waiting.pop()
        theirs = [frame for frame in one.stack if not frame.filename.startswith(_own)]
        one.stack = traceback.StackSummary.from_list(theirs)
        waiting += [inner for inner in (one.__cause__, one.__context__, *(one.exceptions or ())) if inner is not None]
