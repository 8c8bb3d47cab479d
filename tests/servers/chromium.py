"""A real Chromium without a window, from Debian, driven over its DevTools protocol; and axe-core, from npm."""

from __future__ import annotations

import asyncio
import base64
import contextlib
import itertools
import os
import shutil
import subprocess
import time
from collections.abc import AsyncIterator, Iterator
from pathlib import Path
from typing import Any

import aiohttp
import pytest

from tests.servers.process import from_npm, start_deadline_s, stop

_axe_version = "4.10.3"
_axe_home = Path(__file__).parents[2] / "build" / "axe-core"
_flags = (
    "--headless", "--no-sandbox", "--disable-gpu", "--disable-quic", "--no-first-run", "--disable-sync",
    "--disable-background-networking", "--disable-component-update", "--disable-dev-shm-usage",
    "--remote-debugging-port=0",
)  # fmt: skip
_answer_deadline_s = 60.0


def _missing(why: str) -> None:
    """A visible skip; a failure in CI."""
    if os.environ.get("CI") == "true":
        pytest.fail(why)
    pytest.skip(why)


def axe() -> str:
    """The source of axe-core, installed into this checkout if it is not there."""
    found = _axe_home / "node_modules" / "axe-core" / "axe.min.js"
    npm = shutil.which("npm")
    if not found.exists() and npm is None:
        _missing("npm is not installed: make setup-system installs it")
    elif not found.exists():
        said = from_npm(str(npm), f"axe-core@{_axe_version}", _axe_home)
        if not found.exists():
            _missing(f"npm could not install axe-core: {said}")
    return found.read_text(encoding="utf-8")


@contextlib.contextmanager
def chromium(directory: Path) -> Iterator[str]:
    """The address of its DevTools; `directory` is for its profile and its log."""
    program = shutil.which("chromium") or shutil.which("chromium-browser") or shutil.which("google-chrome")
    if program is None:
        _missing("chromium is not installed: make setup-system installs it")
    profile = directory / "profile"
    log = directory / "chromium.log"
    with log.open("wb") as output:
        process = subprocess.Popen(
            [str(program), *_flags, f"--user-data-dir={profile}", "about:blank"],
            stdout=output, stderr=output, stdin=subprocess.DEVNULL, start_new_session=True,
        )  # fmt: skip
    try:
        yield f"http://127.0.0.1:{_port(process, profile / 'DevToolsActivePort', log)}"
    finally:
        stop(process)


def _port(process: subprocess.Popen[bytes], said: Path, log: Path) -> int:
    end = time.monotonic() + start_deadline_s
    while process.poll() is None and time.monotonic() < end:
        with contextlib.suppress(OSError, ValueError, IndexError):
            return int(said.read_text().splitlines()[0])
        time.sleep(0.02)
    raise AssertionError(f"chromium did not start: {log.read_text(errors='replace')[-2000:]}")


class Page:
    """One tab: what it is told, and what went wrong in it."""

    def __init__(self, socket: aiohttp.ClientWebSocketResponse) -> None:
        self._socket = socket
        self._numbers = itertools.count(1)
        self._answers: dict[int, asyncio.Future[dict[str, Any]]] = {}
        self._loaded: set[str] = set()
        self._news = asyncio.Event()
        self.complaints: list[str] = []
        """Errors and warnings of the console, refused resources and exceptions included."""
        self.requests: list[str] = []
        """Every address that was asked for."""

    async def listen(self) -> None:
        """Until the tab is closed."""
        async for message in self._socket:
            told = message.json()
            waiting = self._answers.pop(told.get("id", 0), None)
            if waiting is not None:
                if not waiting.done():
                    waiting.set_result(told)
            else:
                self._note(told.get("method", ""), told.get("params", {}))

    def _note(self, method: str, said: dict[str, Any]) -> None:
        if method == "Page.lifecycleEvent" and said["name"] == "load":
            self._loaded.add(said["loaderId"])
            self._news.set()
        elif method == "Network.requestWillBeSent":
            self.requests.append(said["request"]["url"])
        elif method == "Log.entryAdded" and said["entry"]["level"] in ("error", "warning"):
            self.complaints.append(said["entry"]["text"])
        elif method == "Runtime.exceptionThrown":
            self.complaints.append(str(said["exceptionDetails"]))
        elif method == "Runtime.consoleAPICalled" and said["type"] in ("error", "warning", "assert"):
            self.complaints.append(str(said["args"]))

    async def tell(self, method: str, **said: Any) -> dict[str, Any]:
        """One command and its result."""
        number = next(self._numbers)
        waiting = self._answers[number] = asyncio.get_running_loop().create_future()
        await self._socket.send_json({"id": number, "method": method, "params": said})
        told = await asyncio.wait_for(waiting, _answer_deadline_s)
        assert "error" not in told, f"{method}: {told['error']}"
        return told["result"]

    async def open(self, file: Path, width: int = 1200, height: int = 900, *, dark: bool = False) -> None:
        """Load a file from disk at that size, in one of the two colour schemes."""
        await self.size(width, height, dark=dark)
        loader = (await self.tell("Page.navigate", url=file.as_uri()))["loaderId"]
        async with asyncio.timeout(_answer_deadline_s):
            while loader not in self._loaded:  # another one may be that of the empty page which a tab begins with
                self._news.clear()
                await self._news.wait()

    async def size(self, width: int, height: int, *, dark: bool = False) -> None:
        """Another screen, another colour scheme."""
        await self.tell(
            "Emulation.setDeviceMetricsOverride", width=width, height=height, deviceScaleFactor=1, mobile=width < 600
        )
        scheme = {"name": "prefers-color-scheme", "value": "dark" if dark else "light"}
        await self.tell("Emulation.setEmulatedMedia", features=[scheme])

    async def ask(self, expression: str) -> Any:
        """What a JavaScript expression is, promises awaited; the page's own policy does not hold it back."""
        told = await self.tell("Runtime.evaluate", expression=expression, awaitPromise=True, returnByValue=True)
        assert "exceptionDetails" not in told, told["exceptionDetails"]
        return told["result"].get("value")

    async def picture(self) -> bytes:
        """A PNG of the whole page."""
        told = await self.tell("Page.captureScreenshot", format="png", captureBeyondViewport=True)
        return base64.b64decode(told["data"])

    async def printed(self) -> bytes:
        """A PDF of the page on A4."""
        told = await self.tell("Page.printToPDF", paperWidth=8.27, paperHeight=11.69, printBackground=True)
        return base64.b64decode(told["data"])


@contextlib.asynccontextmanager
async def page(address: str) -> AsyncIterator[Page]:
    """A new tab of the browser at `address`; closed when the block is left."""
    async with aiohttp.ClientSession() as session:
        async with session.put(f"{address}/json/new?about:blank") as answer:
            tab = await answer.json()
        async with session.ws_connect(tab["webSocketDebuggerUrl"], max_msg_size=0) as socket:
            found = Page(socket)
            listening = asyncio.create_task(found.listen())
            try:
                for domain in ("Page", "Runtime", "Log", "Network"):
                    await found.tell(f"{domain}.enable")
                await found.tell("Page.setLifecycleEventsEnabled", enabled=True)
                yield found
            finally:
                listening.cancel()
        async with session.get(f"{address}/json/close/{tab['id']}"):
            pass
