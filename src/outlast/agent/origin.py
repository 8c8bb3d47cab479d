"""Which step an error came from."""

from __future__ import annotations

import msgspec


class Origin(msgspec.Struct, frozen=True):
    """The step that an error came from."""

    place: str
    name: str
    attempt: int


def mark_origin(error: BaseException, place: str, name: str, number: int) -> None:
    """Remember at which step an error came up: a failed run says so."""
    error.__dict__["_outlast_origin"] = Origin(place, name, number)


def origin_of(error: BaseException | None) -> Origin | None:
    """Where an error, or what it was raised from, came up."""
    for _ in range(20):
        if error is None:
            return None
        origin = error.__dict__.get("_outlast_origin")
        if origin is not None:
            return origin
        error = error.__cause__ or error.__context__
    return None
