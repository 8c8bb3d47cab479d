"""Ten times more than the endpoints can do, and then no endpoint at all: what the gateway lets through and refuses.

``python -m benchmarks.gateway.overload``: two endpoints with a few slots each, open-loop load at ten times their
capacity with a deadline on every request; then both are killed under load and come back.
"""

from __future__ import annotations

import argparse
import asyncio
import json
import sys
import tempfile
import time
from collections import Counter
from collections.abc import Callable
from pathlib import Path
from typing import cast

import httptools
import msgspec
import uvloop

from benchmarks.gateway.__main__ import BODY
from benchmarks.gateway.process import Process, answers, free_ports, wait_for
from benchmarks.gateway.subject import ROOT, outlast
from benchmarks.machine import describe

SLOTS = 8
DELAY_MS = 100.0
CAPACITY = 2 * SLOTS * 1000 / DELAY_MS
"""Requests a second that the two endpoints can do."""
FACTOR = 10
DEADLINE_S = 1.0


class Told(msgspec.Struct):
    """One exchange: when it was sent (s since the start), how long it took (s), its status (0: none came)."""

    sent: float
    took: float
    status: int
    retry_after: bool


class Connection(asyncio.Protocol):
    """A keep-alive connection that does one exchange at a time."""

    def __init__(self, surge: Surge) -> None:
        self._surge = surge
        self._sent = 0.0
        self._busy = False

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self.transport = cast(asyncio.Transport, transport)

    def ask(self, request: bytes) -> None:
        self._parser = httptools.HttpResponseParser(self)
        self._retry_after = False
        self._busy = True
        self._sent = time.monotonic()
        self.transport.write(request)

    def data_received(self, data: bytes) -> None:
        self._parser.feed_data(data)

    def on_header(self, name: bytes, value: bytes) -> None:
        if name.lower() == b"retry-after":
            self._retry_after = True

    def on_message_complete(self) -> None:
        self._over(self._parser.get_status_code())
        if self._parser.should_keep_alive():
            self._surge.idle.append(self)
        else:
            self.transport.close()

    def connection_lost(self, exc: Exception | None) -> None:
        if self in self._surge.idle:
            self._surge.idle.remove(self)
        if self._busy:
            self._over(0)

    def _over(self, status: int) -> None:
        self._busy = False
        now = time.monotonic()
        self._surge.told.append(Told(self._sent - self._surge.begun, now - self._sent, status, self._retry_after))


class Surge:
    """Open-loop load: so many requests a second, however long the answers take."""

    def __init__(self, port: int) -> None:
        self._port = port
        self.idle: list[Connection] = []
        self.told: list[Told] = []
        self.begun = time.monotonic()
        self.sent = 0
        self._tasks: set[asyncio.Task[None]] = set()
        body = BODY.encode()
        lines = [b"POST /v1/chat/completions HTTP/1.1", b"host: 127.0.0.1", b"content-type: application/json"]
        lines += [b"x-outlast-deadline: %.1f" % DEADLINE_S, b"content-length: %d" % len(body), b"", body]
        self._request = b"\r\n".join(lines)

    async def run(self, per_s: float, for_s: float) -> None:
        begun = time.monotonic()
        count = 0
        while (now := time.monotonic()) < begun + for_s:
            while count < (now - begun) * per_s:
                count += 1
                self._ask()
            await asyncio.sleep(0.002)

    def _ask(self) -> None:
        self.sent += 1
        if self.idle:
            self.idle.pop().ask(self._request)
        else:
            task = asyncio.create_task(self._open())
            self._tasks.add(task)
            task.add_done_callback(self._tasks.discard)

    async def _open(self) -> None:
        loop = asyncio.get_running_loop()
        try:
            _, made = await loop.create_connection(lambda: Connection(self), "127.0.0.1", self._port)
        except OSError:
            self.told.append(Told(time.monotonic() - self.begun, 0.0, 0, False))
            return
        made.ask(self._request)

    async def settled(self) -> None:
        """Until every request is answered, or for a deadline and the time that a busy machine may take."""
        end = time.monotonic() + DEADLINE_S + 20
        while len(self.told) < self.sent and time.monotonic() < end:  # noqa: ASYNC110 (with a deadline)
            await asyncio.sleep(0.01)


def percentile(values: list[float], share: float) -> float:
    found = sorted(values)
    return found[min(len(found) - 1, int(len(found) * share))] if found else 0.0


async def measure(seconds: float, directory: Path, down_s: float = 5.0) -> dict[str, object]:
    *ports, port = free_ports(3)

    def endpoint(index: int) -> Process:
        command = [sys.executable, "-m", "benchmarks.gateway.endpoint", f"e{index}", str(ports[index])]
        command += [str(DELAY_MS), str(SLOTS)]
        return Process(command, directory / f"endpoint{index}.log", {"PYTHONPATH": str(ROOT)})

    endpoints = [endpoint(0), endpoint(1)]
    subject = outlast(port, ports, directory)
    assert subject is not None
    gateway = Process(subject.command, directory / "gateway.log")
    try:
        for index, process in enumerate(endpoints):
            wait_for(f"http://127.0.0.1:{ports[index]}/health", 20, process)
        wait_for(f"http://127.0.0.1:{port}/v1/chat/completions", 20, gateway, BODY.encode())
        surge = Surge(port)
        await surge.run(CAPACITY * 0.5, 3)
        await surge.settled()
        memory_before = gateway.memory_mb()
        over = Surge(port)
        watched = asyncio.create_task(peak(gateway))
        await over.run(CAPACITY * FACTOR, seconds)
        await over.settled()
        watched.cancel()
        memory_peak = max(gateway.memory_mb(), *PEAKS)
        good = [told for told in over.told if told.status == 200]
        refused = [told for told in over.told if told.status in (429, 503)]
        result: dict[str, object] = {
            "capacity_per_s": CAPACITY,
            "offered_per_s": over.sent / seconds,
            "goodput_per_s": sum(told.took <= DEADLINE_S for told in good) / seconds,
            "goodput_share": sum(told.took <= DEADLINE_S for told in good) / seconds / CAPACITY,
            "admitted_p50_s": percentile([told.took for told in good], 0.5),
            "admitted_p99_s": percentile([told.took for told in good], 0.99),
            "deadline_s": DEADLINE_S,
            "refused": len(refused),
            "refused_without_retry_after": sum(not told.retry_after for told in refused),
            "refused_p50_s": percentile([told.took for told in refused], 0.5),
            "refused_p99_s": percentile([told.took for told in refused], 0.99),
            "statuses": {str(status): count for status, count in sorted(Counter(t.status for t in over.told).items())},
            "unanswered": over.sent - len(over.told),
            "memory_before_mb": memory_before,
            "memory_peak_mb": memory_peak,
        }
        result["all_down"] = await all_down(port, ports, endpoints, endpoint, gateway, down_s)
        return result
    finally:
        gateway.end()
        for process in endpoints:
            process.end()


PEAKS: list[float] = [0.0]


async def peak(process: Process) -> None:
    while True:
        PEAKS.append(process.memory_mb())
        await asyncio.sleep(0.5)


async def all_down(
    port: int,
    ports: list[int],
    endpoints: list[Process],
    start: Callable[[int], Process],
    gateway: Process,
    down_s: float,
) -> dict[str, object]:
    """Both killed for `down_s` seconds at half their capacity: what is answered, how soon all is well again."""
    surge = Surge(port)
    load = asyncio.create_task(surge.run(CAPACITY * 0.5, down_s + 11))
    await asyncio.sleep(2)
    for process in endpoints:
        process.end()
    down = time.monotonic() - surge.begun
    await asyncio.sleep(down_s)
    for index in range(2):
        endpoints[index] = start(index)
    for each in ports:
        while not await asyncio.to_thread(answers, f"http://127.0.0.1:{each}/health"):  # noqa: ASYNC110 (another process)
            await asyncio.sleep(0.01)
    back = time.monotonic() - surge.begun
    await load
    await surge.settled()
    during = [told for told in surge.told if down + 0.2 < told.sent < back - DEADLINE_S]
    bad = [told.sent for told in surge.told if told.sent > back and told.status != 200]
    return {
        "asked_while_down": len(during),
        "statuses": {str(status): count for status, count in sorted(Counter(t.status for t in during).items())},
        "slowest_s": max((told.took for told in during), default=0.0),
        "normal_again_s": max(bad) - back if bad else 0.0,
        "unanswered": surge.sent - len(surge.told),
        "gateway_restarted": gateway.popen.poll() is not None,
    }


def main() -> int:
    parser = argparse.ArgumentParser(prog="python -m benchmarks.gateway.overload", description=__doc__)
    parser.add_argument("--seconds", type=float, default=30.0, help="of overload (default 30)")
    args = parser.parse_args()
    with tempfile.TemporaryDirectory() as directory:
        facts = describe(Path(directory), ROOT, f"python -m benchmarks.gateway.overload --seconds {args.seconds:g}")
        found = uvloop.run(measure(args.seconds, Path(directory)))
    sys.stdout.write(json.dumps({**facts, **found}, indent=1) + "\n")
    return 0


if __name__ == "__main__":
    sys.exit(main())
