"""The text that holds keys: ``{"keys": [{"id": "k2", "key": "base64…"}, …]}``, the newest first."""

from __future__ import annotations

import msgspec

from outlast.journal.cipher import Key, fingerprint, key_bytes
from outlast.kernel.error import ConfigurationError
from outlast.kernel.identity import check_name
from outlast.kernel.randomness import Randomness

keys_max = 1000
"""Bound of the keys in one document."""
document_bytes_max = 256 * 1024
"""Bound of its text: 256 KiB."""


class Entry(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """One key and its name."""

    id: str
    key: bytes  # base64 in JSON

    @property
    def sealed_as(self) -> str:
        """The identifier that stands in what it seals: a key of the same name with other bytes is another key."""
        return f"{self.id}.{fingerprint(self.key)}"

    def __repr__(self) -> str:
        return f"Entry({self.sealed_as!r})"


class Document(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """All keys, the newest first: it seals, all of them open."""

    keys: list[Entry]

    @classmethod
    def parse(cls, text: bytes | str, where: str) -> Document:
        """Raises ConfigurationError, which names `where` the text is and repeats nothing of it."""
        if len(text) > document_bytes_max:
            raise ConfigurationError(f"{where} is larger than {document_bytes_max} bytes: it holds no keys")
        try:
            document = msgspec.json.decode(text, type=cls)
        except (msgspec.MsgspecError, UnicodeDecodeError, RecursionError):
            raise ConfigurationError(
                f'{where} holds no keys: expected {{"keys": [{{"id": "k1", "key": "base64…"}}]}}; '
                "make them with `outlast keys new`"
            ) from None
        document.check(where)
        return document

    def check(self, where: str) -> None:
        """Raises ConfigurationError."""
        if not 0 < len(self.keys) <= keys_max:
            raise ConfigurationError(f"{where} holds {len(self.keys)} keys, expected 1 to {keys_max}")
        names = [check_name("key", entry.id) for entry in self.keys]
        twice = next((name for name in names if names.count(name) > 1), None)
        if twice is not None:
            raise ConfigurationError(f"{where} holds two keys named {twice}: give each a name of its own")
        for entry in self.keys:
            if len(entry.key) != key_bytes:
                raise ConfigurationError(
                    f"{where}: key {entry.id} has {len(entry.key)} bytes, expected {key_bytes}: "
                    "make one with `outlast keys rotate`"
                )

    def text(self) -> bytes:
        """As it stands in a file."""
        return msgspec.json.format(msgspec.json.encode(self), indent=2) + b"\n"

    def opened(self) -> list[Key]:
        """The keys, ready for use, the newest first. Raises ConfigurationError without the extra ``crypto``."""
        return [Key(entry.sealed_as, entry.key) for entry in self.keys]


def new_document(randomness: Randomness) -> Document:
    """One new key, named k1."""
    return Document([Entry("k1", randomness.token(key_bytes))])


def rotated(document: Document, randomness: Randomness) -> Document:
    """A new key before all others, named by the next number. Raises ConfigurationError if there are too many."""
    numbers = [int(entry.id[1:]) for entry in document.keys if entry.id[:1] == "k" and entry.id[1:].isdecimal()]
    made = Document([Entry(f"k{max(numbers, default=0) + 1}", randomness.token(key_bytes)), *document.keys])
    made.check("the new key file")
    return made
