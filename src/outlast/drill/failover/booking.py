"""The load's agent: it books, one effect after the other, in a ledger outside of the system."""

from __future__ import annotations

import asyncio
import os
from collections.abc import AsyncGenerator, Iterable
from contextlib import asynccontextmanager
from pathlib import Path

import msgspec

from outlast.agent.app import App
from outlast.agent.context import Context
from outlast.agent.run import Run
from outlast.agent.verdict import Done, Verdict
from outlast.kernel.error import NotDone

agent = "book"


class Booking(msgspec.Struct, frozen=True):
    """One line of the ledger: what the submitter meant (`run`, `number`), under which key it came, in which process."""

    run: str
    number: int
    key: str
    pid: int


_encoder = msgspec.json.Encoder()
_decoder = msgspec.json.Decoder(Booking)


class BookLedger:
    """A file of lines to which many processes append. It does not look whether something is there: the world may be
    acted on twice, and it notes that.
    """

    def __init__(self, path: Path) -> None:
        self._path = path

    def write(self, booking: Booking) -> None:
        file = os.open(self._path, os.O_WRONLY | os.O_APPEND | os.O_CREAT, 0o600)
        try:
            os.write(file, _encoder.encode(booking) + b"\n")  # one short write: whole, and kept if this process dies
        finally:
            os.close(file)

    def find(self, key: str) -> Booking | None:
        """The booking under a key."""
        return next((booking for booking in self.all() if booking.key == key), None)

    def all(self) -> Iterable[Booking]:
        """Every whole line; nothing if there is no file. At the boundary of a page one is seen while it is written."""
        raw = self._path.read_bytes() if self._path.exists() else b""
        return _decoder.decode_lines(raw[: raw.rfind(b"\n") + 1])


def make_app(path: Path, pause_s: float) -> App[BookLedger]:
    """An app whose agent books in `path`; each booking takes `pause_s` seconds."""

    @asynccontextmanager
    async def ledger() -> AsyncGenerator[BookLedger]:
        yield BookLedger(path)

    app = App[BookLedger]("failover", lifespan=ledger)

    @app.tool(effect="once")
    async def enter(ctx: Context[BookLedger], run: str, number: int) -> str:
        """Book it."""
        ctx.deps.write(Booking(run, number, ctx.key, os.getpid()))
        await asyncio.sleep(pause_s)  # noqa: TID251 (the effect's own time: a drill's agent is a user's agent)
        return f"{run} {number}"

    @enter.verify
    def entered(ctx: Context[BookLedger], run: str, number: int) -> Verdict[str]:
        return NotDone if ctx.deps.find(ctx.key) is None else Done(f"{run} {number}")

    @app.agent(name=agent)
    async def book(run: Run[BookLedger], name: str, bookings: int) -> int:
        """So many bookings, one after the other."""
        for number in range(bookings):
            await enter(name, number)
        return bookings

    del entered, book
    return app
