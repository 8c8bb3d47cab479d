"""The killer behind the ledger, with a real process that books."""

from __future__ import annotations

import asyncio
import subprocess
import sys
import threading
from collections.abc import Awaitable, Callable, Iterator
from pathlib import Path

import pytest

from outlast.adapters.host.clock import SystemClock
from outlast.drill.fault import kill_after_booking
from outlast.drill.oracle import read_ledger
from outlast.drill.process import Process
from outlast.drill.stage import example_directory

Until = Callable[..., Awaitable[None]]
BOOK = """
import sys, time
from pathlib import Path
sys.path.insert(0, sys.argv[1])
from ledger import Ledger
class Slow(Ledger):
    def _insert(self, table, *said):
        number = super()._insert(table, *said)
        self.latency_s = float(sys.argv[3]) if table == "booking" else 0.0
        return number
ledger = Slow(Path(sys.argv[2]))
print("open", flush=True)
sys.stdin.readline()
ledger.book("key", "T-1", "1001", 500)
print("recorded", flush=True)
time.sleep(99)
"""


@pytest.fixture
def booker(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[subprocess.Popen[str]]:
    """Its parameter is how many seconds it takes from its booking to its word."""
    command = [sys.executable, "-c", BOOK, str(example_directory()), str(tmp_path / "l.sqlite"), str(request.param)]
    child = subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
    yield child
    child.kill()
    child.communicate()


class Stop(threading.Event):
    """Knows whether the hunter lies in wait: bookings from before that are none of its business."""

    def __init__(self) -> None:
        super().__init__()
        self.lies_in_wait = threading.Event()

    def wait(self, timeout: float | None = None) -> bool:
        self.lies_in_wait.set()
        return super().wait(timeout)


async def hunt(
    ledger: Path, stop: threading.Event, fair: Callable[[Process], bool] = lambda _: True
) -> tuple[Process, float] | None:
    return await asyncio.to_thread(kill_after_booking, ledger, fair, SystemClock(), stop)


async def begin(
    booker: subprocess.Popen[str], ledger: Path, stop: Stop, fair: Callable[[Process], bool] = lambda _: True
) -> asyncio.Task[tuple[Process, float] | None]:
    """The hunt, once the booker has been let go under the hunter's eyes."""
    assert booker.stdin is not None
    assert booker.stdout is not None
    assert await asyncio.to_thread(booker.stdout.readline) == "open\n"
    hunting = asyncio.create_task(hunt(ledger, stop, fair))
    assert await asyncio.to_thread(stop.lies_in_wait.wait, 60)
    booker.stdin.write("go\n")
    booker.stdin.flush()
    return hunting


@pytest.mark.parametrize("booker", [60], indirect=True)
async def test_who_books_is_killed_before_it_can_say_so(booker: subprocess.Popen[str], tmp_path: Path) -> None:
    assert booker.stdout is not None
    prey = await (await begin(booker, tmp_path / "l.sqlite", Stop()))
    assert prey is not None
    assert prey[0].pid == booker.pid
    assert booker.stdout.read() == ""
    ledger = read_ledger(tmp_path / "l.sqlite")
    assert [entry.key for entry in ledger.bookings] == ["key"]
    assert prey[1] >= ledger.bookings[0].at


@pytest.mark.parametrize("booker", [0.2], indirect=True)
async def test_nobody_is_killed_who_is_no_fair_prey(
    booker: subprocess.Popen[str], tmp_path: Path, until: Until
) -> None:
    assert booker.stdout is not None
    stop = Stop()
    asked: list[Process] = []

    def fair(process: Process) -> bool:
        asked.append(process)
        return False

    hunting = await begin(booker, tmp_path / "l.sqlite", stop, fair)
    await until(lambda: asked, 60, "the booking was seen")
    assert await asyncio.to_thread(booker.stdout.readline) == "recorded\n"
    stop.set()
    assert await hunting is None
    assert booker.poll() is None


async def test_a_hunt_without_a_booking_ends_when_told(tmp_path: Path) -> None:
    stop = threading.Event()
    hunting = asyncio.create_task(hunt(tmp_path / "none.sqlite", stop))
    stop.set()
    assert await hunting is None
