"""Checks of this machine and of a project: each says what it found and, where that is not good, what to do."""

from __future__ import annotations

import asyncio
import importlib.util
import json
import os
import resource
import shutil
import socket
import stat
import statistics
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any, Literal

import msgspec

from outlast.adapters.host.clock import SystemClock
from outlast.adapters.host.lock import holder
from outlast.blueprint.load import blueprint_file, check_agents, load
from outlast.blueprint.schema import Blueprint, Listen
from outlast.bootstrap.backing import wanted
from outlast.bootstrap.backlog import backlog
from outlast.bootstrap.depot import open_depot
from outlast.bootstrap.engine import is_shared, open_engine
from outlast.bootstrap.home import state_directory
from outlast.bootstrap.safekeeping import done_at, places_of, read_failures
from outlast.bootstrap.vault import vault
from outlast.cli.home import project
from outlast.kernel.error import ConfigurationError, NotFound, OutlastError, StoreUnavailable
from outlast.kernel.point import NoPoints
from outlast.kernel.unit import duration_text
from outlast.recover.schedule import Done, Plan, lateness
from outlast.recover.trial import Trial, last_trial

app_import_timeout_s = 60.0
"""How long importing the user's app may take."""
disk_bytes_min = 64 * 1024 * 1024
"""Less free space than 64 MiB fails."""
disk_bytes_low = 1024 * 1024 * 1024
"""Less free space than 1 GiB is a warning."""
fsync_slow_s = 0.02
"""A sync that takes longer makes every step slow: a warning."""
files_open_min = 1024
_fsync_rounds = 15
_sqlite_min = (3, 51, 3)
_extras = {
    "aws": ("aiobotocore",),
    "local": ("numpy", "onnxruntime", "tokenizers", "xllamacpp"),
    "postgres": ("psycopg",),
    "pydantic": ("pydantic",),
    "valkey": ("valkey",),
}

Status = Literal["ok", "warning", "failed"]


class Check(msgspec.Struct, frozen=True):
    """One finding. `advice` is empty when all is well."""

    name: str
    status: Status
    found: str
    advice: str = ""


def run_checks(home: Path | None) -> Iterator[Check]:
    """All checks, as they finish; those of a project only where there is one. Never raises OutlastError."""
    yield _python()
    yield _sqlite()
    yield from _extra_packages()
    yield _files_open()
    try:
        directory = project(home)
    except ConfigurationError as error:
        yield Check("project", "failed", "none", str(error))
        return
    yield Check("project", "ok", str(directory))
    yield _permissions(directory)
    yield _file_system(directory)
    yield _disk(directory)
    yield _sync(directory)
    try:
        blueprint = load(directory)
    except ConfigurationError as error:
        yield Check(blueprint_file, "failed", "not accepted", str(error))
        return
    has_file = (directory / blueprint_file).exists()
    yield Check(blueprint_file, "ok", f"{blueprint.name}, accepted" if has_file else "none: all defaults")
    yield _secrets(blueprint, directory)
    if is_shared(blueprint):
        yield _engine(blueprint, directory)
    if blueprint.stores.journal.publish is not None:
        yield _publication(blueprint, directory)
    if "journal" in blueprint.backup:
        yield from _backups(blueprint, directory)
    yield _address(blueprint.server.listen, directory)
    yield _app(blueprint, directory)


def _python() -> Check:
    found = ".".join(map(str, sys.version_info[:3]))
    if sys.version_info < (3, 11):  # noqa: UP036 (it is asked here for people who forced an older one)
        return Check("python", "failed", found, "install Python 3.11 or later")
    return Check("python", "ok", f"{found} at {sys.executable}")


def _sqlite() -> Check:
    import apsw

    found = apsw.sqlite_lib_version()
    number = tuple(int(part) for part in found.split("."))
    if number < _sqlite_min:
        return Check("sqlite", "failed", found, "this version can corrupt a WAL database: pip install --upgrade apsw")
    return Check("sqlite", "ok", f"{found} (in apsw {apsw.apsw_version()})")


def _extra_packages() -> Iterator[Check]:
    for extra, packages in _extras.items():
        missing = [name for name in packages if importlib.util.find_spec(name) is None]
        if missing:
            text = f"not installed (optional; missing: {', '.join(missing)}); pip install 'outlast[{extra}]' adds it"
            yield Check(f"extra {extra}", "ok", text)
        else:
            yield Check(f"extra {extra}", "ok", "installed")


def _files_open() -> Check:
    soft, _ = resource.getrlimit(resource.RLIMIT_NOFILE)
    if soft != resource.RLIM_INFINITY and soft < files_open_min:
        return Check("open files", "warning", str(soft), f"raise the limit: ulimit -n {files_open_min}")
    return Check("open files", "ok", "unlimited" if soft == resource.RLIM_INFINITY else str(soft))


def _permissions(directory: Path) -> Check:
    state = directory / state_directory
    where = state if state.exists() else directory
    if not os.access(where, os.W_OK | os.X_OK | os.R_OK):
        return Check("permissions", "failed", f"{where} cannot be written by this user", f"chown or chmod {where}")
    if where == state:
        info = state.stat()
        if info.st_uid != os.getuid():
            return Check("permissions", "failed", f"{state} belongs to user {info.st_uid}", "run as that user")
        mode = stat.S_IMODE(info.st_mode)
        if mode & 0o077:
            return Check("permissions", "warning", f"{state} is open to others ({mode:04o})", f"chmod 700 {state}")
    return Check("permissions", "ok", f"{where} is writable")


def _file_system(directory: Path) -> Check:
    from outlast.adapters.sqlite.filesystem import check_local, mounts

    table = mounts()
    try:
        check_local(directory, table)
    except StoreUnavailable as error:
        return Check("file system", "failed", "network", str(error))
    path = os.path.realpath(directory)
    inside = [(place, kind) for place, kind in table if path == place or path.startswith(place.rstrip("/") + "/")]
    kind = max(inside, key=lambda mount: len(mount[0]))[1] if inside else "unknown"
    if kind in ("tmpfs", "ramfs"):
        return Check("file system", "warning", kind, "it is in memory: a reboot loses the journal; use a disk")
    return Check("file system", "ok", kind)


def _disk(directory: Path) -> Check:
    free = shutil.disk_usage(directory).free
    text = f"{free / (1 << 30):.1f} GiB free" if free >= 1 << 30 else f"{free / (1 << 20):.0f} MiB free"
    if free < disk_bytes_min:
        return Check("disk", "failed", text, "the journal would stop soon: free some space")
    if free < disk_bytes_low:
        return Check("disk", "warning", text, "free some space before the journal stops")
    return Check("disk", "ok", text)


def _sync(directory: Path) -> Check:
    """The median time of a 4 KiB write made durable: about what every step of a single run costs."""
    clock = SystemClock()
    times: list[float] = []
    state = directory / state_directory
    try:
        with tempfile.TemporaryFile(dir=state if state.is_dir() else directory) as file:
            for _ in range(_fsync_rounds):
                start = clock.monotonic()
                os.write(file.fileno(), b"\0" * 4096)
                os.fsync(file.fileno())
                times.append(clock.monotonic() - start)
    except OSError as error:
        return Check("sync", "failed", (error.strerror or str(error)).lower(), f"make {directory} writable")
    median = statistics.median(times)
    text = f"{median * 1000:.2f} ms for a durable write (median of {_fsync_rounds}, worst {max(times) * 1000:.1f} ms)"
    if median > fsync_slow_s:
        return Check("sync", "warning", text, "every step waits for this: use a faster disk")
    return Check("sync", "ok", text)


def _secrets(blueprint: Blueprint, directory: Path) -> Check:
    named = {"server.token": blueprint.server.token}
    for name, model in blueprint.models.items():
        everybody = (*model.endpoints, *([model.fallback] if model.fallback is not None else []))
        named |= {f"models.{name}.{endpoint.name}.key": endpoint.key for endpoint in everybody}
    if blueprint.gateway is not None:
        named["gateway.shared"] = blueprint.gateway.shared
    postgres = blueprint.stores.journal.postgres
    if postgres is not None:
        named |= {
            "stores.journal.postgres.url": postgres.url,
            "stores.journal.postgres.replicas": postgres.replicas,
        }
    found = {path: secret for path, secret in named.items() if secret is not None}
    for path, secret in found.items():
        try:
            secret.resolve(os.environ, directory, vault(blueprint))
        except ConfigurationError as error:
            return Check("secrets", "failed", path, str(error))
    return Check("secrets", "ok", f"{len(found)} referenced, all there" if found else "none referenced")


def _engine(blueprint: Blueprint, directory: Path) -> Check:
    name = f"journal ({blueprint.run_on.local.journal})"

    async def look() -> tuple[float, int]:
        async with open_engine(directory, blueprint, NoPoints(), write=False) as engine:
            clock = SystemClock()
            begun = clock.monotonic()
            counts = await engine.journal.counts()
            return clock.monotonic() - begun, sum(counts.values())

    try:
        took_s, runs = asyncio.run(look())
    except NotFound:
        return Check(name, "ok", "reached; nothing has run there yet")
    except OutlastError as error:
        return Check(name, "failed", "not usable", str(error))
    return Check(name, "ok", f"reached, {runs} runs; counting them took {took_s * 1000:.1f} ms")


def _publication(blueprint: Blueprint, directory: Path) -> Check:
    publish = blueprint.stores.journal.publish
    assert publish is not None
    name = f"events to {publish.eventbridge}"
    try:
        found = asyncio.run(backlog(directory, blueprint))
    except NotFound:
        return Check(name, "ok", "nothing has run yet")
    except OutlastError as error:
        return Check(name, "failed", "how far they are published cannot be read", str(error))
    if found.behind:
        text = f"of the {found.looked} newest runs that have ended, {len(found.behind)} are not wholly published"
        return Check(name, "warning", text, "`outlast up` says why, on the host whose keeper runs: read what it said")
    return Check(name, "ok", f"the {found.looked} newest runs that have ended are published")


def _backups(blueprint: Blueprint, directory: Path) -> Iterator[Check]:
    places, missing = places_of(blueprint)
    if missing:
        text = f"nothing says where they lie: {', '.join(missing)}"
        yield Check("backups", "warning", text, "write backup: {journal: {places: {home: …}}}, one for each of copies")
    for name, place in places.items():
        yield _backup(blueprint, directory, name, place)


def _backup(blueprint: Blueprint, directory: Path, name: str, place: str) -> Check:
    title = f"backups ({name})"

    async def look() -> tuple[Done, Trial | None]:
        async with open_depot(place, directory) as depot:
            return await done_at(depot), await last_trial(depot)

    try:
        done, trial = asyncio.run(look())
    except OutlastError as error:
        return Check(title, "failed", "cannot be looked at", str(error))
    for failure in read_failures(directory):
        if failure.place == name:
            return Check(title, "failed", f"{failure.task}: {failure.why}", "mend that; `outlast up` tries again")
    if trial is not None and not trial.passed:
        return Check(title, "failed", f"{trial.backup} could not be restored: {trial.why}", "outlast backup verify")
    now = SystemClock().now()
    late = lateness(Plan.of(wanted(blueprint)), done, now)
    if late:
        return Check(title, "warning", "; ".join(late), "keep `outlast up` running, or run `outlast backup` yourself")
    tested = f", restored and verified in {trial.took_s:.1f} s" if trial is not None else ""
    return Check(title, "ok", f"the newest is {duration_text(round(now - done.newest_at))} old{tested}")


def _address(listen: Listen, directory: Path) -> Check:
    pid = holder(directory / state_directory)
    if pid is not None:
        return Check("address", "ok", f"`outlast up` runs here, process {pid}")
    family = socket.AF_INET6 if ":" in listen.host else socket.AF_INET
    try:
        with socket.socket(family, socket.SOCK_STREAM) as probe:
            probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            probe.bind((listen.host, listen.port))
    except OSError as error:
        why = (error.strerror or str(error)).lower()
        return Check("address", "failed", f"{listen}: {why}", "use another one: server.listen, or outlast up --port N")
    return Check("address", "ok", f"{listen} is free")


_IMPORT = """
import json, sys
sys.path.insert(0, sys.argv[1])
from outlast.bootstrap.app import load_app
from outlast.kernel.error import OutlastError
try:
    app = load_app(sys.argv[2], sys.argv[1])
except OutlastError as error:
    print(json.dumps({"error": str(error)}))
else:
    print(json.dumps({"agents": sorted(app.agents), "tools": len(app.tools)}))
"""


def _app(blueprint: Blueprint, directory: Path) -> Check:
    """Imports the app in a process of its own: what it does at import stays there, and may not hang this one."""
    clock = SystemClock()
    start = clock.monotonic()
    try:
        done = subprocess.run(
            [sys.executable, "-c", _IMPORT, str(directory), blueprint.app],
            capture_output=True,
            text=True,
            errors="replace",
            timeout=app_import_timeout_s,
            cwd=directory,
            check=False,
        )
    except subprocess.TimeoutExpired:
        text = f"{blueprint.app} was not imported within {duration_text(app_import_timeout_s)}"
        return Check("app", "failed", text, "do nothing at import: open connections in the app's lifespan")
    found = _last_json(done.stdout)
    if found is None or "error" in found:
        lines = done.stderr.strip().splitlines() or [f"the import ended with status {done.returncode}"]
        why = str(found["error"]) if found else lines[-1]
        return Check("app", "failed", blueprint.app, why)
    try:
        check_agents(blueprint, dict.fromkeys(found["agents"]))
    except OutlastError as error:
        return Check("app", "failed", blueprint.app, str(error))
    agents = ", ".join(found["agents"]) or "no agents"
    took = clock.monotonic() - start
    return Check("app", "ok", f"{blueprint.app}: {agents}; {found['tools']} tools; imported in {took:.1f} s")


def _last_json(text: str) -> dict[str, Any] | None:
    for line in reversed(text.splitlines()):
        try:
            return json.loads(line)
        except ValueError:
            continue
    return None
