"""Who may ask: API keys, kept as digests only, and what each is allowed."""

from __future__ import annotations

import hashlib
from collections.abc import Iterable

from outlast.kernel.error import ConfigurationError
from outlast.policy.admission import Priority
from outlast.policy.limiter import Limit, Limiter

key_chars_min = 16
"""A shorter key can be guessed."""


class Account:
    """What one key allows. `models` empty: all of them."""

    __slots__ = ("limit", "limiter", "models", "name", "priority")

    def __init__(
        self,
        name: str,
        models: frozenset[str] = frozenset(),
        priority: Priority = "normal",
        limit: Limit | None = None,
        limiter: Limiter | None = None,
    ) -> None:
        """`limiter` is that of `limit`, with what was taken of it before; None: nothing is bounded."""
        self.name = name
        self.models = models
        self.priority: Priority = priority
        """The highest that its requests may have, and the one that they have unless they say a lower one."""
        self.limit = limit
        self.limiter = limiter

    def may_ask(self, model: str) -> bool:
        """Whether it may ask for a model."""
        return not self.models or model in self.models


class Keys:
    """All keys, by digest: a key is looked up by its SHA-256, so that no comparison takes a time that tells of it."""

    def __init__(self, keys: Iterable[tuple[str, Account]]) -> None:
        """Keys and what they allow. Raises ConfigurationError for one that is too short or there twice."""
        self._accounts: dict[bytes, Account] = {}
        for key, account in keys:
            if len(key) < key_chars_min or not key.isascii():
                raise ConfigurationError(
                    f"gateway key {account.name!r} is not usable: write {key_chars_min} or more ASCII characters"
                )
            if digest(key.encode()) in self._accounts:
                raise ConfigurationError(f"gateway key {account.name!r} is the same as another's: give each its own")
            self._accounts[digest(key.encode())] = account

    def __bool__(self) -> bool:
        return bool(self._accounts)

    def find(self, key: bytes) -> Account | None:
        """What a key allows; None if it is not known."""
        return self._accounts.get(digest(key))


def digest(key: bytes) -> bytes:
    """What is kept of a key."""
    return hashlib.sha256(key).digest()


def key_in(headers: dict[bytes, bytes]) -> bytes:
    """The key that a request brings: ``Authorization: Bearer …`` or ``x-api-key``; empty if none."""
    scheme, _, given = headers.get(b"authorization", b"").partition(b" ")
    if scheme.lower() == b"bearer":
        return given.strip()
    return headers.get(b"x-api-key", b"")
