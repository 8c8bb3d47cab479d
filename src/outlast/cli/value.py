"""JSON that is given on the command line, in a file, or on standard input."""

from __future__ import annotations

import json
import sys
from pathlib import Path
from typing import Any

from outlast.kernel.codec import payload_bytes_max
from outlast.kernel.error import PayloadTooLarge, UsageError


def read_json(text: str, what: str) -> Any:
    """The value of ``JSON``, ``@FILE`` or ``-``. Raises UsageError that says how to write what was meant."""
    source = text
    if text == "-":
        source = _bounded(sys.stdin.buffer.read(payload_bytes_max + 1), what)
    elif text.startswith("@"):
        try:
            with Path(text[1:]).open("rb") as file:
                source = _bounded(file.read(payload_bytes_max + 1), what)
        except OSError as error:
            raise UsageError(f"{what}: {text[1:]} cannot be read: {(error.strerror or str(error)).lower()}") from None
    try:
        return json.loads(source, parse_constant=_refuse_constant)
    except RecursionError:
        raise UsageError(f"{what} is nested too deeply") from None
    except ValueError as error:
        hint = f""" (text is written with quotes: '"{source}"')""" if text.isalnum() else ""
        raise UsageError(f"{what} is not JSON: {str(error).lower()}{hint}") from None


def _bounded(raw: bytes, what: str) -> str:
    if len(raw) > payload_bytes_max:
        raise PayloadTooLarge(f"{what} is larger than payload_bytes_max, {payload_bytes_max} bytes")
    try:
        return raw.decode()
    except UnicodeDecodeError:
        raise UsageError(f"{what} is not UTF-8 text") from None


def _refuse_constant(name: str) -> Any:
    raise ValueError(f"{name} is not JSON")
