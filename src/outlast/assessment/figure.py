"""A number that says where it comes from."""

from __future__ import annotations

from typing import Literal

import msgspec

Source = Literal["declared", "default", "documented", "measured"]


class Figure(msgspec.Struct, frozen=True):
    """A number and where it comes from."""

    value: float
    source: Source = "default"
    reference: str = ""
    """The key in the file, the page and its date, the drill and its date, or why the default is what it is."""
