"""Names of things: identifiers that sort by creation time, and what a valid name is."""

from __future__ import annotations

import re

from outlast.kernel.clock import Clock
from outlast.kernel.error import UsageError
from outlast.kernel.randomness import Randomness

_ALPHABET = "0123456789abcdefghjkmnpqrstvwxyz"  # Crockford's base 32: no i, l, o, u
_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9_.-]{0,127}\Z")
_BUCKET = re.compile(r"[a-z0-9][a-z0-9.-]{1,61}[a-z0-9]\Z")


def _base32(value: int, digits: int) -> str:
    out = [""] * digits
    for index in range(digits - 1, -1, -1):
        out[index] = _ALPHABET[value & 31]
        value >>= 5
    return "".join(out)


def new_id(prefix: str, clock: Clock, randomness: Randomness) -> str:
    """``prefix_`` and 22 characters: 9 of milliseconds since 1970, 13 random ones (65 bits). Sorts by creation."""
    millis = int(clock.now() * 1000)
    return f"{prefix}_{_base32(millis, 9)}{new_token(randomness)}"


def new_token(randomness: Randomness) -> str:
    """13 random characters (65 bits): for what only has to differ from its rivals, and stands in every record."""
    return _base32(int.from_bytes(randomness.token(9), "big"), 13)


def check_name(kind: str, name: str) -> str:
    """`name` itself if it is a valid name; raises UsageError otherwise. 1-128 of letters, digits, ``_ . -``."""
    if not _NAME.match(name):
        shown = name[:40] + ("…" if len(name) > 40 else "")
        raise UsageError(
            f"{kind} name {shown!r} is not valid: use 1 to 128 letters, digits, '_', '.' or '-', "
            "starting with a letter or digit"
        )
    return name


def is_bucket(name: str) -> bool:
    """Whether a bucket of S3 may be called so: 3 to 63 lower-case letters, digits, dots and hyphens."""
    return _BUCKET.match(name) is not None
