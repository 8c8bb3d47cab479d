"""Cuts an event stream into frames, whatever the pieces it comes in. Nothing is changed: bytes in, the same bytes out.

Source: the HTML standard, "Server-sent events": lines end in LF, CRLF or CR, a frame ends with an empty line.
"""

from __future__ import annotations

import re

_END = re.compile(rb"\r\n\r\n|\n\n|\r\r|\n\r\n|\r\n\n")


class Frames:
    """The frames of one stream. `rest` is the beginning of a frame whose end has not come."""

    __slots__ = ("rest",)

    def __init__(self) -> None:
        self.rest = b""

    def cut(self, piece: bytes) -> list[bytes]:
        """The frames that `piece` completes, each with its end."""
        text = self.rest + piece if self.rest else piece
        if b"\r" not in text:
            end = text.rfind(b"\n\n")
            if end < 0:
                self.rest = text
                return []
            self.rest = text[end + 2 :]
            if text.find(b"\n\n") == end:
                return [text[: end + 2]]
            return [frame + b"\n\n" for frame in text[:end].split(b"\n\n")]
        frames: list[bytes] = []
        begin = 0
        for match in _END.finditer(text):
            frames.append(text[begin : match.end()])
            begin = match.end()
        self.rest = text[begin:]
        return frames


def data_of(frame: bytes) -> bytes:
    """The data of a frame, its lines joined; empty for comments and for frames without data."""
    if frame.startswith(b"data: ") and frame.find(b"\n") == len(frame) - 2:  # one line, the usual case
        return frame[6:-2]
    lines = [
        line[6:] if line.startswith(b"data: ") else line[5:]
        for line in frame.splitlines()
        if line.startswith(b"data:")
    ]
    return b"\n".join(lines)
