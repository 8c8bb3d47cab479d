"""The agents that crash tests run. Effects go into a ledger outside the system: every attempt is one line there."""

from __future__ import annotations

import asyncio
import ctypes
import logging
import os
import sqlite3
import time
from pathlib import Path
from typing import Any

import outlast

app: outlast.App[None] = outlast.App("crash")
here = Path(os.environ.get("CRASH_HOME", str(Path(__file__).parent)))


def ledger() -> sqlite3.Connection:
    """No unique key: a doubled effect is two lines."""
    connection = sqlite3.connect(here / "ledger.sqlite", timeout=30, isolation_level=None)
    connection.execute("PRAGMA synchronous = OFF")
    return connection


def log_attempt(key: str, tag: str, n: int) -> None:
    with ledger() as connection:
        connection.execute("INSERT INTO attempt VALUES (?, ?, ?, ?, ?)", (time.time(), os.getpid(), key, tag, n))
    connection.close()


def was_done(key: str) -> bool:
    connection = ledger()
    found = connection.execute("SELECT count(*) FROM attempt WHERE key = ?", (key,)).fetchone()[0]
    connection.close()
    return found > 0


def verdict(key: str, n: int) -> outlast.Verdict[int]:
    return outlast.Done(n) if was_done(key) else outlast.NotDone()


@app.tool(effect="once")
async def book(ctx: outlast.Context[None], tag: str, n: int) -> int:
    log_attempt(ctx.key, tag, n)
    return n


@book.verify
async def _(ctx: outlast.Context[None], tag: str, n: int) -> outlast.Verdict[int]:
    return verdict(ctx.key, n)


@app.tool(effect="once", settle="500ms")
async def book_from_afar(ctx: outlast.Context[None], tag: str, n: int) -> int:
    """What its process has sent arrives within the settle time: a host that never answers is not waited for."""
    log_attempt(ctx.key, tag, n)
    return n


@book_from_afar.verify
async def _(ctx: outlast.Context[None], tag: str, n: int) -> outlast.Verdict[int]:
    return verdict(ctx.key, n)


@app.tool(effect="once")
async def book_and_fail(ctx: outlast.Context[None], tag: str, n: int) -> int:
    log_attempt(ctx.key, tag, n)
    raise ConnectionError("the answer was lost")


@book_and_fail.verify
async def _(ctx: outlast.Context[None], tag: str, n: int) -> outlast.Verdict[int]:
    return verdict(ctx.key, n)


@app.tool(effect="once")
async def book_slowly(ctx: outlast.Context[None], tag: str, n: int) -> int:
    """Stands still before its effect until the test opens the gate."""
    (here / f"{tag}.inside").touch()
    while not (here / f"{tag}.gate").exists():  # noqa: ASYNC110 (another process opens it)
        await asyncio.sleep(0.01)
    log_attempt(ctx.key, tag, n)
    return n


@book_slowly.verify
async def _(ctx: outlast.Context[None], tag: str, n: int) -> outlast.Verdict[int]:
    return verdict(ctx.key, n)


@app.tool(effect="pure")
async def look(n: int) -> int:
    return n


@app.tool(effect="pure")
async def nap(seconds: float) -> float:
    await asyncio.sleep(seconds)
    return seconds


@app.tool(effect="pure", retry=1)
async def fail() -> None:
    raise ValueError("as it should")


@app.tool(effect="pure")
async def stand(tag: str) -> str:
    """Leaves no trace in the history until the test opens the gate."""
    while not (here / f"{tag}.gate").exists():  # noqa: ASYNC110 (another process opens it)
        await asyncio.sleep(0.01)
    return tag


@app.tool(effect="pure")
async def large(size: int) -> str:
    return "x" * size


@app.agent
async def bookings(run: outlast.Run[None], tag: str, count: int, seconds: float = 0.0) -> int:
    """Effect after effect, with something harmless between."""
    for n in range(count):
        await book(tag, n)
        await nap(seconds)
    return count


@app.agent
async def booking(run: outlast.Run[None], tag: str, n: int) -> int:
    return await book(tag, n)


@app.agent
async def far_bookings(run: outlast.Run[None], tag: str, count: int, seconds: float = 0.0) -> int:
    for n in range(count):
        await book_from_afar(tag, n)
        await nap(seconds)
    return count


@app.agent
async def naps(run: outlast.Run[None], count: int, seconds: float) -> int:
    for _ in range(count):
        await nap(seconds)
    return count


@app.agent
async def everything(run: outlast.Run[None], tag: str) -> list[Any]:
    """Comes by every crash point of a run."""
    done: list[Any] = [await book(tag, 1), await book_and_fail(tag, 2)]
    done += await run.gather(look(3), book(tag, 4))
    try:
        await run.gather(fail(), book(tag, 5))
    except ValueError as error:
        done.append(type(error).__name__)
    await run.sleep(0.02)
    done.append(len(await large(100_000)))
    done.append(await run.signal("go", int))
    return done


@app.agent
async def turn(run: outlast.Run[None], tag: str, n: int) -> int:
    """One turn of a conversation."""
    count = int(run.session.state.get("count", 0)) + 1
    await book(tag, n)
    run.session.state["count"] = count
    return count


@app.agent
async def gated(run: outlast.Run[None], tag: str) -> int:
    return await book_slowly(tag, 1)


@app.agent
async def stands(run: outlast.Run[None], tag: str) -> str:
    return await stand(tag)


@app.agent
async def says(run: outlast.Run[None], tag: str) -> str:
    print(tag, "printed before", flush=True)  # noqa: T201 (what agents do)
    logging.getLogger("says").warning("%s logged before", tag)
    await book(tag, 1)
    await stand(tag)
    print(tag, "printed after", flush=True)  # noqa: T201 (what agents do)
    return tag


@app.agent
async def waits(run: outlast.Run[None], seconds: float) -> str:
    await run.sleep(seconds)
    return "woken"


@app.agent
async def blocks(run: outlast.Run[None]) -> None:
    time.sleep(3600)  # noqa: ASYNC251 (the fault under test)


@app.agent
async def swells(run: outlast.Run[None]) -> int:
    held = [bytearray(b"x" * (64 << 20)) for _ in range(32)]  # 2 GiB, written to
    await nap(3600)
    return len(held)


@app.agent
async def segfaults(run: outlast.Run[None]) -> None:
    ctypes.string_at(0)
