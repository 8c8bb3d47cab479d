"""Who may ask: API keys, kept as digests only, and what each is allowed."""

from __future__ import annotations

import hashlib
from collections.abc import Iterable

import msgspec

from outlast.kernel.error import ConfigurationError
from outlast.policy.admission import Priority

key_chars_min = 16
"""A shorter key can be guessed."""


class Grant(msgspec.Struct, frozen=True):
    """What one key allows. `models` empty: all of them; a rate of 0: not bounded."""

    name: str
    models: frozenset[str] = frozenset()
    requests_per_minute: int = 0
    tokens_per_minute: int = 0
    priority: Priority = "normal"
    """The highest that its requests may have, and the one that they have unless they say a lower one."""


class Keys:
    """All keys, by digest: a key is looked up by its SHA-256, so that no comparison takes a time that tells of it."""

    def __init__(self, keys: Iterable[tuple[str, Grant]]) -> None:
        """Keys and their grants. Raises ConfigurationError for one that is too short or there twice."""
        self._grants: dict[bytes, Grant] = {}
        for key, grant in keys:
            if len(key) < key_chars_min or not key.isascii():
                raise ConfigurationError(
                    f"gateway key {grant.name!r} is not usable: write {key_chars_min} or more ASCII characters"
                )
            if digest(key.encode()) in self._grants:
                raise ConfigurationError(f"gateway key {grant.name!r} is the same as another's: give each its own")
            self._grants[digest(key.encode())] = grant

    def __bool__(self) -> bool:
        return bool(self._grants)

    def find(self, key: bytes) -> Grant | None:
        """What a key allows; None if it is not known."""
        return self._grants.get(digest(key))


def digest(key: bytes) -> bytes:
    """What is kept of a key."""
    return hashlib.sha256(key).digest()


def key_in(headers: dict[bytes, bytes]) -> bytes:
    """The key that a request brings: ``Authorization: Bearer …`` or ``x-api-key``; empty if none."""
    scheme, _, given = headers.get(b"authorization", b"").partition(b" ")
    if scheme.lower() == b"bearer":
        return given.strip()
    return headers.get(b"x-api-key", b"")
