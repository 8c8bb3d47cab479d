"""One run of everything, one report. `python -m benchmarks.gateway --help`."""

from __future__ import annotations

import argparse
import json
import shlex
import shutil
import signal
import statistics
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path

import msgspec
from rich.console import Console
from rich.table import Table

from benchmarks.gateway.load import Order, Result
from benchmarks.gateway.process import Process, free_ports, wait_for
from benchmarks.gateway.subject import MODEL, ROOT, SUBJECTS, Subject
from benchmarks.machine import describe

CONNECTIONS = 32
DELAY_MS = 20.0
BODY = json.dumps({"model": MODEL, "messages": [{"role": "user", "content": "word " * 180}], "max_tokens": 120})


class Gateway(msgspec.Struct):
    """What was measured of one of them; None: not applicable or it failed, and `remark` says how."""

    name: str
    cpu_us_per_request: float | None = None
    rps: float | None = None
    p50_ms: float | None = None
    p99_ms: float | None = None
    memory_mb: float | None = None
    start_s: float | None = None
    kill_errors: int | None = None
    kill_requests: int | None = None
    kill_last_error_s: float | None = None
    freeze_goodput: int | None = None
    freeze_errors: int | None = None
    return_s: float | None = None
    remark: str = ""


class Load:
    """The load generator under way in a process of its own."""

    def __init__(self, order: Order, directory: Path) -> None:
        self._place = Path(tempfile.mkdtemp(prefix="load-", dir=directory))
        self._found = self._place / "result.json"
        command = [sys.executable, "-m", "benchmarks.gateway.load", str(self._found)]
        self._popen = subprocess.Popen(command, stdin=subprocess.PIPE, cwd=ROOT)
        assert self._popen.stdin is not None
        self._popen.stdin.write(msgspec.json.encode(order) + b"\n")
        self._popen.stdin.flush()
        self._timeout_s = order.duration_s + order.timeout_s + 30

    def result(self) -> Result:
        """What it found, once it has ended. Raises RuntimeError if it found nothing."""
        try:
            self._popen.communicate(timeout=self._timeout_s)
            return msgspec.json.decode(self._found.read_bytes(), type=Result)
        except (subprocess.TimeoutExpired, OSError, msgspec.DecodeError) as error:
            self._popen.kill()
            raise RuntimeError(f"the load generator ended with {self._popen.wait()} and no result: {error}") from None
        finally:
            shutil.rmtree(self._place, ignore_errors=True)


class Trial:
    """Two endpoints, perhaps a gateway in front of them, and load on it."""

    def __init__(self, name: str, directory: Path, delay_ms: float) -> None:
        self._stack = ExitStack()
        *self.endpoint_ports, self.port, _ = free_ports(4)
        self.directory = directory
        self.delay_ms = delay_ms
        self.endpoints = [self._endpoint(index) for index in range(2)]
        self.subject: Subject | None = None
        self.process: Process | None = None
        self.start_s: float | None = None
        self.ports = list(self.endpoint_ports)
        self.headers: dict[str, str] = {}
        for index, endpoint in enumerate(self.endpoints):
            wait_for(f"http://127.0.0.1:{self.endpoint_ports[index]}/health", 20, endpoint)
        if name != "direct":
            self.subject = SUBJECTS[name](self.port, self.endpoint_ports, directory)
            assert self.subject is not None
            self.ports, self.headers = [self.port], self.subject.headers
            self.process = Process(self.subject.command, directory / f"{name}.log", self.subject.environment)
            self._stack.callback(self.process.end)
            self.start_s = wait_for(
                f"http://127.0.0.1:{self.port}/v1/chat/completions", self.subject.start_timeout_s, self.process,
                BODY.encode(), self.headers,
            )  # fmt: skip

    def _endpoint(self, index: int) -> Process:
        port = self.endpoint_ports[index]
        command = [sys.executable, "-m", "benchmarks.gateway.endpoint", f"e{index}", str(port), str(self.delay_ms)]
        process = Process(command, self.directory / f"endpoint{index}.log", {"PYTHONPATH": str(ROOT)})
        self._stack.callback(process.end)
        return process

    def revive(self, index: int) -> float:
        """Start a killed endpoint again; the time (since 1970) when it answered."""
        self.endpoints[index] = self._endpoint(index)
        wait_for(f"http://127.0.0.1:{self.endpoint_ports[index]}/health", 20, self.endpoints[index])
        return time.time()

    def load(self, duration_s: float, connections: int = CONNECTIONS) -> Load:
        return Load(Order(self.ports, self.headers, BODY, connections, duration_s), self.directory)

    def close(self) -> None:
        self._stack.close()


@contextmanager
def trial(name: str, directory: Path, delay_ms: float) -> Iterator[Trial]:
    made = Trial(name, directory, delay_ms)
    try:
        yield made
    finally:
        made.close()


def cost(name: str, gateway: Gateway, directory: Path, seconds: float) -> None:
    """What one request costs, how many there are a second, and how long one takes on its own."""
    with trial(name, directory, 0.0) as made:
        gateway.start_s = made.start_s
        made.load(min(2.0, seconds)).result()
        before = made.process.cpu_s() if made.process else 0.0
        begun = time.monotonic()
        result = made.load(seconds).result()
        wall = time.monotonic() - begun
        good = sum(1 for by in result.by if by)
        if made.process:
            gateway.cpu_us_per_request = (made.process.cpu_s() - before) / max(1, good) * 1e6
            gateway.memory_mb = made.process.memory_mb()
        gateway.rps = good / min(wall, seconds)
        alone = made.load(seconds / 2, connections=2).result()
        took = sorted(took for took, by in zip(alone.took, alone.by, strict=True) if by)
        if took:
            gateway.p50_ms = statistics.median(took) * 1000
            gateway.p99_ms = took[int(len(took) * 0.99)] * 1000
        if result.errors:
            gateway.remark += f"errors under load: {result.errors}; "


def at(when_s: float, action: Callable[[], None]) -> threading.Timer:
    timer = threading.Timer(when_s, action)
    timer.daemon = True
    timer.start()
    return timer


def kill(name: str, gateway: Gateway, directory: Path, scale: float = 1.0) -> None:
    """One of two endpoints is killed for four seconds under load: errors, and how soon it serves again.

    `scale` shortens every time.
    """
    with trial(name, directory, DELAY_MS) as made:
        times: dict[str, float] = {}

        def strike() -> None:
            times["killed"] = time.time()
            made.endpoints[1].end()

        def revive() -> None:
            times["revived"] = made.revive(1)

        begun = time.time()
        load = made.load(14.0 * scale)
        timers = [at(2.0 * scale, strike), at(6.0 * scale, revive)]
        result = load.result()
        for timer in timers:
            timer.join()
        gateway.kill_requests = len(result.by)
        bad = [ended for ended, by in zip(result.ended, result.by, strict=True) if not by]
        gateway.kill_errors = len(bad)
        gateway.kill_last_error_s = max(bad) - times["killed"] if bad else 0.0
        after = [
            ended for ended, by in zip(result.ended, result.by, strict=True) if by == "e1" and ended > times["revived"]
        ]
        gateway.return_s = max(0.0, min(after) - times["revived"]) if after else None
        if not after:
            idle_s = begun + 14 * scale - times["revived"]
            gateway.remark += f"the endpoint that came back served nothing for {idle_s:.0f} s; "


def freeze(name: str, gateway: Gateway, directory: Path, scale: float = 1.0) -> None:
    """One of two endpoints is stopped (SIGSTOP) under load: good answers in the eight seconds after that.

    `scale` shortens every time.
    """
    with trial(name, directory, DELAY_MS) as made:
        times: dict[str, float] = {}

        def strike() -> None:
            times["frozen"] = time.time()
            made.endpoints[1].signal(signal.SIGSTOP)

        load = made.load(10.5 * scale)
        timer = at(2.0 * scale, strike)
        result = load.result()
        timer.join()
        frozen = times["frozen"]
        window = [by for ended, by in zip(result.ended, result.by, strict=True) if frozen <= ended < frozen + 8 * scale]
        gateway.freeze_goodput = sum(1 for by in window if by)
        gateway.freeze_errors = sum(
            1 for ended, by in zip(result.ended, result.by, strict=True) if not by and ended >= frozen
        )


def measure(name: str, directory: Path, seconds: float, say: Callable[[str], None]) -> Gateway | None:
    """All of it for one gateway; None if it is not installed."""
    if name != "direct" and SUBJECTS[name](1, [1, 1], directory) is None:
        say(f"{name}: not installed, left out")
        return None
    gateway = Gateway(name)
    parts = [("cost", lambda: cost(name, gateway, directory, seconds))]
    if name != "direct":
        parts += [
            ("kill", lambda: kill(name, gateway, directory)),
            ("freeze", lambda: freeze(name, gateway, directory)),
        ]
    for part, run in parts:
        say(f"{name}: {part}")
        try:
            run()
        except RuntimeError as error:
            gateway.remark += f"{part}: {error}; "
    return gateway


def table(facts: dict[str, object], gateways: list[Gateway]) -> None:
    console = Console()
    for key, value in facts.items():
        console.print(f"{key}: {value}", highlight=False)
    shown = Table(*(field for field in Gateway.__struct_fields__ if field != "remark"))
    for gateway in gateways:
        values = [getattr(gateway, field) for field in Gateway.__struct_fields__ if field != "remark"]
        shown.add_row(
            *("–" if value is None else f"{value:,.2f}" if isinstance(value, float) else str(value) for value in values)
        )
    console.print(shown)
    for gateway in gateways:
        if gateway.remark:
            console.print(f"{gateway.name}: {gateway.remark}", highlight=False)


def main() -> int:
    parser = argparse.ArgumentParser(prog="python -m benchmarks.gateway", description=__doc__)
    parser.add_argument("--json", action="store_true", help="one JSON object on standard output")
    parser.add_argument("--only", action="append", choices=["direct", *SUBJECTS], help="only this one; may be repeated")
    parser.add_argument(
        "--seconds", type=float, default=8.0, help="of load to measure the cost of a request (default 8)"
    )
    args = parser.parse_args()
    place = ROOT / "build" / "bench"
    place.mkdir(parents=True, exist_ok=True)
    directory = Path(tempfile.mkdtemp(prefix="gateway-", dir=place))
    facts = describe(directory, ROOT, shlex.join(["python", "-m", "benchmarks.gateway", *sys.argv[1:]]))
    gateways: list[Gateway] = []
    try:
        for name in args.only or ["direct", *SUBJECTS]:
            found = measure(name, directory, args.seconds, lambda text: print(text, file=sys.stderr))
            if found is not None:
                gateways.append(found)
    finally:
        shutil.rmtree(directory, ignore_errors=True)
    if args.json:
        print(json.dumps({**facts, "gateways": msgspec.to_builtins(gateways)}))
    else:
        table(facts, gateways)
    return 0


if __name__ == "__main__":
    sys.exit(main())
