"""What drills have shown, next to the blueprint: one JSON object a line, written at the end and never changed.

Who reads it trusts no line: one that is torn, of another system, of a later version, or from the future does not count,
and is named.
"""

from __future__ import annotations

import fcntl
import importlib.metadata
import os
from collections.abc import Sequence
from pathlib import Path

import msgspec

from outlast.assessment.precaution import Evidence, evidence_version
from outlast.drill.commit import commit_of
from outlast.kernel.error import ConfigurationError

evidence_file = Path(".outlast", "evidence.jsonl")
"""Relative to the directory of the blueprint."""
evidence_bytes_max = 8 * 1024 * 1024
"""Bound of what is read of it: the last 8 MiB."""
clock_skew_max_s = 300.0
"""A result may be so many seconds in the future before it is not believed: clocks of machines differ."""
warnings_max = 5
_line_bytes_max = 64 * 1024


def stamped(results: Sequence[Evidence], system: str, directory: Path) -> list[Evidence]:
    """The same results with the system's name, the version of Outlast, and the commit of `directory`."""
    version, commit = importlib.metadata.version("outlast"), commit_of(directory)
    return [msgspec.structs.replace(one, system=system, version=version, commit=commit) for one in results]


def append(path: Path, results: Sequence[Evidence]) -> None:
    """Write results at the end of the file, durably. Raises ConfigurationError if it cannot be written."""
    if not results:
        return
    raw = b"".join(msgspec.json.encode(one) + b"\n" for one in results)
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        file = os.open(path, os.O_RDWR | os.O_APPEND | os.O_CREAT | os.O_CLOEXEC, 0o644)
        try:
            fcntl.flock(file, fcntl.LOCK_EX)
            size = os.fstat(file).st_size
            if size and os.pread(file, 1, size - 1) != b"\n":
                raw = b"\n" + raw  # somebody died in the middle of a line: it stays what it is
            while raw:
                raw = raw[os.write(file, raw) :]
            os.fsync(file)
        finally:
            os.close(file)
        directory = os.open(path.parent, os.O_RDONLY)
        try:
            os.fsync(directory)
        finally:
            os.close(directory)
    except OSError as error:
        why = (error.strerror or str(error)).lower()
        raise ConfigurationError(f"{path} cannot be written: {why}; name another with --evidence") from None


def read(path: Path, system: str, now: float) -> tuple[tuple[Evidence, ...], tuple[str, ...]]:
    """What counts for `system` at `now` (seconds since 1970), and warnings about lines that count for nobody.

    Nothing if there is no such file. What was ``invalid`` is no evidence, and no mistake either.
    """
    try:
        with path.open("rb") as file:
            size = file.seek(0, os.SEEK_END)
            file.seek(max(0, size - evidence_bytes_max))
            lines = file.read(evidence_bytes_max).split(b"\n")
    except (FileNotFoundError, NotADirectoryError):
        return (), ()
    except OSError as error:
        return (), (f"{path} cannot be read: {(error.strerror or str(error)).lower()}",)
    found: list[Evidence] = []
    warnings: list[str] = []
    if size > evidence_bytes_max:
        del lines[0]
        warnings.append(f"{path} is larger than evidence_bytes_max, {evidence_bytes_max} bytes: only its end was read")
    for number, line in enumerate(lines, start=1):
        if not line.strip():
            continue
        one, wrong = _decoded(line, now)
        if one is None:
            where = f"{path}:{number}" if size <= evidence_bytes_max else str(path)
            warnings.append(f"{where}: {wrong}: this result does not count")
        elif one.system in ("", system) and one.verdict != "invalid":
            found.append(one)
    left = len(warnings) - warnings_max
    shown = (*warnings[:warnings_max], f"{path}: and {left} more such lines") if left > 0 else tuple(warnings)
    return tuple(found), shown


def _decoded(line: bytes, now: float) -> tuple[Evidence | None, str]:
    """A result, or what is wrong with it."""
    if len(line) > _line_bytes_max:
        return None, f"a line of {len(line)} bytes, a result has {_line_bytes_max} at most"
    try:
        one = msgspec.json.decode(line, type=Evidence)
    except (msgspec.DecodeError, UnicodeDecodeError) as error:
        return None, f"{str(error)[:1].lower()}{str(error)[1:300]}"
    if one.v > evidence_version:
        return None, f"version {one.v}, this Outlast knows {evidence_version}: it is newer"
    if one.at > now + clock_skew_max_s:
        return None, f"it is {one.at - now:.0f} s in the future: one of the clocks is wrong"
    if one.at <= 0 or min(one.rto_s or 0.0, one.rpo_s or 0.0) < 0:
        return None, "a time that is negative"
    if one.verdict and one.passed != (one.verdict == "passed"):
        return None, f"passed is {str(one.passed).lower()} and the verdict is {one.verdict}"
    return one, ""
