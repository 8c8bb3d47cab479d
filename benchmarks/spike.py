"""``python -m benchmarks.spike``: one agent is flooded with a thousand times its messages; what do its neighbours feel?

A cell as `outlast up` starts it. A neighbour agent is asked for one run after the other, each a few durable steps, and
each is timed as its client sees it: from the request to the answer with the result. Before, the other agent gets a
message now and then; during, a thousand times as many are thrown at it, from several connections at once: of ten, one
is no JSON, one is larger than the server takes. In the end all that was accepted must have become a run that
completed, and all that could be none must have been refused, each with a reason.
"""

from __future__ import annotations

import argparse
import http.client
import json
import shutil
import sys
import tempfile
import threading
import time
from collections import Counter
from collections.abc import Callable, Sequence
from contextlib import closing
from pathlib import Path
from typing import Any

from benchmarks.cell import Cell

flooded, neighbour = "turn", "steps"
neighbour_steps = 3
calm_messages = 10
times = 1000
at_most = 2.0
"""How much the neighbours' p99 may grow."""
_OVERSIZED = b'{"input": {"text": "' + b"x" * (1 << 20) + b'"}}'
_MALFORMED = b'{"input": {"text": "x"'


def percentile(values: Sequence[float], share: float) -> float:
    """The value that `share` of them are not above."""
    ordered = sorted(values)
    return ordered[min(len(ordered) - 1, int(share * len(ordered)))]


def quantiles(seconds: Sequence[float]) -> dict[str, float]:
    """Milliseconds, for people and machines."""
    return {
        "runs": len(seconds),
        "p50_ms": round(percentile(seconds, 0.5) * 1000, 2),
        "p99_ms": round(percentile(seconds, 0.99) * 1000, 2),
    }


class Flood:
    """Throws `count` messages at an agent from `connections` threads; counts what was answered."""

    def __init__(self, address: tuple[str, int], count: int, connections: int) -> None:
        self.answers: Counter[int] = Counter()
        self.accepted: list[str] = []
        self.seconds = 0.0
        self._address = address
        self._left = count
        self._lock = threading.Lock()
        self._threads = [threading.Thread(target=self._throw, daemon=True) for _ in range(connections)]
        self._began = 0.0

    def start(self) -> None:
        """Begin."""
        self._began = time.monotonic()
        for thread in self._threads:
            thread.start()

    @property
    def going(self) -> bool:
        """Whether anything is still to be thrown."""
        return any(thread.is_alive() for thread in self._threads)

    def join(self) -> None:
        """Wait for its end."""
        for thread in self._threads:
            thread.join()
        self.seconds = time.monotonic() - self._began

    def _throw(self) -> None:
        connection: http.client.HTTPConnection | None = None
        while True:
            with self._lock:
                number, self._left = self._left, self._left - 1
            if number <= 0:
                return
            status, run = 0, None
            try:
                if connection is None:
                    connection = http.client.HTTPConnection(*self._address, timeout=60)
                connection.request("POST", f"/v1/agents/{flooded}/runs", message(number), _HEADERS)
                answer = connection.getresponse()
                body = answer.read()
                status = answer.status
                run = json.loads(body)["run"] if status == 201 else None
                if answer.will_close:
                    connection.close()
                    connection = None
            except (OSError, http.client.HTTPException):
                connection = None
            with self._lock:
                self.answers[status] += 1
                if run is not None:
                    self.accepted.append(run)


_HEADERS = {"Content-Type": "application/json"}


def message(number: int) -> bytes:
    """The body of one: of ten, the first is no JSON, the second too large."""
    if number % 10 == 1:
        return _MALFORMED
    if number % 10 == 2:
        return _OVERSIZED
    return json.dumps({"input": {"text": f"message {number}"}}).encode()


def ask(address: tuple[str, int], going: Callable[[int], bool]) -> list[float]:
    """Runs of the neighbour, one after the other while `going(how many)`: how long each took."""
    seconds: list[float] = []
    path = f"/v1/agents/{neighbour}/runs"
    with closing(http.client.HTTPConnection(*address, timeout=120)) as connection:
        while going(len(seconds)):
            body = json.dumps({"input": {"steps": neighbour_steps, "size": 1024}})
            began = time.monotonic()
            connection.request("POST", path, body, {**_HEADERS, "Prefer": "wait=60"})
            answer = json.loads(connection.getresponse().read())
            seconds.append(time.monotonic() - began)
            if answer.get("view", {}).get("state") != "completed":
                raise RuntimeError(f"a neighbour's run did not complete: {answer}")
    return seconds


def measure(home: Path, workers: int, runs: int, messages: int, connections: int) -> dict[str, Any]:
    """One experiment."""
    with Cell(home, workers) as cell:
        address = cell._address  # noqa: SLF001 (the client's own connections)
        ask(address, lambda done: done < 20)
        Flood(address, calm_messages, 1)._throw()  # noqa: SLF001 (a few, in this thread)
        before = ask(address, lambda done: done < runs)
        flood = Flood(address, messages, connections)
        flood.start()
        during = ask(address, lambda done: flood.going or done < 20)
        flood.join()
        backlog = sum(cell.states().get(state, 0) for state in ("ready", "running", "parked"))
        cell.until(lambda: _open(cell.states()) == 0, 600, "all that was accepted has completed")
        states = cell.states()
        after = ask(address, lambda done: done < runs)
    refused = sum(count for status, count in flood.answers.items() if status not in (200, 201))
    calm, spiked = quantiles(before), quantiles(during)
    ratio = spiked["p99_ms"] / calm["p99_ms"]
    return {
        "workers": workers,
        "messages": messages,
        "times": round(messages / calm_messages),
        "flood_s": round(flood.seconds, 2),
        "accepted": len(flood.accepted),
        "refused": refused,
        "answers": {str(status): count for status, count in sorted(flood.answers.items())},
        "backlog_at_its_end": backlog,
        "not_completed": {state: count for state, count in states.items() if state != "completed"},
        "neighbour": {"before": calm, "during": spiked, "after": quantiles(after)},
        "p99_ratio": round(ratio, 2),
        "p99_ratio_at_most": at_most,
        "holds": ratio <= at_most,
    }


def _open(states: dict[str, int]) -> int:
    return sum(count for state, count in states.items() if state not in ("completed", "failed", "cancelled"))


def main() -> int:
    """0: the neighbours' p99 at most doubled, and nothing was lost; 1: not so."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.spike", description=__doc__)
    parser.add_argument("--json", action="store_true", help="one JSON object on standard output")
    parser.add_argument("--workers", type=int, default=2, help="of the cell, besides its spare (default 2)")
    parser.add_argument("--runs", type=int, default=300, help="runs of the neighbour before and after (default 300)")
    parser.add_argument("--messages", type=int, default=calm_messages * times, help="thrown (default 10,000)")
    parser.add_argument("--connections", type=int, default=8, help="that throw at once (default 8)")
    args = parser.parse_args()
    home = Path(tempfile.mkdtemp(prefix="outlast-spike-"))
    try:
        found = measure(home, args.workers, args.runs, args.messages, args.connections)
    finally:
        shutil.rmtree(home, ignore_errors=True)
    if args.json:
        sys.stdout.write(json.dumps(found) + "\n")
    else:
        sys.stdout.write(table(found) + "\n")
    return 0 if found["holds"] and not found["not_completed"] else 1


def table(found: dict[str, Any]) -> str:
    """For people."""
    lines = [
        f"{found['messages']} messages, {found['times']} times as many, in {found['flood_s']} s",
        f"{found['accepted']} accepted, {found['refused']} refused, by status {found['answers']}",
        f"runs open when it ended: {found['backlog_at_its_end']}; not completed in the end: {found['not_completed']}",
    ]
    for when, figures in found["neighbour"].items():
        lines.append(f"neighbour {when:7} p50 {figures['p50_ms']:9.2f} ms  p99 {figures['p99_ms']:9.2f} ms")
    lines.append(f"p99 during over before: {found['p99_ratio']} (at most {found['p99_ratio_at_most']})")
    return "\n".join(lines)


if __name__ == "__main__":
    sys.exit(main())
