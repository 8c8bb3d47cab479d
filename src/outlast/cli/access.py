"""How a command reaches a project: through the server that runs there, or directly where nothing runs."""

from __future__ import annotations

import functools
import os
import threading
from collections.abc import Iterator
from pathlib import Path
from typing import Any, Protocol

import msgspec

from outlast.adapters.host.clock import SystemClock
from outlast.adapters.host.lock import holder
from outlast.blueprint.load import load
from outlast.bootstrap.home import StateDirectory, state_directory
from outlast.bootstrap.vault import vault
from outlast.cli.client import Client
from outlast.cli.direct import Direct
from outlast.cli.exit import Unavailable
from outlast.cli.remote import Remote
from outlast.kernel.error import Conflict, StoreUnavailable

patience_s = 15.0
"""How long a command that records something waits for a server that is starting or being restarted."""
_probe_timeout_s = 2.0
_again_s = 0.1


class Access(Protocol):
    """What commands ask of a project. Documents are those of the HTTP API, as parsed JSON, whoever answers."""

    waits: bool
    """Nothing runs here: what is recorded waits for the next `outlast up`."""

    def start(self, agent: str, given: Any, key: str | None, session: str | None) -> Any:
        """``{"run", "agent", "created"}``. Raises Conflict, NotFound, TypeMismatch."""
        ...

    def runs(self, state: str | None, agent: str | None, session: str | None, limit: int) -> list[Any]:
        """Entries of the index, newest first."""
        ...

    def view(self, run: str) -> Any:
        """A run with its steps; raises NotFound, as all below do."""
        ...

    def events(self, run: str, after: int = 0) -> Iterator[Any]:
        """All events so far."""
        ...

    def signal(self, run: str, name: str, payload: Any, id: str | None) -> None: ...

    def cancel(self, run: str, reason: str) -> None: ...

    def resolve(self, run: str, step: str, how: str, value: Any, message: str) -> None: ...

    def redrive(self, run: str) -> None: ...

    def stop_agent(self, agent: str, reason: str) -> None: ...

    def resume_agent(self, agent: str) -> None: ...

    def session(self, session: str) -> Any: ...

    def close(self) -> None: ...


def running_server(home: Path, patience_s: float = patience_s) -> Remote | None:
    """Access to the server of the `outlast up` that runs here; None if none runs.

    Waits for one that is just starting, or being restarted. Raises Unavailable if it does not answer in `patience_s`.
    """
    clock = SystemClock()
    until = clock.monotonic() + patience_s
    while True:
        pid = holder(home / state_directory)
        if pid is None:
            return None
        problem = Unavailable(f"{home} is held by process {pid}, which serves nothing yet: try again in a moment")
        address = _address(home)
        if address is not None:
            try:
                Client(address, timeout_s=_probe_timeout_s).get("/livez")
                return Remote(functools.partial(_client, home, address, _token(home)))
            except Unavailable as error:
                problem = error
        if clock.monotonic() >= until:
            raise problem
        threading.Event().wait(_again_s)


def reach(home: Path, *, write: bool) -> Access:
    """Access to a project. `write`: to record something, for which a directory held by others is refused."""
    try:
        remote = running_server(home, patience_s if write else 0.0)
    except Unavailable:
        if write:
            raise
        remote = None  # reading needs no server
    if remote is not None:
        return remote
    return Direct(home, write=write)


def refuse_running(home: Path, what: str) -> None:
    """Raises Conflict if `outlast up` runs here and `what` cannot be done beside it."""
    pid = holder(home / state_directory)
    if pid is not None:
        raise Conflict(f"{what} while `outlast up` (process {pid}) runs in {home}: stop it first")


def _client(home: Path, address: str, token: str | None) -> Client:
    """For the server of this moment; `address` is where it was when last seen."""
    return Client(_address(home) or address, token)


def _token(home: Path) -> str | None:
    try:  # what runs may have been started with another blueprint than the project's
        blueprint = StateDirectory(home).read_cell().blueprint
    except StoreUnavailable:
        blueprint = load(home)
    secret = blueprint.server.token
    return secret.resolve(os.environ, home, vault()) if secret is not None else None


class _Up(msgspec.Struct):
    pid: int = 0
    address: str = ""


def _address(home: Path) -> str | None:
    try:
        found = msgspec.json.decode((home / state_directory / "up.json").read_bytes(), type=_Up)
    except (OSError, msgspec.MsgspecError):
        return None
    return found.address or None
