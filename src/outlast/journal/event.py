"""What every event is: a tagged struct of JSON with a schema version, as short as it can be said.

A field that has its default is left out of the bytes, so a default is part of the schema: to change one, raise the
version. A new field whose default means what was meant without it needs no new version: older records do not have it,
and a release that does not know it reads past it. The version itself is always written.
"""

from __future__ import annotations

from functools import partial
from typing import Any

import msgspec


class Event(msgspec.Struct, frozen=True, tag_field="type", omit_defaults=True):
    """Base of the events of a stream. Each names its tag, and says its version with ``v: int = version_field(1)``."""


def version_field(number: int) -> Any:
    """The default of a field `v`. Made by a call, which msgspec never takes for one that can be left out."""
    return msgspec.field(default_factory=partial(int, number))


def versions(union: Any) -> dict[str, int]:
    """The current schema version of each type of event in a union."""
    return {member.__struct_config__.tag: _version(member) for member in union.__args__}


def _version(member: Any) -> int:
    made = next(field.default_factory for field in msgspec.structs.fields(member) if field.name == "v")
    return made()
