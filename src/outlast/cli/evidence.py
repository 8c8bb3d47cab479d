"""Where drills that are commands keep what they have shown."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from outlast.assessment.precaution import Evidence
from outlast.blueprint.load import blueprint_file, name_of, parse, read
from outlast.cli.home import project
from outlast.cli.output import note
from outlast.drill.evidence import append, evidence_file, stamped
from outlast.kernel.error import ConfigurationError, OutlastError


def described(file: Path | None, home: Path | None) -> tuple[Path, str] | None:
    """The blueprint and the name of its system; None if nobody named one and there is none here.

    Raises ConfigurationError for one that was named and is not there, or is not accepted.
    """
    try:
        path = file if file is not None else project(home) / blueprint_file
    except ConfigurationError:
        if home is not None:
            raise
        return None
    raw = read(path)
    if raw is None:
        if file is not None:
            raise ConfigurationError(f"{path} is not there: name the blueprint of an example with -f")
        return None
    return path, parse(raw, str(path), name_of(path.parent)).name


def keep(results: Sequence[Evidence], system: str, given: Path | None, found: tuple[Path, str] | None) -> None:
    """Write results down: into `given`, or next to the blueprint `found` if it is that of `system`. Says where."""
    here = found[0].parent if found is not None and found[1] == system else None
    path = given if given is not None else here / evidence_file if here is not None else None
    if path is None:
        note(f"not kept as evidence: there is no blueprint of {system} here; name a file with --evidence")
        return
    marked = stamped(results, system, here if here is not None else Path.cwd())
    try:
        append(path, marked)
    except OutlastError as error:
        note(f"not kept as evidence: {error}")
        return
    note(f"{len(marked)} results kept as evidence: {path}")
