"""Processes that are measured: started in a group of their own, looked at through /proc, ended by their id."""

from __future__ import annotations

import http.client
import os
import signal
import socket
import subprocess
import time
import urllib.error
import urllib.request
from pathlib import Path

TICKS = os.sysconf("SC_CLK_TCK")
PAGE = os.sysconf("SC_PAGE_SIZE")


def free_ports(count: int) -> list[int]:
    """So many TCP ports that nobody listens on now."""
    sockets = [socket.socket() for _ in range(count)]
    for each in sockets:
        each.bind(("127.0.0.1", 0))
    ports = [each.getsockname()[1] for each in sockets]
    for each in sockets:
        each.close()
    return ports


class Process:
    """A process and all that it started."""

    def __init__(self, command: list[str], log: Path, environment: dict[str, str] | None = None) -> None:
        self.command = command
        self.log = log
        with log.open("wb") as out:
            self.popen = subprocess.Popen(
                command, stdin=subprocess.DEVNULL, stdout=out, stderr=out, start_new_session=True,
                env={**os.environ, **(environment or {})},
            )  # fmt: skip

    def group(self) -> list[int]:
        """The pids of its process group."""
        pids: list[int] = []
        for entry in Path("/proc").iterdir():
            if entry.name.isdigit():
                try:
                    after = (entry / "stat").read_text().rpartition(")")[2].split()
                except OSError:
                    continue
                if int(after[2]) == self.popen.pid:
                    pids.append(int(entry.name))
        return pids

    def cpu_s(self) -> float:
        """CPU time of the group so far, user and system."""
        total = 0
        for pid in self.group():
            try:
                after = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
            except OSError:
                continue
            total += int(after[11]) + int(after[12])
        return total / TICKS

    def memory_mb(self) -> float:
        """Proportional resident memory of the group, MiB."""
        total = 0
        for pid in self.group():
            try:
                rollup = Path(f"/proc/{pid}/smaps_rollup").read_text()
            except OSError:
                continue
            total += sum(int(line.split()[1]) for line in rollup.splitlines() if line.startswith("Pss:"))
        return total / 1024

    def signal(self, number: signal.Signals) -> None:
        os.killpg(self.popen.pid, number)

    def end(self) -> None:
        """Kill the group and wait for it."""
        try:
            self.signal(signal.SIGCONT)
            self.signal(signal.SIGKILL)
        except ProcessLookupError:
            pass
        self.popen.wait(10)


def answers(url: str, data: bytes | None = None, headers: dict[str, str] | None = None) -> bool:
    """Whether one request is answered with 200."""
    request = urllib.request.Request(url, data, {"content-type": "application/json", **(headers or {})})
    try:
        with urllib.request.urlopen(request, timeout=2) as response:
            return response.status == 200
    except urllib.error.HTTPError as error:
        error.close()
        return False
    except (OSError, http.client.HTTPException):
        return False


def wait_for(
    url: str, timeout_s: float, process: Process, data: bytes | None = None, headers: dict[str, str] | None = None
) -> float:
    """Seconds until a request is answered with 200; raises when it never is."""
    begun = time.monotonic()
    while not answers(url, data, headers):
        if process.popen.poll() is not None or time.monotonic() - begun > timeout_s:
            raise RuntimeError(
                f"{process.command[0]} does not answer: {process.log.read_text(errors='replace')[-800:]}"
            )
        time.sleep(0.01)
    return time.monotonic() - begun
