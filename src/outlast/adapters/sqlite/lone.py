"""Which stream seems to be alone: its append is carried out and awaited at once, without a turn of the loop.

Nobody else's append could share the sync, so there is nobody to wait for; and a turn of the loop, a wake-up and a
notification take longer than a third of a commit.
"""

from __future__ import annotations

lone_after = 16
"""Appends in a row to one stream after which nobody else seems to append."""
lone_run = 8
"""Every so many of them one waits for the loop's next turn all the same, so that others come to it."""


class Lone:
    """Who appended lately."""

    __slots__ = ("_streak", "_stream")

    def __init__(self) -> None:
        self._stream = ""
        self._streak = 0

    def again(self, stream: str) -> bool:
        """`stream` is appended to: whether it seems to be alone, and this one need not wait for a turn."""
        if stream != self._stream:
            self._stream, self._streak = stream, 0
        self._streak = streak = self._streak + 1
        return streak > lone_after and streak % lone_run != 0
