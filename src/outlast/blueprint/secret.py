"""Secrets by reference: a blueprint says where one is, never what it is."""

from __future__ import annotations

import re
from collections.abc import Mapping
from pathlib import Path
from typing import Literal

import msgspec

from outlast.kernel.error import ConfigurationError

secret_bytes_max = 16 * 1024
"""Bound of one secret: 16 KiB."""

_REFERENCE = re.compile(r"(env):([A-Za-z_][A-Za-z0-9_]*)\Z|(file):([^\x00-\x1f]{1,4096})\Z")


class Secret(msgspec.Struct, frozen=True):
    """Where a secret is: an environment variable, or a file relative to the project directory."""

    kind: Literal["env", "file"]
    place: str

    def __str__(self) -> str:
        return f"{self.kind}:{self.place}"

    @classmethod
    def parse(cls, text: str) -> Secret:
        """``env:NAME`` or ``file:PATH``. Raises ConfigurationError without repeating `text`: it may be the secret."""
        match = _REFERENCE.match(text)
        if match is None:
            raise ConfigurationError(
                "the value stands here itself (not shown), expected a reference to it: write env:NAME or file:PATH"
            )
        return cls("env", match[2]) if match[1] else cls("file", match[4])

    def resolve(self, environ: Mapping[str, str], home: Path) -> str:
        """The secret itself, without the white space around it. Raises ConfigurationError if there is none."""
        if self.kind == "env":
            value = environ.get(self.place, "")
            problem = f"the environment variable {self.place} is not set or empty: set it"
        else:
            value, problem = self._from_file(home)
        value = value.strip()
        if not value:
            raise ConfigurationError(f"secret {self} cannot be read: {problem}")
        if not value.isprintable():
            raise ConfigurationError(f"secret {self} cannot be used: it holds control characters or several lines")
        return value

    def _from_file(self, home: Path) -> tuple[str, str]:
        path = home / self.place
        try:
            with path.open("rb") as file:
                raw = file.read(secret_bytes_max + 1)
            text = raw.decode()
        except OSError as error:
            return "", f"{(error.strerror or 'it cannot be opened').lower()}: create the file or correct its path"
        except UnicodeDecodeError:
            return "", "the file is not text"
        if len(raw) > secret_bytes_max:
            return "", f"the file is larger than {secret_bytes_max} bytes"
        return text, "the file is empty"
