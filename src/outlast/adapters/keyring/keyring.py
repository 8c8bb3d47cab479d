"""A Sealer whose keys are at hand."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from pathlib import Path

from outlast.adapters.keyring.document import Document
from outlast.adapters.keyring.file import read_keys
from outlast.journal.cipher import Key
from outlast.kernel.error import ConfigurationError, StoreSealed


class Keyring:
    """Seals with the newest key, opens with all. `source` is asked again when a key is missing: it may be new.

    A process that runs therefore learns of a rotation when it first reads what was sealed with the new key.
    """

    def __init__(self, source: Callable[[], Document], where: str) -> None:
        """`where` the keys are, for messages. Raises ConfigurationError."""
        self._source = source
        self._where = where
        self._keys: dict[str, Key] = {}
        self._current = self._read()

    @classmethod
    def of_file(cls, path: Path) -> Keyring:
        """The keys in a file of mode 0600. Raises ConfigurationError."""
        return cls(lambda: read_keys(path), f"key file {path}")

    @classmethod
    def of_variable(cls, name: str, environ: Mapping[str, str]) -> Keyring:
        """The keys in an environment variable. Raises ConfigurationError."""
        where = f"environment variable {name}"

        def read() -> Document:
            text = environ.get(name, "")
            if not text.strip():
                raise ConfigurationError(f"{where} is not set or empty: set it to the text of a key file")
            return Document.parse(text, where)

        return cls(read, where)

    def _read(self) -> Key:
        keys = self._source().opened()
        self._keys |= {key.id: key for key in keys if key.id not in self._keys}  # one that is gone still opens
        return self._keys[keys[0].id]

    @property
    def current(self) -> Key:
        """The newest key that this process has seen."""
        return self._current

    def known(self, id: str) -> Key | None:
        """As in Sealer."""
        return self._keys.get(id)

    async def fetch(self, id: str) -> Key:
        """As in Sealer: reads the source once more."""
        trouble = ""
        try:
            self._current = self._read()
        except ConfigurationError as error:
            trouble = f" ({error})"
        key = self._keys.get(id)
        if key is None:
            raise StoreSealed(f"this is sealed with key {id}, and {self._where} {self._instead(id)}{trouble}")
        return key

    def _instead(self, id: str) -> str:
        name = id.rpartition(".")[0]
        other = next((known for known in self._keys if known.rpartition(".")[0] == name), None)
        if other is not None:
            return f"holds another key of that name, {other}: put back the one that was there when it was written"
        there = ", ".join(list(self._keys)[:5])
        return f"does not hold it (it holds {there}): add it behind the others; if it is lost, so is what it sealed"
