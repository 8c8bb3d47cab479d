"""A cell for one command: the same processes as ``outlast up``, for as long as `outlast run` needs them."""

from __future__ import annotations

import asyncio
import os
import tempfile
import threading
from pathlib import Path
from types import TracebackType

import msgspec

from outlast.adapters.host.crash import crash_variable, token_variable
from outlast.blueprint.agent import Workers
from outlast.blueprint.load import load
from outlast.blueprint.schema import Blueprint, Listen
from outlast.bootstrap.cell import Cell, CellOptions
from outlast.bootstrap.vault import vault
from outlast.cell import event as news
from outlast.cli.client import Client
from outlast.cli.output import note
from outlast.cli.remote import Remote
from outlast.kernel.error import InvariantBroken, StoreUnavailable
from outlast.kernel.identity import check_name

ready_within_s = 120.0
"""How long the processes may take until they serve; importing the user's app is part of it."""
drain_within_s = 3.0
"""How long other runs may take to come to a stop at the end; then they are stopped, and lose nothing."""


class PrivateCell:
    """``with PrivateCell(home, crash_in) as cell``: a running cell with one worker and its spare.

    It runs in a thread, so that the main thread follows the run and Ctrl-C ends both. With `crash_in` the first worker
    that comes to the end of that tool is killed there, once.
    """

    def __init__(self, home: Path, crash_in: str | None) -> None:
        self.access: Remote
        self.crashed = False
        self._home = home
        self._crash_in = None if crash_in is None else check_name("tool", crash_in)
        self._orders = tempfile.TemporaryDirectory(prefix="outlast-")
        self._token = Path(self._orders.name) / "crash-once"
        self._blueprint = _small(load(home))
        self._cell = Cell(home, self._blueprint, CellOptions(environment=self._environment()), self._heard)
        self._loop: asyncio.AbstractEventLoop | None = None
        self._thread = threading.Thread(target=self._run, name="cell", daemon=True)
        self._changed = threading.Event()
        self._address = ""
        self._secret: str | None = None
        self._ended: BaseException | None = None
        self._failed = False

    def __enter__(self) -> PrivateCell:
        self._thread.start()
        try:
            if not self._changed.wait(ready_within_s):
                raise StoreUnavailable(
                    f"workers did not start within {ready_within_s:g} s: see {self._home}/.outlast/logs"
                )
            if self._ended is not None:
                raise self._ended
        except BaseException:
            self._close()
            raise
        secret = self._blueprint.server.token
        self._secret = secret.resolve(os.environ, self._home, vault()) if secret is not None else None
        self.access = Remote(self._client)
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._close()

    def _client(self) -> Client:
        """For the server of this moment; raises what ended the cell."""
        if self._ended is not None:
            raise self._ended
        return Client(self._address, self._secret)

    def _environment(self) -> dict[str, str]:
        if self._crash_in is None:
            return {}
        self._token.touch()
        return {crash_variable: f"effect.after:{self._crash_in}", token_variable: str(self._token)}

    def _run(self) -> None:
        try:
            with asyncio.Runner() as runner:
                self._loop = runner.get_loop()
                runner.run(self._cell.run())
                self._ended = StoreUnavailable("the workers have stopped")
        except (Exception, InvariantBroken) as error:  # noqa: BLE001 (outermost in this thread: handed to who waits)
            self._ended = error
        finally:
            self._changed.set()

    def _heard(self, event: news.CellEvent) -> None:
        match event:
            case news.ChildReady(kind="server"):
                self._address = event.address if "://" in event.address else f"http://{event.address}"
                self._changed.set()
            case news.CellFailed():
                self._failed = True  # told once, as the command's error
            case news.ChildSaid() if event.level != "info":
                note(f"{event.id}: {event.text}")
            case news.ChildKilled() if not self._failed:
                note(f"{event.kind} {event.id} was killed: {event.why}")
            case _:
                pass

    def _close(self) -> None:
        try:
            self._tell(self._cell.drain)
            self._thread.join(drain_within_s)
            self._tell(self._cell.stop)
            self._thread.join()
        finally:
            self.crashed = self._crash_in is not None and not self._token.exists()
            self._orders.cleanup()

    def _tell(self, what: object) -> None:
        if self._loop is not None and self._thread.is_alive() and callable(what):
            try:
                self._loop.call_soon_threadsafe(what)
            except RuntimeError:  # the loop has just ended by itself
                pass


def _small(blueprint: Blueprint) -> Blueprint:
    """One worker for each pool, besides the spare, and a port that nobody else has."""
    agents = {
        name: agent if agent.workers is None else msgspec.structs.replace(agent, workers=_one(agent.workers))
        for name, agent in blueprint.agents.items()
    }
    server = msgspec.structs.replace(blueprint.server, listen=Listen("127.0.0.1", 0))
    return msgspec.structs.replace(blueprint, workers=_one(blueprint.workers), agents=agents, server=server)


def _one(workers: Workers) -> Workers:
    return msgspec.structs.replace(workers, min=1)
