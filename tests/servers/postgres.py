"""A PostgreSQL server of one's own, in a temporary directory and on a free port of the loopback."""

from __future__ import annotations

import contextlib
import os
import pwd
import shutil
import signal
import subprocess
import tempfile
import time
from collections.abc import Iterator, Sequence
from pathlib import Path

import psycopg
import pytest

from tests.servers.process import free_port

USER = "outlast"
PASSWORD = "s3cret-of-the-test"
_ready_s_max = 60.0


def binaries() -> Path | None:
    """Where initdb and postgres of the newest installed version are; None if there are none."""
    found = [path.parent for path in Path("/usr/lib/postgresql").glob("*/bin/initdb")]
    on_path = shutil.which("initdb")
    if on_path:
        found.append(Path(on_path).resolve().parent)
    return max(found, key=lambda path: [int(part) for part in path.parts if part.isdigit()], default=None)


def required() -> Path:
    """As `binaries`; without them the test is skipped, or fails where CI=true."""
    found = binaries()
    if found is None:
        reason = "PostgreSQL is not installed: apt-get install postgresql"
        if os.environ.get("CI") == "true":
            pytest.fail(reason)
        pytest.skip(reason)
    return found


def _account() -> dict[str, object]:
    """How a process of the server is started: PostgreSQL refuses to run as root."""
    if os.geteuid() != 0:
        return {}
    for name in ("postgres", "nobody"):
        with contextlib.suppress(KeyError):
            entry = pwd.getpwnam(name)
            return {"user": entry.pw_uid, "group": entry.pw_gid, "extra_groups": []}
    pytest.skip("PostgreSQL refuses to run as root, and there is neither a user postgres nor nobody")


class PostgresServer:
    """One server: `data` is its data directory, `settings` are lines of its configuration.

    A new one gets its files from `initdb`, or from `pg_basebackup` of another one (`copy_of`): then it is a standby
    that follows it, until `promote`.
    """

    def __init__(
        self,
        directory: Path | None = None,
        *,
        settings: Sequence[str] = (),
        access: Sequence[str] = (),
        host: str = "127.0.0.1",
    ) -> None:
        self.binaries = required()
        self.directory = directory or Path(tempfile.mkdtemp(prefix="ol-pg-", dir="/tmp"))
        self.data = self.directory / "data"
        self.log = self.directory / "log"
        self.host = host
        self.port = free_port()
        self.settings = list(settings)
        self.access = list(access)
        """Lines for pg_hba.conf, before those that let everybody in with a password."""
        self.process: subprocess.Popen[bytes] | None = None
        self._account = _account()
        if self._account:
            os.chown(self.directory, int(self._account["user"]), int(self._account["group"]))  # type: ignore[call-overload]
            self.directory.chmod(0o755)

    def run(self, program: str, *arguments: str | Path, timeout: float = 90, **more: str) -> str:
        """Run one of PostgreSQL's programs to its end; its output. `more` goes into its environment."""
        command = [str(self.binaries / program), *map(str, arguments)]
        environment = {"PATH": os.environ.get("PATH", ""), "LC_ALL": "C", **more}
        done = subprocess.run(
            command,
            capture_output=True,
            text=True,
            timeout=timeout,
            env=environment,
            cwd="/",
            **self._account,  # type: ignore[call-overload]
        )
        assert done.returncode == 0, f"{program}: {done.stdout}{done.stderr}"
        return done.stdout

    def initialize(self) -> None:
        """Make the files of an empty server."""
        secret = self.directory / "password"
        secret.write_text(PASSWORD)
        secret.chmod(0o644)
        self.run(
            "initdb", "-D", self.data, "-U", USER, "-A", "scram-sha-256", f"--pwfile={secret}", "-E", "UTF8",
            "--locale=C", "--no-sync",
        )  # fmt: skip

    def copy_of(self, primary: PostgresServer, *, slot: str | None = None, name: str = "") -> None:
        """Make the files of a standby of `primary`, which runs; `name` is its application_name there."""
        source = f"host={primary.host} port={primary.port} user={USER} password={PASSWORD}"
        how = ["-X", "stream", "-c", "fast", "--no-sync", *(("-C", "-S", slot) if slot else ())]
        # not under its name: a copy that streams would itself be waited for as that standby
        self.run("pg_basebackup", "-D", self.data, "-d", source, *how)
        self._write("standby.signal", [])
        self.settings.append(f"primary_conninfo = '{source} application_name={name or 'copy'}'")

    def configure(self) -> None:
        """Write the configuration as it stands now; a running server takes it with `reload`."""
        lines = [
            f"port = {self.port}",
            f"listen_addresses = '{self.host}'",
            "unix_socket_directories = ''",
            "fsync = on",
            "recovery_init_sync_method = syncfs",
            "max_connections = 60",
            "shared_buffers = 32MB",
            "logging_collector = off",
            "log_min_messages = log",
            *self.settings,
        ]
        self._write("outlast.conf", lines)
        main = self.data / "postgresql.conf"
        if "outlast.conf" not in main.read_text():
            with main.open("a") as file:
                file.write("include = 'outlast.conf'\n")
        everybody = [
            f"{kind} {database} all 127.0.0.0/8 scram-sha-256"
            for kind, database in (("host", "all"), ("host", "replication"))
        ]
        self._write("pg_hba.conf", [*self.access, *everybody])

    def _write(self, name: str, lines: Sequence[str]) -> None:
        path = self.data / name
        path.write_text("\n".join(lines) + "\n")
        self.own(path)

    def own(self, path: Path, mode: int = 0o600) -> None:
        """Give a file to the account that the server runs as."""
        path.chmod(mode)
        if self._account:
            os.chown(path, int(self._account["user"]), int(self._account["group"]))  # type: ignore[call-overload]

    def start(self, *, wait: bool = True) -> PostgresServer:
        """Start it, made first if it is new; returns when it answers."""
        if not (self.data / "PG_VERSION").exists():
            self.initialize()
        self.configure()
        with self.log.open("ab") as log:
            self.process = subprocess.Popen(
                [str(self.binaries / "postgres"), "-D", str(self.data)],
                stdin=subprocess.DEVNULL, stdout=log, stderr=log, cwd="/", env={"LC_ALL": "C"}, **self._account,  # type: ignore[call-overload]
            )  # fmt: skip
        if wait:
            self.wait()
        return self

    def wait(self) -> None:
        """Return when it answers."""
        end = time.monotonic() + _ready_s_max
        while True:
            try:
                psycopg.connect(self.url("postgres"), connect_timeout=2).close()
                return
            except psycopg.OperationalError as error:
                ended = self.process is None or self.process.poll() is not None
                if ended or time.monotonic() > end:
                    raise AssertionError(f"it does not answer: {error}\n{self.log.read_text()[-2000:]}") from None
            time.sleep(0.05)

    def reload(self) -> None:
        """Have a running server read its configuration again."""
        self.configure()
        assert self.process is not None
        self.process.send_signal(signal.SIGHUP)

    def pids(self) -> list[int]:
        """The server and its children."""
        if self.process is None or self.process.poll() is not None:
            return []
        found = [self.process.pid]
        for stat in Path("/proc").glob("[0-9]*/stat"):
            with contextlib.suppress(OSError, ValueError, IndexError):
                if int(stat.read_text().rsplit(")", 1)[1].split()[1]) == self.process.pid:
                    found.append(int(stat.parent.name))
        return found

    def signal(self, number: signal.Signals) -> None:
        """Send a signal to the server and all of its children: SIGKILL, SIGSTOP, SIGCONT."""
        for pid in self.pids():
            with contextlib.suppress(ProcessLookupError):
                os.kill(pid, number)

    def kill(self) -> None:
        """SIGKILL, all of it at once: as when its machine is gone. Returns when all of it is."""
        assert self.process is not None
        self.process.send_signal(signal.SIGSTOP)  # it starts no more children
        killed = self.pids()
        self.signal(signal.SIGKILL)
        self.process.wait(10)
        self.process = None
        end = time.monotonic() + 20
        while any(map(_lives, killed)):  # else the next start finds its shared memory in use
            assert time.monotonic() < end, f"{killed} were killed and live on: {self.log.read_text()[-2000:]}"
            time.sleep(0.005)

    def stop(self) -> None:
        """Shut it down in order (without waiting for clients); any number of times."""
        if self.process is None:
            return
        self.signal(signal.SIGCONT)
        self.process.send_signal(signal.SIGINT)
        try:
            self.process.wait(20)
        except subprocess.TimeoutExpired:
            self.kill()
        self.process = None

    def remove(self) -> None:
        """End it at once (in order would mean to sync what is thrown away) and remove its files."""
        if self.process is not None:
            self.signal(signal.SIGCONT)
            self.process.send_signal(signal.SIGQUIT)  # unlike SIGKILL it leaves no shared memory behind
            try:
                self.process.wait(10)
            except subprocess.TimeoutExpired:
                self.kill()
        shutil.rmtree(self.directory, ignore_errors=True)

    def promote(self) -> None:
        """Make a standby the primary of a new timeline; returns when it takes writes."""
        with psycopg.connect(self.url("postgres"), autocommit=True) as connection:
            connection.execute("SELECT pg_promote(true, 60)")

    def url(self, database: str = "postgres", user: str = USER, password: str = PASSWORD, options: str = "") -> str:
        """How it is reached, by the superuser if nobody else is named; `options` as in ``sslmode=require``."""
        return f"postgresql://{user}:{password}@{self.host}:{self.port}/{database}" + (f"?{options}" if options else "")

    def execute(self, statement: str, database: str = "postgres") -> list[tuple[object, ...]]:
        """Run one statement as the superuser, whose commits wait for no standby; its rows."""
        local = "-c synchronous_commit=local"
        with psycopg.connect(self.url(database), autocommit=True, options=local) as connection:
            cursor = connection.execute(statement)  # type: ignore[call-overload]
            return cursor.fetchall() if cursor.description else []

    def create_database(self, name: str) -> str:
        """A new database; its URL."""
        self.execute(f'CREATE DATABASE "{name}"')
        return self.url(name)


def _lives(pid: int) -> bool:
    try:
        return Path(f"/proc/{pid}/stat").read_text().rsplit(")", 1)[1].split()[0] not in "ZX"
    except OSError:
        return False


@contextlib.contextmanager
def running(**options: object) -> Iterator[PostgresServer]:
    """A server for as long as the block runs; options as those of PostgresServer."""
    server = PostgresServer(**options)  # type: ignore[arg-type]
    try:
        yield server.start()
    finally:
        server.remove()
