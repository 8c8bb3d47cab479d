"""The agents that are measured. They do nothing but steps, so that what is left is Outlast."""

from __future__ import annotations

import asyncio
import os
import time

import outlast

app = outlast.App("bench")


@app.tool(effect="pure")
async def produce(number: int, size: int) -> str:
    """A result of `size` bytes."""
    return f"{number:08d}".ljust(size, "x")


@app.agent
async def steps(run: outlast.Run, steps: int, size: int) -> float:
    """So many steps, one after the other; the seconds that they took."""
    start = time.perf_counter()
    for number in range(steps):
        await produce(number, size)
    return time.perf_counter() - start


@app.tool(effect="idempotent")
async def mark(ledger: str, run: str, number: int, pause_s: float) -> str:
    """Write down who is at which step, and when; then be in flight for a while."""
    line = f"\n{time.monotonic():.6f} {os.getpid()} {run} {number}\n".encode()
    file = os.open(ledger, os.O_WRONLY | os.O_APPEND | os.O_CREAT, 0o600)
    try:
        os.write(file, line)  # kept when this process is killed; torn if it is killed right at the boundary of a page
    finally:
        os.close(file)
    await asyncio.sleep(pause_s)
    return line.decode().ljust(1024)


@app.agent
async def marked(run: outlast.Run, ledger: str, name: str, steps: int, pause_s: float) -> int:
    """So many marked steps."""
    for number in range(steps):
        await mark(ledger, name, number, pause_s)
    return steps


@app.agent
async def long(run: outlast.Run, ledger: str, steps: int, size: int, marks: int, pause_s: float) -> int:
    """Many steps, then a few marked ones, during each of which its process may be killed."""
    for number in range(steps):
        await produce(number, size)
    for number in range(marks):
        await mark(ledger, "long", number, pause_s)
    return steps


@app.agent
async def turn(run: outlast.Run, text: str) -> str:
    """One turn of a conversation."""
    await produce(0, 64)
    return text
