"""What a step was called with, in short: replay compares it and names a drift."""

from __future__ import annotations

import hashlib
from typing import Any

from outlast.agent.step import StepCall
from outlast.kernel.codec import encode
from outlast.kernel.error import OutlastError


def digest(call: StepCall[Any]) -> str:
    """16 hexadecimal digits that change when the arguments do; parts without a JSON form count by their type."""
    try:
        raw = encode((call.arguments, call.keywords) if call.keywords else call.arguments)
    except OutlastError:
        parts = [_part(value) for value in (*call.arguments, *sorted(call.keywords.items()))]
        raw = b"\x1f".join(parts)
    return hashlib.sha256(raw).hexdigest()[:16]


def _part(value: Any) -> bytes:
    try:
        return encode(value)
    except OutlastError:
        return f"<{type(value).__qualname__}>".encode()
