from __future__ import annotations

import asyncio
import http.client
import os
import signal
import socket
import subprocess
import sys
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from pathlib import Path
from urllib.parse import urlsplit

import msgspec
import pytest

from outlast.adapters.host.group import child_variable
from outlast.adapters.host.lock import holder
from outlast.blueprint.load import load
from outlast.bootstrap.cell import Cell, bound_logs
from outlast.bootstrap.home import StateDirectory, Up
from outlast.cell import event as news
from outlast.kernel.error import ConfigurationError, Conflict, StoreCorrupt

Until = Callable[..., Awaitable[None]]
APP = """
import outlast
app = outlast.App('desk')
@app.agent
async def echo(run, text: str) -> str:
    return text
@app.agent(pool="apart")
async def alone(run, text: str) -> str:
    return text
"""


@asynccontextmanager
async def running(home: Path, until: Until, port: int = 0) -> AsyncIterator[tuple[Cell, list[news.CellEvent]]]:
    (home / "outlast.yaml").write_text(f"outlast: 1\nworkers: {{min: 1}}\nserver: {{listen: '127.0.0.1:{port}'}}\n")
    events: list[news.CellEvent] = []
    cell = Cell(home, load(home), listener=events.append)
    task = asyncio.create_task(cell.run())
    try:
        await until(lambda: cell.ready() or task.done(), 60, "the cell serves")
        if task.done():
            await task
        yield cell, events
    finally:
        cell.stop()
        await asyncio.wait([task], timeout=60)
        assert task.done()


@pytest.mark.crash
async def test_up_serves_says_where_and_leaves_nothing_behind(short_dir: Path, until: Until) -> None:
    (short_dir / "app.py").write_text(APP)
    async with running(short_dir, until) as (cell, events):
        up = msgspec.json.decode((short_dir / ".outlast" / "up.json").read_bytes(), type=Up)
        assert up.pid == os.getpid() == holder(short_dir / ".outlast")
        connection = http.client.HTTPConnection(urlsplit(up.address).netloc, timeout=30)
        answer = await asyncio.to_thread(_get, connection, "/livez")
        assert answer == 200
        pools = sorted(view.pool for view in cell.view() if view.kind == "worker")
        assert pools == ["apart", "apart", "default", "default"]
        with pytest.raises(Conflict, match=f"in use by process {os.getpid()}"):
            await Cell(short_dir, load(short_dir)).run()
        cell.drain()
        await until(lambda: news.CellStopped() in events, 60, "it has drained")
        assert not [event for event in events if isinstance(event, news.ChildKilled)]
    assert not (short_dir / ".outlast" / "up.json").exists()
    assert holder(short_dir / ".outlast") is None


LEFT_BEHIND = """
import os, signal, sys
from pathlib import Path
from outlast.adapters.host.alive import AliveFile
from outlast.adapters.host.clock import SystemClock
held = AliveFile(Path(sys.argv[1]), "worker_old", SystemClock())
print("up", flush=True)
os.kill(os.getpid(), signal.SIGSTOP)
"""


@pytest.mark.crash
async def test_what_an_earlier_supervisor_left_behind_frozen_is_dead_before_anything_starts(
    short_dir: Path, until: Until
) -> None:
    (short_dir / "app.py").write_text(APP)
    workers = StateDirectory(short_dir).alive("worker")
    command = [sys.executable, "-c", LEFT_BEHIND, str(workers)]
    environment = {**os.environ, child_variable: "worker_old"}
    left = subprocess.Popen(command, stdout=subprocess.PIPE, text=True, env=environment, start_new_session=True)
    assert left.stdout is not None
    try:
        assert left.stdout.readline() == "up\n"
        async with running(short_dir, until) as (_, events):
            assert left.poll() == -signal.SIGKILL
            assert isinstance(events[0], news.ChildStarted)
    finally:
        left.kill()
        left.communicate()


SLOW = """
import asyncio
from contextlib import asynccontextmanager
from pathlib import Path

import outlast

HERE = Path(__file__).parent


@asynccontextmanager
async def dependencies():
    with (HERE / "begun").open("a") as begun:
        begun.write("worker\\n")
    while not (HERE / "gate").exists():
        await asyncio.sleep(0.01)
    yield None


app = outlast.App("slow", lifespan=dependencies)


@app.agent
async def echo(run, text: str) -> str:
    return text
"""


@pytest.mark.crash
async def test_no_worker_counts_as_ready_before_its_dependencies_are_open_the_spare_neither(
    short_dir: Path, until: Until
) -> None:
    (short_dir / "app.py").write_text(SLOW)
    (short_dir / "outlast.yaml").write_text("outlast: 1\nworkers: {min: 1}\nserver: {listen: '127.0.0.1:0'}\n")
    events: list[news.CellEvent] = []
    cell = Cell(short_dir, load(short_dir), listener=events.append)
    task = asyncio.create_task(cell.run())

    def ready(kind: str) -> int:
        return sum(isinstance(event, news.ChildReady) and event.kind == kind for event in events)

    try:
        await until(lambda: (short_dir / "begun").exists() and ready("server"), 60, "a worker opens what it needs")
        assert ready("worker") == 0
        (short_dir / "gate").touch()
        await until(lambda: ready("worker") >= 2, 60, "the worker and its spare serve")
        assert (short_dir / "begun").read_text().count("worker") == 2
    finally:
        cell.stop()
        await asyncio.wait([task], timeout=60)


@pytest.mark.crash
@pytest.mark.parametrize(
    ("app", "says"),
    [("import nothing_of_that_name", "No module named 'nothing_of_that_name'"), ("x = 1", "app has no 'app'")],
)
async def test_an_app_that_cannot_be_loaded_is_the_error_of_up(
    short_dir: Path, until: Until, app: str, says: str
) -> None:
    (short_dir / "app.py").write_text(app)
    with pytest.raises(ConfigurationError, match=says):
        async with running(short_dir, until):
            pass


@pytest.mark.crash
async def test_a_damaged_journal_is_the_error_of_up(short_dir: Path, until: Until) -> None:
    (short_dir / "app.py").write_text(APP)
    StateDirectory(short_dir).make()
    StateDirectory(short_dir).journal.write_bytes(b"SQLite format 3\0" + b"\xff" * 4096)
    with pytest.raises(StoreCorrupt, match="journal"):
        async with running(short_dir, until):
            pass


@pytest.mark.crash
async def test_a_port_in_use_is_the_error_of_up(short_dir: Path, until: Until) -> None:
    (short_dir / "app.py").write_text(APP)
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
        with pytest.raises(ConfigurationError, match=f"127.0.0.1:{port} cannot be used"):
            async with running(short_dir, until, port):
                pass


def test_logs_are_bounded_under_the_hands_of_who_writes_them(tmp_path: Path) -> None:
    log = tmp_path / "worker.log"
    with log.open("ab", buffering=0) as child:
        child.write(b"x" * 100)
        bound_logs(tmp_path, bytes_max=100)
        assert log.stat().st_size == 100
        child.write(b"y")
        bound_logs(tmp_path, bytes_max=100)
        child.write(b"z")
    assert log.read_bytes() == b"z"
    assert (tmp_path / "worker.log.1").read_bytes() == b"x" * 100 + b"y"


def _get(connection: http.client.HTTPConnection, path: str) -> int:
    connection.request("GET", path)
    status = connection.getresponse().status
    connection.close()
    return status
