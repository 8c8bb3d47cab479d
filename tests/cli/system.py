"""A project in a directory and the real processes that run it, as a user starts them."""

from __future__ import annotations

import contextlib
import io
import json
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

from outlast.cli.main import main
from tests.cli.conftest import Said

APP = '''
import asyncio
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import outlast

app = outlast.App("tests")
HERE = Path(__file__).parent


@app.tool(effect="pure")
async def double(n: int) -> int:
    """Twice as much."""
    return n * 2


@app.tool(effect="pure")
async def wait_for(name: str) -> str:
    """Returns when the file is there; that it waits for it shows in another one."""
    (HERE / f"{name}.awaited").touch()
    while not (HERE / name).exists():
        await asyncio.sleep(0.01)
    return name


@app.tool(effect="once")
async def pay(ctx: outlast.Context[Any], n: int) -> str:
    """Books, and nobody can look it up."""
    with (HERE / "paid").open("a") as file:
        file.write(f"{ctx.key}\\n")
    return f"paid {n}"


@app.agent
async def numbers(run: outlast.Run[Any], n: int) -> int:
    for _ in range(3):
        n = await double(n)
    return n


@app.agent
async def waiter(run: outlast.Run[Any], name: str) -> str:
    await double(1)
    return await wait_for(name)


@app.agent
async def asker(run: outlast.Run[Any]) -> Any:
    return await run.signal("go", timeout="1h")


@app.agent
async def payer(run: outlast.Run[Any], n: int) -> str:
    return await pay(n)


@app.agent
async def broken(run: outlast.Run[Any]) -> int:
    await double(1)
    raise ValueError("no \\x1b[31mway")


@app.agent
async def chain(run: outlast.Run[Any], n: int) -> int:
    if n == 0:
        return 7
    await run.continue_as_new(n - 1)
    return 0


@app.agent
async def talker(run: outlast.Run[Any], text: str) -> int:
    run.session.say("user", text)
    return len(run.session.messages)
'''


class Project:
    """A project directory, and commands that run in it."""

    def __init__(self, home: Path, app: str = APP) -> None:
        self.home = home
        (home / "app.py").write_text(app)
        self.up: subprocess.Popen[bytes] | None = None

    def __call__(self, *arguments: object) -> Said:
        """Run a command to its end, in this process: for those that do not import the app."""
        out, err = io.StringIO(), io.StringIO()
        with contextlib.redirect_stdout(out), contextlib.redirect_stderr(err):
            code = main([*map(str, arguments), "--home", str(self.home)])
        return Said(code, out.getvalue(), err.getvalue())

    def process(self, *arguments: object, timeout_s: float = 90.0) -> Said:
        """Run a command to its end, in a process of its own."""
        done = subprocess.run(
            self.command(*arguments), capture_output=True, text=True, timeout=timeout_s, cwd=self.home
        )
        return Said(done.returncode, done.stdout, done.stderr)

    def command(self, *arguments: object) -> list[str]:
        return [sys.executable, "-m", "outlast", *map(str, arguments)]

    def begin(self, *arguments: object) -> subprocess.Popen[str]:
        """Start a command and leave it running."""
        return subprocess.Popen(
            self.command(*arguments), stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, cwd=self.home
        )

    def start(self, *arguments: object) -> None:
        """``outlast up``, until it serves."""
        log = (self.home / "up.log").open("wb")
        with log:
            self.up = subprocess.Popen(
                self.command("up", "--port", 0, "--workers", 1, "--json", *arguments),
                stdout=log,
                stderr=log,
                stdin=subprocess.DEVNULL,
                cwd=self.home,
            )
        self.await_that(lambda: any(event.get("kind") == "server" for event in self.told("ChildReady")), "it serves")

    def told(self, kind: str) -> list[dict[str, Any]]:
        """What `up` said so far, of one kind."""
        lines = (self.home / "up.log").read_text().splitlines()
        events: list[dict[str, Any]] = [
            json.loads(line) for line in lines if line.startswith("{") and line.endswith("}")
        ]
        return [event for event in events if event["t"] == kind]

    def stop(self) -> int:
        """Ctrl-C once, and wait."""
        assert self.up is not None
        self.up.send_signal(signal.SIGINT)
        try:
            return self.up.wait(60)
        finally:
            self.kill()

    def kill(self) -> None:
        """End it, however."""
        if self.up is not None and self.up.poll() is None:
            self.up.kill()
            self.up.wait(10)

    def child(self, kind: str) -> int:
        """The process number of the last child of a kind that was started."""
        return int(next(event["pid"] for event in reversed(self.told("ChildStarted")) if event["kind"] == kind))

    def await_that(self, condition: Callable[[], object], what: str, within_s: float = 60.0) -> None:
        end = time.monotonic() + within_s
        while not condition():
            if time.monotonic() > end:
                log = self.home / "up.log"
                raise AssertionError(f"not within {within_s} s: {what}\n{log.read_text() if log.exists() else ''}")
            time.sleep(0.02)

    @staticmethod
    def heard(process: subprocess.Popen[str], words: str) -> str:
        """What a command that was begun says on standard error, up to the line with these words."""
        assert process.stderr is not None
        said = ""
        while words not in said:
            line = process.stderr.readline()
            assert line, f"it ended with {process.wait()} and did not say {words!r}: {said}"
            said += line
        return said

    def state(self, run: str) -> str:
        return str(self("show", run, "--json").document["state"])

    def runs(self, *arguments: object) -> list[dict[str, Any]]:
        return list(self("runs", "--json", *arguments).document["runs"])
