"""What all tests share.

Tests are plain functions; ``async def test_…`` runs on an event loop of its own (pytest-asyncio, auto mode: no marker
needed). Every test is ended after 300 s (pytest-timeout), one that is marked as slow, as a crash test or for a real
model after 600; ``@pytest.mark.timeout(900)`` says another bound. Warnings are errors. Tests wait on conditions with a
deadline (`until`), never with a bare sleep.
"""

from __future__ import annotations

import asyncio
import gc
import os
import signal
import time
from collections import defaultdict
from collections.abc import Awaitable, Callable, Iterator
from pathlib import Path

import hypothesis
import pytest

_slow_s, _processes_s, _quick_s = 10.0, 3.0, 0.1  # a guess of what a test takes, where its mark does not say it
_heavy, _heavy_s_max = ("slow", "crash", "real_model"), 600.0  # on a machine that is busy with something else
_looks = (
    "COLUMNS", "LINES", "FORCE_COLOR", "NO_COLOR", "CLICOLOR", "CLICOLOR_FORCE", "PY_COLORS", "TTY_COMPATIBLE",
    "GITHUB_ACTIONS",
)  # fmt: skip


def pytest_configure(config: pytest.Config) -> None:
    """Started in the background, a shell has SIGINT ignored, and so would every process that a test starts."""
    if not config.getoption("numprocesses", None) or hasattr(config, "workerinput"):
        # an app that a test writes anew within a second, no longer than before, would be the old one
        os.environ["PYTHONDONTWRITEBYTECODE"] = "1"
    for name in _looks:  # how wide and how colourful output is, is for a test to say
        os.environ.pop(name, None)
    if signal.getsignal(signal.SIGINT) == signal.SIG_IGN:
        signal.signal(signal.SIGINT, signal.default_int_handler)
    # how long an example takes says something of the machine, and nothing of the code
    patient = hypothesis.settings(deadline=None, suppress_health_check=[hypothesis.HealthCheck.too_slow])
    hypothesis.settings.register_profile("patient", patient)
    # what CI says of a change must not depend on luck; everywhere else Hypothesis looks for what is new
    hypothesis.settings.register_profile("ci", patient, derandomize=True, database=None)
    hypothesis.settings.load_profile("ci" if os.environ.get("CI") == "true" else "patient")


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Files that take longest come first (``pytest.mark.slow(60)``): no worker is left alone with one at the end."""
    spans: dict[Path, float] = defaultdict(float)
    for item in items:
        if item.get_closest_marker("timeout") is None and any(map(item.get_closest_marker, _heavy)):
            item.add_marker(pytest.mark.timeout(_heavy_s_max))
        slow = item.get_closest_marker("slow")
        if slow is not None:
            spans[item.path] += sum(slow.args) or _slow_s
        elif item.get_closest_marker("crash") is not None:
            spans[item.path] += _processes_s
        else:
            spans[item.path] += _quick_s
    items.sort(key=lambda item: (-spans[item.path], str(item.path)))


def pytest_collection_finish() -> None:
    """Six thousand collected tests are no garbage: without them a look for garbage takes a tenth of the time."""
    gc.collect()
    gc.freeze()


def pytest_addoption(parser: pytest.Parser) -> None:
    parser.addoption("--kills", type=int, default=100, help="how many kills a crash test makes (default 100)")


@pytest.fixture(scope="session")
def kills(request: pytest.FixtureRequest) -> int:
    """How many kills a crash test shall make: 100, or what ``make crash KILLS=…`` asks for."""
    return int(str(request.config.getoption("--kills")))


@pytest.fixture(autouse=True)
def _clean_environment(monkeypatch: pytest.MonkeyPatch) -> None:
    """No variable of the machine, and none left by another test, reaches a test or a process it starts."""
    for name in list(os.environ):
        if name.startswith("OUTLAST_"):
            monkeypatch.delenv(name)


@pytest.fixture
def until() -> Callable[..., Awaitable[None]]:
    """``await until(condition, 5, "a worker is up")``: wait until `condition()` is true, at most so many seconds.

    The condition may be a plain or an async function; what it raises ends the wait.
    """

    async def wait(condition: Callable[[], object], deadline_s: float = 60.0, what: str = "") -> None:
        end = time.monotonic() + deadline_s
        while True:
            found = condition()
            if isinstance(found, Awaitable):
                found = await found
            if found:
                return
            if time.monotonic() > end:
                pytest.fail(f"not within {deadline_s} s: {what or condition}")
            await asyncio.sleep(0.005)

    return wait


@pytest.fixture
def short_dir(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    """A new directory whose path is short enough for Unix sockets (107 bytes); removed afterwards."""
    import shutil
    import tempfile

    path = Path(tempfile.mkdtemp(prefix="ol-", dir="/tmp"))
    yield path
    shutil.rmtree(path, ignore_errors=True)
