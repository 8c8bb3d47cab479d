"""Secrets by reference: a blueprint says where one is, never what it is."""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Literal

import msgspec

from outlast.kernel.error import ConfigurationError

secret_bytes_max = 16 * 1024
"""Bound of one secret: 16 KiB."""

_REFERENCE = re.compile(
    r"(env):([A-Za-z_][A-Za-z0-9_]*)\Z"
    r"|(file):([^\x00-\x1f]{1,4096})\Z"
    r"|(aws-secret):([A-Za-z0-9/_+=.@:-]{1,512}(?:#[A-Za-z0-9_.-]{1,128})?)\Z"
)

Vault = Callable[[str], str]
"""Reads a secret of AWS Secrets Manager by its name; raises ConfigurationError."""


class Secret(msgspec.Struct, frozen=True):
    """Where a secret is: an environment variable, a file relative to the project directory, or AWS Secrets Manager.

    There `place` is ``NAME``, or ``NAME#FIELD`` for a field of a secret that is a JSON object.
    """

    kind: Literal["env", "file", "aws-secret"]
    place: str

    def __str__(self) -> str:
        return f"{self.kind}:{self.place}"

    @classmethod
    def parse(cls, text: str) -> Secret:
        """``env:NAME``, ``file:PATH`` or ``aws-secret:NAME[#FIELD]``.

        Raises ConfigurationError without repeating `text`: it may be the secret.
        """
        match = _REFERENCE.match(text)
        if match is None:
            raise ConfigurationError(
                "the value stands here itself (not shown), expected a reference to it: write env:NAME or file:PATH, "
                "or aws-secret:NAME"
            )
        if match[1]:
            return cls("env", match[2])
        return cls("file", match[4]) if match[3] else cls("aws-secret", match[6])

    def resolve(self, environ: Mapping[str, str], home: Path, vault: Vault | None = None) -> str:
        """The secret itself, without the white space around it. Raises ConfigurationError if there is none.

        `vault` is asked for secrets of AWS, at the time of this call.
        """
        if self.kind == "env":
            value = environ.get(self.place, "")
            problem = f"the environment variable {self.place} is not set or empty: set it"
        elif self.kind == "file":
            value, problem = self._from_file(home)
        else:
            value, problem = self._from_vault(vault)
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

    def _from_vault(self, vault: Vault | None) -> tuple[str, str]:
        if vault is None:
            return "", "secrets of AWS cannot be read by this command: use env: or file: here"
        name, _, field = self.place.partition("#")
        text = vault(name)
        if len(text) > secret_bytes_max:
            return "", f"it is larger than {secret_bytes_max} bytes"
        if not field:
            return text, "it is empty"
        try:
            value = msgspec.json.decode(text, type=dict[str, msgspec.Raw]).get(field)
            return ("" if value is None else msgspec.json.decode(value, type=str)), f"it has no field {field}"
        except (msgspec.MsgspecError, RecursionError):
            return "", f"it is no JSON object whose field {field} is text"


_KEYS = re.compile(
    r"(env):([A-Za-z_][A-Za-z0-9_]*)\Z"
    r"|(file):([^\x00-\x1f]{1,4096})\Z"
    r"|(aws-secret|kms):([A-Za-z0-9/_+=.@:-]{1,512})\Z"
)


class KeyPlace(msgspec.Struct, frozen=True):
    """Where the keys are that seal payloads: in a key file, a variable, AWS Secrets Manager, or wrapped by AWS KMS."""

    kind: Literal["env", "file", "aws-secret", "kms"]
    place: str

    def __str__(self) -> str:
        return f"{self.kind}:{self.place}"

    @classmethod
    def parse(cls, text: str) -> KeyPlace:
        """``env:NAME``, ``file:PATH``, ``aws-secret:NAME`` or ``kms:alias/NAME``.

        Raises ConfigurationError that does not repeat `text`.
        """
        match = _KEYS.match(text)
        if match is None:
            raise ConfigurationError(
                "the value is not understood (not shown), expected where the keys are: write env:NAME, file:PATH, "
                "aws-secret:NAME or kms:alias/NAME"
            )
        if match[1]:
            return cls("env", match[2])
        if match[3]:
            return cls("file", match[4])
        return cls("kms" if match[5] == "kms" else "aws-secret", match[6])
