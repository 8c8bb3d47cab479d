"""Reads an event stream for what decides: the first content, the end, an error. No I/O; bytes in, the same bytes out.

Until the first content nothing is given out: the frames are held back, so that another endpoint may still be asked.
"""

from __future__ import annotations

import msgspec

from outlast.server.gateway.dialect import Dialect
from outlast.server.gateway.frame import Frames, data_of


class Part(msgspec.Struct, frozen=True):
    """What one piece of a stream was: `data` may be given to the client, the rest says how it stands."""

    data: bytes = b""
    content: int = 0
    """Frames with content in it."""
    ended: bool = False
    """It ended as its protocol says."""
    trouble: str = ""
    """It cannot go on: what is wrong with it. `data` came before that, and counts."""
    input_tokens: int = 0
    output_tokens: int = 0


class StreamReader:
    """One stream. `frame_bytes_max` bounds a single frame, and all that is held back."""

    __slots__ = ("_cut", "_dialect", "_frame_bytes_max", "_held", "_held_bytes", "_open")

    def __init__(self, dialect: Dialect, frame_bytes_max: int) -> None:
        self._dialect = dialect
        self._frame_bytes_max = frame_bytes_max
        self._cut = Frames()
        self._held: list[bytes] = []
        self._held_bytes = 0
        self._open = False

    def read(self, piece: bytes) -> Part:
        """The next piece, as it came from the network."""
        meaning = self._dialect.frame
        frames = self._cut.cut(piece)
        content = input_tokens = output_tokens = count = 0
        ended, trouble = False, ""
        for frame in frames:
            data = data_of(frame)
            if data:
                said = meaning(data)
                if said.meaning == "error":
                    trouble = f"ended its stream with an error: {said.text}"
                    break
                if said.meaning == "content":
                    content += 1
                input_tokens = said.input_tokens or input_tokens
                output_tokens = said.output_tokens or output_tokens
                if said.meaning == "end":
                    ended = True
                    count += 1
                    break
            count += 1
        if count != len(frames):
            del frames[count:]
        if not self._open:
            frames, trouble = self._hold(frames, content, ended, trouble)
        if not trouble and not ended and len(self._cut.rest) > self._frame_bytes_max:
            trouble = f"sent a frame above frame_bytes_max, {self._frame_bytes_max} bytes"
        data = frames[0] if len(frames) == 1 else b"".join(frames)
        return Part(data, content, ended and not trouble, trouble, input_tokens, output_tokens)

    def _hold(self, frames: list[bytes], content: int, ended: bool, trouble: str) -> tuple[list[bytes], str]:
        self._held += frames
        if content or (ended and self._dialect.ends_whole):
            self._open = True
            held, self._held = self._held, []
            return held, trouble
        self._held_bytes += sum(map(len, frames))
        if ended and not trouble:
            trouble = "ended its stream without content"
        elif self._held_bytes > self._frame_bytes_max and not trouble:
            trouble = f"sent more than frame_bytes_max, {self._frame_bytes_max} bytes, and no content"
        return [], trouble
