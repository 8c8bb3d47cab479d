"""One real PostgreSQL server of this machine, on a loopback port of its own, in a directory that a drill made.

Everything is durable as shipped: ``fsync``, ``full_page_writes`` and ``synchronous_commit`` are on.
"""

from __future__ import annotations

import asyncio
import os
import pwd
import re
import shutil
import signal
import socket
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from outlast.drill.process import Process, alive, children, identify, send
from outlast.kernel.clock import Clock
from outlast.kernel.error import ConfigurationError, StoreUnavailable

command_within_s = 60.0
"""How long one of PostgreSQL's own commands may take."""
ready_within_s = 30.0
_poll_s = 0.02
_places = ("usr/lib/postgresql/*/bin", "usr/pgsql-*/bin", "opt/homebrew/opt/postgresql*/bin")
_settings: Mapping[str, str] = {
    "listen_addresses": "'127.0.0.1'",
    "unix_socket_directories": "''",
    "max_connections": "100",
    "max_wal_senders": "8",
    "wal_level": "replica",
    "wal_keep_size": "'256MB'",
    "wal_retrieve_retry_interval": "'100ms'",
    "hot_standby": "on",
    "fsync": "on",
    "synchronous_commit": "on",
    "logging_collector": "off",
}


def binaries() -> Path | None:
    """The directory with the newest server binaries of this machine: on the PATH, or where distributions put them."""
    found = shutil.which("postgres")
    if found is not None:
        return Path(found).resolve().parent
    places = [path for pattern in _places for path in Path("/").glob(pattern) if (path / "postgres").exists()]
    return max(places, key=_version, default=None)


def _version(path: Path) -> list[int]:
    return [int(number) for number in re.findall(r"[0-9]+", str(path))]


def owner() -> str | None:
    """Under which user servers run: PostgreSQL refuses root. None: under our own. Raises ConfigurationError."""
    if os.geteuid() != 0:
        return None
    for name in ("postgres", "nobody"):
        try:
            pwd.getpwnam(name)
        except KeyError:
            continue
        return name
    raise ConfigurationError("PostgreSQL does not run as root, and there is no user postgres or nobody to run it as")


def free_port() -> int:
    """A port that nobody has now."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


class Server:
    """`name` is also what it calls itself to a primary; `password` is that of the superuser ``postgres``."""

    def __init__(self, name: str, place: Path, password: str, clock: Clock) -> None:
        found = binaries()
        if found is None:
            raise ConfigurationError("PostgreSQL's server is not installed: found no `postgres`; install postgresql")
        self.name = name
        self.data = place / name
        self.port = free_port()
        self.process: Process | None = None
        self._password = password
        self._bin = found
        self._log = place / f"{name}.log"
        self._owner = owner()
        self._clock = clock
        self._child: asyncio.subprocess.Process | None = None

    def conninfo(self, database: str = "postgres", user: str = "postgres") -> str:
        """How to reach it as the superuser. It holds the password: never show it."""
        return f"host=127.0.0.1 port={self.port} user={user} password={self._password} dbname={database}"

    async def init(self, settings: Mapping[str, str]) -> None:
        """Make a new database cluster with `settings` beside those that every server has."""
        secret = self.data.parent / f"{self.name}.secret"
        secret.touch(0o600)
        secret.write_text(self._password)
        if self._owner is not None:
            shutil.chown(secret, self._owner)
        try:
            await self._run(
                "initdb", "--pgdata", str(self.data), "--username", "postgres", "--pwfile", str(secret),
                "--auth", "scram-sha-256", "--encoding", "UTF8", "--no-locale", "--data-checksums",
                "--no-sync",  # what it makes need not survive a loss of power of this machine; what it serves does
            )  # fmt: skip
        finally:
            secret.unlink()
        lines = "".join(f"{name} = {value}\n" for name, value in {**_settings, **settings}.items())
        with (self.data / "postgresql.conf").open("a") as file:
            file.write(lines)
        with (self.data / "pg_hba.conf").open("a") as file:
            file.write("host replication all 127.0.0.1/32 scram-sha-256\n")

    async def copy(self, primary: Server, name: str) -> None:
        """Become a standby of `primary` that calls itself `name`; what was in the directory is gone."""
        shutil.rmtree(self.data, ignore_errors=True)
        await self._run(
            "pg_basebackup", "--pgdata", str(self.data), "--checkpoint", "fast", "--write-recovery-conf", "--no-sync",
            "--dbname", f"{primary.conninfo()} application_name={name}",
        )  # fmt: skip

    async def start(self) -> None:
        """Start it; returns at once. Its own messages go to a file beside its directory."""
        with self._log.open("ab") as log:
            self._child = await asyncio.create_subprocess_exec(
                str(self._bin / "postgres"), "-D", str(self.data), "-p", str(self.port),
                stdin=asyncio.subprocess.DEVNULL, stdout=log, stderr=log, start_new_session=True,
                cwd=self.data.parent, **self._user(),
            )  # fmt: skip
        self.process = identify(self._child.pid)

    async def ready(self, within_s: float = ready_within_s) -> None:
        """Return when it answers queries. Raises StoreUnavailable with the end of its log."""
        until = self._clock.monotonic() + within_s
        while True:
            try:
                await self.ask("SELECT 1")
                return
            except StoreUnavailable as error:
                if self._clock.monotonic() > until or not self.running:
                    said = self._log.read_text(errors="replace")[-2000:]
                    raise StoreUnavailable(f"server {self.name} does not answer: {error}; it said:\n{said}") from None
            await self._clock.sleep(_poll_s)

    @property
    def running(self) -> bool:
        return self.process is not None and alive(self.process)

    async def ask(self, query: str, database: str = "postgres") -> list[tuple[Any, ...]]:
        """Rows of one query on a connection of its own. Raises StoreUnavailable."""
        import psycopg

        try:
            async with await psycopg.AsyncConnection.connect(
                f"{self.conninfo(database)} connect_timeout=2", autocommit=True
            ) as connection:
                cursor = await connection.execute(query.encode())
                return await cursor.fetchall() if cursor.description else []
        except psycopg.Error as error:
            raise StoreUnavailable(f"server {self.name}: {' '.join(str(error).split())[:300]}") from None

    def senders(self) -> list[Process]:
        """Its processes that send the log to standbys."""
        return [child.process for child in self._children() if "walsender" in child.command]

    async def kill(self) -> float:
        """SIGKILL the server and every process of it, as a machine that loses its power; the monotonic time before."""
        assert self.process is not None
        parts = [child.process for child in self._children()]
        at = self._clock.monotonic()
        for process in (self.process, *parts):
            send(process, signal.SIGKILL)
        await self._reaped()
        return at

    async def stop(self) -> None:
        """End it in order and at once; nothing if it does not run."""
        if self.process is not None:
            send(self.process, signal.SIGCONT)
            send(self.process, signal.SIGINT)
            await self._reaped()

    def _children(self) -> list[Any]:
        return [] if self.process is None else children(self.process.pid)

    async def _reaped(self) -> None:
        if self._child is not None:
            try:
                async with asyncio.timeout(command_within_s):
                    await self._child.wait()
            except TimeoutError:
                self._child.kill()
                await self._child.wait()
        self.process = self._child = None

    async def _run(self, program: str, *arguments: str) -> None:
        child = await asyncio.create_subprocess_exec(
            str(self._bin / program), *arguments, stdin=asyncio.subprocess.DEVNULL, stdout=asyncio.subprocess.DEVNULL,
            stderr=asyncio.subprocess.PIPE, cwd=self.data.parent, **self._user(),
        )  # fmt: skip
        try:
            async with asyncio.timeout(command_within_s):
                _, said = await child.communicate()
        except BaseException:
            child.kill()
            await child.wait()
            raise
        if child.returncode:
            told = said.decode(errors="replace").replace(self._password, "…")[-1000:]
            raise StoreUnavailable(f"{program} of server {self.name} ended with {child.returncode}: {told}")

    def _user(self) -> dict[str, Any]:
        if self._owner is None:
            return {}
        entry = pwd.getpwnam(self._owner)
        return {"user": entry.pw_uid, "group": entry.pw_gid, "extra_groups": []}
