"""A real writing process, as the tests start it: ``python -m tests.adapters.sqlite.writing FILE SOCKET``."""

from __future__ import annotations

import os
import signal
import socket
import subprocess
import sys
import time
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from pathlib import Path

ROOT = Path(__file__).parents[3]


class WritingProcess:
    """Starts one; `stop` or `kill` ends it by its number. `environment` is added to that of the tests."""

    def __init__(self, directory: Path, environment: Mapping[str, str] | None = None, *prefix: str) -> None:
        self.journal = directory / "journal.sqlite"
        self.socket = directory / "writer.sock"
        self.log = directory / "writer.log"
        self._prefix = prefix
        self._environment = {**os.environ, **(environment or {})}
        self.process = self._start()

    def _start(self) -> subprocess.Popen[bytes]:
        ours, theirs = socket.socketpair()
        self.control = ours
        with theirs, self.log.open("ab") as log:
            return subprocess.Popen(
                [*self._prefix, sys.executable, "-m", "tests.adapters.sqlite.writing", self.journal, self.socket],
                cwd=ROOT,
                env={**self._environment, "OUTLAST_CONTROL_FD": str(theirs.fileno())},
                pass_fds=[theirs.fileno()],
                start_new_session=True,
                stderr=log,
            )

    @property
    def pid(self) -> int:
        return self.process.pid

    def kill(self) -> None:
        self.process.kill()
        self.process.wait(30)
        self.control.close()

    def forget(self, variable: str) -> None:
        """Without this variable of the environment when it is started again."""
        self._environment.pop(variable, None)

    def restart(self) -> None:
        self.process = self._start()

    def stop(self) -> int:
        """End it in order; its exit code."""
        if self.process.poll() is None:
            self.process.send_signal(signal.SIGCONT)
            self.process.send_signal(signal.SIGTERM)
        try:
            return self.process.wait(30)
        except subprocess.TimeoutExpired:
            self.process.kill()
            self.process.wait(30)
            raise
        finally:
            self.control.close()

    def said(self) -> str:
        return self.log.read_text(errors="replace")

    def wait_until_ready(self, deadline_s: float = 20.0) -> None:
        """Until its socket takes a connection and says something."""
        end = time.monotonic() + deadline_s
        while time.monotonic() < end:
            if self.process.poll() is not None:
                raise AssertionError(f"the writing process ended with {self.process.returncode}: {self.said()}")
            with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as probe:
                probe.settimeout(max(0.01, end - time.monotonic()))
                try:
                    probe.connect(str(self.socket))
                    if probe.recv(1):
                        return
                except OSError:
                    time.sleep(0.005)
        raise AssertionError(f"the writing process was not ready within {deadline_s} s: {self.said()}")


@asynccontextmanager
async def running(directory: Path, environment: Mapping[str, str] | None = None) -> AsyncIterator[WritingProcess]:
    process = WritingProcess(directory, environment)
    try:
        process.wait_until_ready()
        yield process
    finally:
        process.stop()


def main() -> None:
    from outlast.adapters.host.clock import SystemClock
    from outlast.adapters.host.control import ControlLink
    from outlast.adapters.host.crash import crash_points
    from outlast.adapters.host.randomness import OsRandomness
    from outlast.adapters.sqlite.writer import serve
    from outlast.kernel.error import OutlastError

    journal, path = Path(sys.argv[1]), Path(sys.argv[2])
    control = ControlLink.from_environment(os.environ)
    durability = "process" if os.environ.get("WRITING_DURABILITY") == "process" else "power"
    try:
        serve(
            journal,
            path,
            clock=SystemClock(),
            randomness=OsRandomness(),
            control=control,
            points=crash_points(os.environ),
            durability=durability,
            checkpoint_pages=int(os.environ.get("WRITING_CHECKPOINT_PAGES", "1000")),
        )
    except OutlastError as error:
        sys.stderr.write(f"{error.code}: {error}\n")
        sys.exit(1)


if __name__ == "__main__":
    main()
