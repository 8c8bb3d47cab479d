"""Undoes a drill's faults and ends its processes, whatever becomes of the drill.

A process of its own in a session of its own: neither Ctrl-C nor the drill's death reaches it. The drill tells it, in
lines of JSON on its standard input, which processes it started or froze; when that pipe closes, for whatever reason,
the guard wakes what is frozen, asks the drill's processes to end, and kills those that do not.
"""

from __future__ import annotations

import asyncio
import signal
import sys
from collections.abc import Iterable
from types import TracebackType
from typing import IO

import msgspec

from outlast.adapters.host.clock import SystemClock
from outlast.drill.process import Process, alive, send
from outlast.kernel.clock import Clock

grace_s = 15.0
"""How long a process that was asked to end may take before it is killed."""
_poll_s = 0.05


class Ward(msgspec.Struct, frozen=True):
    """A process to look after. `asked` ones get SIGTERM at the end; the others (children of an asked one) end with
    it, and are killed only if they do not.
    """

    process: Process
    asked: bool = True


_encoder = msgspec.json.Encoder()
_decoder = msgspec.json.Decoder(Ward)


class Guard:
    """The drill's end of the pipe; an async context manager, left only when everything is undone and ended."""

    def __init__(self) -> None:
        self._child: asyncio.subprocess.Process | None = None
        self._told: set[Ward] = set()

    async def __aenter__(self) -> Guard:
        self._child = await asyncio.create_subprocess_exec(
            sys.executable, "-m", "outlast.drill.guard", stdin=asyncio.subprocess.PIPE, start_new_session=True
        )
        return self

    def watch(self, ward: Ward) -> None:
        """Look after this process, too. Telling twice is once."""
        if ward in self._told or self._child is None or self._child.stdin is None or self._child.stdin.is_closing():
            return
        self._told.add(ward)
        self._child.stdin.write(_encoder.encode(ward) + b"\n")

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if self._child is None:
            return
        if self._child.stdin is not None:
            self._child.stdin.close()
        waiting = asyncio.ensure_future(self._child.wait())
        while not waiting.done():
            try:
                await asyncio.shield(waiting)
            except asyncio.CancelledError:  # a second Ctrl-C: the undoing is bounded by grace_s, and is not skipped
                continue


def read(lines: Iterable[bytes]) -> list[Ward]:
    """All wards that were told; a torn last line (the drill died while it wrote) is nothing."""
    wards: list[Ward] = []
    for line in lines:
        try:
            wards.append(_decoder.decode(line))
        except msgspec.MsgspecError:
            continue
    return wards


async def end(wards: Iterable[Ward], clock: Clock, limit_s: float = grace_s) -> None:
    """Wake all, ask, wait at most `limit_s`, kill what is left."""
    kept = list(wards)
    for ward in kept:
        send(ward.process, signal.SIGCONT)
    for ward in kept:
        if ward.asked:
            send(ward.process, signal.SIGTERM)
    until = clock.monotonic() + limit_s
    while any(alive(ward.process) for ward in kept) and clock.monotonic() < until:
        await clock.sleep(_poll_s)
    for ward in kept:
        send(ward.process, signal.SIGKILL)


def main(pipe: IO[bytes] | None = None) -> None:
    """Collect until the pipe closes, then end everything that was named."""
    wards = read(pipe or sys.stdin.buffer)
    asyncio.run(end(wards, SystemClock()))


if __name__ == "__main__":
    main()
