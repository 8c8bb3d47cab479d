"""What can be taken away from the document intake, how, and how it is brought back."""

from __future__ import annotations

import asyncio
import sqlite3
import threading
from collections.abc import Awaitable, Callable
from contextlib import closing
from pathlib import Path
from typing import Literal

import msgspec

from outlast.drill.intake.stage import IntakeStage

How = Literal["SIGKILL", "SIGSTOP", "503"]
_filing_poll_s = 0.001
_filing_within_s = 10.0


class Outage(msgspec.Struct, frozen=True):
    """One dependency, away. `subject` is its name in the blueprint, `parts` are the processes or gates of it."""

    subject: str
    how: How
    parts: tuple[str, ...]

    @property
    def name(self) -> str:
        """For people and for ``--only``: ``register SIGSTOP``."""
        return f"{self.subject} {self.how}"


outages = (
    Outage("documents", "SIGKILL", ("documents",)),
    Outage("preprocessing", "SIGSTOP", ("preprocessing",)),
    Outage("reader.first", "503", ("first",)),
    Outage("reader", "503", ("first", "spare")),
    Outage("extractions", "SIGKILL", ("extractions",)),
    Outage("register", "SIGKILL", ("register",)),
    Outage("register", "SIGSTOP", ("register",)),
)


async def strike(outage: Outage, stage: IntakeStage, load: Callable[[], Awaitable[None]]) -> bool:
    """Take it away while `load` has just brought work; whether something fell.

    The register falls while it files: between what it was asked and what it answers.
    """
    stop = threading.Event()
    filing = asyncio.create_task(asyncio.to_thread(_is_filing, stage.register, stop))
    try:
        await load()
        if outage.subject == "register":
            await asyncio.wait([filing], timeout=_filing_within_s)
    finally:
        stop.set()
        await asyncio.shield(filing)
    return await _away(outage, stage)


async def _away(outage: Outage, stage: IntakeStage) -> bool:
    fell = True
    for name in outage.parts:
        if outage.how == "503":
            stage.gates[name].refused = 0
            stage.gates[name].sick = True
        elif outage.how == "SIGSTOP":
            fell &= stage.parts[name].freeze()
        else:
            fell &= await stage.parts[name].kill()
    return fell


async def bring_back(outage: Outage, stage: IntakeStage) -> None:
    """Undo it. Safe to do twice."""
    for name in outage.parts:
        if outage.how == "503":
            stage.gates[name].sick = False
        elif outage.how == "SIGSTOP":
            stage.parts[name].thaw()
        else:
            await stage.parts[name].start()


def bitten(outage: Outage, stage: IntakeStage, fell: bool) -> bool:
    """Whether it surely was away: what answers 503 must have been asked."""
    return fell and all(stage.gates[name].refused for name in outage.parts if outage.how == "503")


def _is_filing(register: Path, stop: threading.Event) -> bool:
    """Wait (in a thread) until the register has taken down a filing that it has not made; False if `stop` was first."""
    with closing(sqlite3.connect(register, timeout=10.0)) as base:
        base.execute("PRAGMA query_only = ON")
        while not stop.wait(_filing_poll_s):
            counts = "SELECT (SELECT count(*) FROM attempt) - (SELECT count(*) FROM booking)"
            if int(base.execute(counts).fetchone()[0]) > 0:
                return True
    return False
