"""A Sealer for tests: keys by name, made of it."""

from __future__ import annotations

import hashlib

from outlast.journal.cipher import Key, fingerprint
from outlast.kernel.error import StoreSealed


def key_named(name: str, salt: str = "") -> Key:
    material = hashlib.sha512(f"{name}{salt}".encode()).digest()
    return Key(f"{name}.{fingerprint(material)}", material)


class Ring:
    """The first key seals, all open."""

    def __init__(self, *keys: Key) -> None:
        self.keys = list(keys) or [key_named("k1")]
        self.fetched: list[str] = []

    @property
    def current(self) -> Key:
        return self.keys[0]

    def known(self, id: str) -> Key | None:
        return next((key for key in self.keys if key.id == id), None)

    async def fetch(self, id: str) -> Key:
        self.fetched.append(id)
        raise StoreSealed(f"key {id} is not here")
