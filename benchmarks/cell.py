"""A whole cell, started as users start it: `outlast up` on a folder of its own, with the measured app."""

from __future__ import annotations

import http.client
import json
import os
import re
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing
from pathlib import Path
from threading import local
from typing import Any

import apsw

from benchmarks.bench import ROOT

ready_within_s = 60.0


class CellFailed(RuntimeError):
    """It did not come up, or a run did not complete."""


class Cell:
    """``with Cell(folder, workers=2) as cell:`` is up inside the block."""

    def __init__(self, home: Path, workers: int) -> None:
        self.home = home
        self.state = home / ".outlast"
        self._workers = workers
        self._process: subprocess.Popen[bytes] | None = None
        self._connections = local()
        self._address = ("", 0)

    def __enter__(self) -> Cell:
        shutil.copy(ROOT / "benchmarks" / "app.py", self.home / "app.py")
        (self.home / "outlast.yaml").write_text(
            f"outlast: 1\nworkers: {{min: {self._workers}}}\nserver: {{listen: '127.0.0.1:0'}}\n"
        )
        with (self.home / "up.log").open("wb") as log:
            self._process = subprocess.Popen(
                [sys.executable, "-m", "outlast", "up"],
                cwd=self.home,
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=log,
                start_new_session=True,
            )
        try:
            self.until(self._is_up, ready_within_s, "the cell is up")
        except BaseException:
            self.__exit__()
            raise
        return self

    def __exit__(self, *raised: object) -> None:
        assert self._process is not None
        self._process.send_signal(signal.SIGINT)
        try:
            self._process.wait(20)
        except subprocess.TimeoutExpired:
            self._process.kill()  # its children notice and end by themselves
            self._process.wait()

    def until(self, condition: Callable[[], object], within_s: float, what: str) -> None:
        """Wait for a condition; raises CellFailed with the log's end after `within_s` seconds."""
        assert self._process is not None
        end = time.monotonic() + within_s
        while not condition():
            if time.monotonic() > end or self._process.poll() is not None:
                tail = (self.home / "up.log").read_text(errors="replace")[-3000:]
                raise CellFailed(f"not within {within_s:g} s: {what}; `outlast up` said:\n{tail}")
            time.sleep(0.01)

    def _is_up(self) -> bool:
        try:
            up = json.loads((self.state / "up.json").read_text())
            host, port = up["address"].removeprefix("http://").rsplit(":", 1)
            self._address = (host, int(port))
            self.request("GET", "/readyz")
        except (OSError, ValueError, KeyError, CellFailed):
            self._connections = local()
            return False
        return len(self.serving()) > self._workers

    def serving(self) -> dict[str, int]:
        """Those of `workers` that have said that they are ready, as the supervisor's log tells."""
        log = (self.home / "up.log").read_text(errors="replace")
        said = set(re.findall(r"^worker (\S+) serves", log, re.MULTILINE))
        return {name: pid for name, pid in self.workers().items() if name in said}

    def workers(self) -> dict[str, int]:
        """Process ids of the living workers, the spare included, by identity."""
        found: dict[str, int] = {}
        for path in (self.state / "workers").glob("*.alive"):
            try:
                pid = int(json.loads(path.read_text())["pid"])
                stat = Path(f"/proc/{pid}/stat").read_text()
            except (OSError, ValueError, KeyError):
                continue  # it is being written, or its process is gone
            if stat.rpartition(")")[2].split()[0] not in "ZX":
                found[path.stem] = pid
        return found

    def request(self, method: str, path: str, body: Any = None) -> Any:
        """One request on this thread's connection; the JSON answer. Raises CellFailed unless it is a success."""
        connection: http.client.HTTPConnection | None = getattr(self._connections, "value", None)
        if connection is None:
            connection = self._connections.value = http.client.HTTPConnection(*self._address, timeout=30)
        raw = None if body is None else json.dumps(body).encode()
        connection.request(method, path, raw, {"Content-Type": "application/json"} if raw else {})
        answer = connection.getresponse()
        text = answer.read()
        if answer.status >= 300:
            raise CellFailed(f"{method} {path}: {answer.status} {text[:300]!r}")
        return json.loads(text) if text[:1] in b"{[" else text.decode()

    def start(self, agent: str, inputs: Sequence[dict[str, Any]]) -> list[str]:
        """Start one run for each input, several requests at a time."""
        with ThreadPoolExecutor(8) as pool:
            path = f"/v1/agents/{agent}/runs"
            return [each["run"] for each in pool.map(lambda one: self.request("POST", path, {"input": one}), inputs)]

    def states(self) -> dict[str, int]:
        """How many runs are in each state, read from the journal's file."""
        path = str(self.state / "journal.sqlite")
        with closing(apsw.Connection(path, flags=apsw.SQLITE_OPEN_READONLY)) as database:
            database.set_busy_timeout(2000)
            rows = database.execute("SELECT state, count(*) FROM run GROUP BY state")
            return {str(state): int(number) for state, number in rows}

    def complete(self, inputs: Sequence[dict[str, Any]], agent: str = "steps", within_s: float = 300.0) -> float:
        """Seconds from the first start until all of these runs have completed."""
        target = self.states().get("completed", 0) + len(inputs)
        start = time.monotonic()
        self.start(agent, inputs)
        self.until(lambda: self.states().get("completed", 0) >= target, within_s, "runs complete")
        return time.monotonic() - start


def kill(pid: int) -> float:
    """SIGKILL one process; the monotonic time just before."""
    at = time.monotonic()
    os.kill(pid, signal.SIGKILL)
    return at
