"""Standard output and standard error that are written whole, however the interpreter was started.

Told not to buffer (PYTHONUNBUFFERED, ``-u``: so in most containers), Python hands what is printed to the descriptor and
takes a short write for a whole one: the rest is lost, and the exit code is 0. A pipe writes short when a writer that
waits for its reader is interrupted: by a signal, by SIGSTOP and SIGCONT, or by what the kernel does for the io_uring of
an event loop that was closed a moment ago. Source: pipe(7), "Short writes"; Python's `io.RawIOBase.write`.
"""

from __future__ import annotations

import io
import os
import sys
from typing import TYPE_CHECKING, TextIO

if TYPE_CHECKING:
    from _typeshed import ReadableBuffer


class _Through(io.BufferedWriter):
    """Keeps nothing back, as was asked for, and gives up nothing: `flush` writes until all is written."""

    def write(self, buffer: ReadableBuffer, /) -> int:
        count = super().write(buffer)
        self.flush()
        return count


def print_whole() -> None:
    """Let nothing that this process prints be lost on its way to the descriptor; for a process's first line.

    A stream that was closed (``>&-``) leads nowhere: what is printed to it goes into no other stream, nor into the file
    that is opened next and would have its descriptor.
    """
    for number, name in enumerate(("stdin", "stdout", "stderr")):
        if getattr(sys, name) is None:
            descriptor = os.open(os.devnull, os.O_RDWR)
            if descriptor < 3:
                os.set_inheritable(descriptor, True)
            setattr(sys, name, os.fdopen(descriptor, "w" if number else "r", encoding="utf-8"))
    sys.stdout = _whole(sys.stdout)
    sys.stderr = _whole(sys.stderr)


def give_up_unwritten() -> None:
    """Drop what a stream did not take, so that the interpreter does not try again at its end and exit with 120."""
    for stream in (sys.stdout, sys.stderr):
        try:
            stream.flush()
        except OSError:
            nowhere = os.open(os.devnull, os.O_WRONLY)
            os.dup2(nowhere, stream.fileno())
            os.close(nowhere)


def _whole(stream: TextIO) -> TextIO:
    raw: object = getattr(stream, "buffer", None)
    if not isinstance(raw, io.RawIOBase):
        return stream  # Python's own buffer is there, and writes on after a short write
    return io.TextIOWrapper(_Through(raw), stream.encoding, stream.errors, "\n", write_through=True)
