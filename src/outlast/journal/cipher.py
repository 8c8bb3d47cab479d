"""A key and what it does: deterministic authenticated encryption, AES-256-SIV (RFC 5297).

Deterministic, so that a retry sends identical bytes and the same blob has one name; it leaks no more than that two
texts are equal, and only where both are bound to the same place. It needs no nonce that could repeat.
"""

from __future__ import annotations

import functools
import hashlib
import re
from typing import Any

from outlast.kernel.error import ConfigurationError, StoreCorrupt

key_bytes = 64
"""The size of a key: 32 bytes to authenticate, 32 to encrypt."""

_ID = re.compile(r"[A-Za-z0-9][A-Za-z0-9_.@/-]{0,199}\Z")


def is_key_id(text: str) -> bool:
    """Whether `text` can be the identifier of a key: 1 to 200 letters, digits, ``_ . @ / -``."""
    return _ID.match(text) is not None


def fingerprint(material: bytes) -> str:
    """Eight hexadecimal digits that tell keys apart and say nothing else about them."""
    return hashlib.sha256(b"outlast:key:1:" + material).hexdigest()[:8]


class Key:
    """One key. `id` stands in everything that it seals; the key itself is nowhere to be seen."""

    __slots__ = ("_cipher", "id")

    def __init__(self, id: str, material: bytes) -> None:
        """`material` is `key_bytes` long. Raises ConfigurationError, also without the extra ``crypto``."""
        if not is_key_id(id):
            raise ConfigurationError(f"key id {id[:40]!r} is not valid: use letters, digits, '_', '.' or '-'")
        if len(material) != key_bytes:
            raise ConfigurationError(
                f"key {id} has {len(material)} bytes, expected {key_bytes}: make one with `outlast keys new`"
            )
        self.id = id
        self._cipher = _siv()(material)

    def __repr__(self) -> str:
        return f"Key({self.id!r})"

    def seal(self, plain: bytes, bound_to: bytes) -> bytes:
        """`plain` encrypted, 17 bytes longer. It opens only with the same `bound_to`, which is not in it."""
        return self._cipher.encrypt(b"\x01" + plain, [bound_to])  # one byte more, since it takes no empty text

    def open(self, sealed: bytes, bound_to: bytes) -> bytes:
        """What was sealed. Raises StoreCorrupt if a byte of it, or where it is bound to, is another."""
        from cryptography.exceptions import InvalidTag

        try:
            return self._cipher.decrypt(sealed, [bound_to])[1:]
        except (InvalidTag, ValueError):
            raise StoreCorrupt(
                f"what was sealed with key {self.id} is not what was written, or stands in another place: "
                "see `outlast audit verify`"
            ) from None


@functools.cache
def _siv() -> Any:
    try:
        from cryptography.hazmat.primitives.ciphers.aead import AESSIV
    except ImportError:
        raise ConfigurationError("encryption needs the extra: pip install 'outlast[crypto]'") from None
    return AESSIV
