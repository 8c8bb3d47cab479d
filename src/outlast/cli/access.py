"""How a command reaches a project: through the server that runs there, or directly where nothing runs."""

from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path
from typing import Any, Protocol

import msgspec

from outlast.adapters.host.lock import holder
from outlast.blueprint.load import load
from outlast.cli.client import Client
from outlast.cli.direct import Direct
from outlast.cli.exit import Unavailable
from outlast.cli.home import state_directory
from outlast.cli.remote import Remote
from outlast.kernel.error import Conflict

_probe_timeout_s = 5.0


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


def running_server(home: Path) -> Remote | None:
    """Access to the server of the `outlast up` that runs here; None if none runs.

    Raises Unavailable if one runs and its server does not answer.
    """
    pid = holder(home / state_directory)
    if pid is None:
        return None
    address = _address(home)
    if address is None:
        raise Unavailable(f"{home} is held by process {pid}, which serves nothing yet: try again in a moment")
    secret = load(home).server.token
    client = Client(address, secret.resolve(os.environ, home) if secret is not None else None)
    Client(address, timeout_s=_probe_timeout_s).get("/livez")
    return Remote(client)


def reach(home: Path, *, write: bool) -> Access:
    """Access to a project. `write`: to record something, for which a directory held by others is refused."""
    try:
        remote = running_server(home)
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


class _Up(msgspec.Struct):
    pid: int = 0
    address: str = ""


def _address(home: Path) -> str | None:
    try:
        found = msgspec.json.decode((home / state_directory / "up.json").read_bytes(), type=_Up)
    except (OSError, msgspec.MsgspecError):
        return None
    return found.address or None
