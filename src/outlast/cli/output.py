"""What is printed and how: one JSON document, or text for people, with colour only on a terminal."""

from __future__ import annotations

import contextlib
import json
import os
import re
import sys
from collections.abc import Generator
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from rich.console import Console

_CONTROL = re.compile(r"[\x00-\x08\x0b-\x1f\x7f-\x9f\u200e\u200f\u202a-\u202e\u2066-\u2069]")


def plain(text: str) -> str:
    """`text` without what could drive a terminal: what agents and users wrote is data, also on the screen."""
    return _CONTROL.sub("\N{REPLACEMENT CHARACTER}", text)


def short(value: Any, width: int = 100) -> str:
    """A value on one line, at most `width` characters."""
    text = value if isinstance(value, str) else json.dumps(value, ensure_ascii=False, default=str)
    text = " ".join(plain(text).split())
    return text if len(text) <= width else text[: width - 1] + "…"


def print_json(document: Any) -> None:
    """One JSON document on standard output: indented on a terminal, on one line otherwise."""
    print(json_text(document, indent=2 if sys.stdout.isatty() else None))


def json_text(document: Any, indent: int | None = None) -> str:
    """`document` as JSON text that is safe on a terminal."""
    text = json.dumps(document, ensure_ascii=False, indent=indent, default=str)
    return re.sub(r"[\x7f-\x9f\u2028\u2029\ud800-\udfff]", lambda match: f"\\u{ord(match[0]):04x}", text)


def print_error(message: str) -> None:
    """One or two lines on standard error."""
    coloured = sys.stderr.isatty() and not os.environ.get("NO_COLOR")
    label = "\x1b[1;31merror:\x1b[0m" if coloured else "error:"
    with contextlib.suppress(OSError):  # where it cannot be read, the exit code tells
        print(label, plain(message), file=sys.stderr)


def note(message: str) -> None:
    """Progress on standard error."""
    with logged_if_it_can_be():
        print(plain(message), file=sys.stderr, flush=True)


@contextlib.contextmanager
def logged_if_it_can_be() -> Generator[None]:
    """Around lines that nothing depends on: a full disk ends no cell and no run. A reader that has left does."""
    try:
        yield
    except BrokenPipeError:
        raise
    except OSError:
        pass


def width_of(screen: Console) -> int:
    """Columns that a line may take: those of the terminal; in a file or pipe, plenty."""
    return screen.width if screen.is_terminal else 400


def console(stderr: bool = False) -> Console:
    """Rich's console for text and tables. It reads NO_COLOR itself; markup in values stays as written."""
    from rich.console import Console

    return Console(stderr=stderr, markup=False, emoji=False, highlight=False, soft_wrap=False)
