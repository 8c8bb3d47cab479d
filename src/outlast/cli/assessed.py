"""Blueprint files as systems, and fixes written back into them."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import msgspec

from outlast.adapters.host.clock import SystemClock
from outlast.assessment.assess import Assessment
from outlast.assessment.describe import describe
from outlast.assessment.finding import Edit
from outlast.assessment.observed import Observation
from outlast.assessment.patch import patched
from outlast.assessment.seen import Seen
from outlast.assessment.system import System
from outlast.blueprint.document import yaml_bytes_max
from outlast.blueprint.load import blueprint_file, name_of, parse, parse_placed, read
from outlast.cli.file import write_file
from outlast.cli.home import project
from outlast.cli.output import note
from outlast.drill.evidence import evidence_file
from outlast.drill.evidence import read as read_evidence
from outlast.kernel.error import ConfigurationError, UsageError

observed_file = Path(".outlast", "observed.json")
"""Where ``outlast graph --observed`` leaves what it saw, relative to the directory of the blueprint."""
observed_bytes_max = 4 * 1024 * 1024
"""Bound of that file: 4 MiB."""


def clock_now() -> float:
    """Seconds since 1970."""
    return SystemClock().now()


def read_system(file: Path | None, home: Path | None, evidence: Path | None = None) -> tuple[Path, System]:
    """The file, and the system that it describes, with what drills have shown of it.

    Says what of that does not count. Raises ConfigurationError if there is no such file, or it is not accepted.
    """
    path = file if file is not None else project(home) / blueprint_file
    raw = read(path)
    if raw is None:
        raise ConfigurationError(f"{path} is not there: write one, see docs/assessment.md, or name another with -f")
    blueprint, places = parse_placed(raw, str(path), name_of(path.parent))
    found, warnings = read_evidence(evidence or path.parent / evidence_file, blueprint.name, clock_now())
    for warning in warnings:
        note(warning)
    return path, describe(blueprint, places, str(path), found, _observed(path.parent / observed_file, blueprint.name))


def _observed(path: Path, system: str) -> tuple[Seen, ...]:
    """What runs of `system` have shown, where somebody has looked. Says why what is there does not count."""
    try:
        with path.open("rb") as file:
            raw = file.read(observed_bytes_max + 1)
        found = msgspec.json.decode(raw, type=Observation)
    except (FileNotFoundError, NotADirectoryError):
        return ()
    except (OSError, msgspec.MsgspecError, UnicodeDecodeError) as error:
        note(f"{path} does not count: {str(error)[:200]}; outlast graph --observed makes another")
        return ()
    return found.seen if found.system == system and found.v == 1 else ()


def write_fixes(path: Path, assessment: Assessment, rules: Sequence[str]) -> None:
    """Write the fixes of all findings of `rules` into the file, or nothing. Says what was written."""
    unknown = [rule for rule in rules if rule not in {one.rule for one in assessment.findings}]
    if unknown:
        raise UsageError(f"--apply {unknown[0][:32]}: no finding of that rule here; outlast assess lists them")
    chosen = [one for one in assessment.findings if one.rule in rules and not one.accepted]
    for finding in assessment.findings:
        if finding.rule in rules and finding.accepted and finding.acceptance is not None:
            until = finding.acceptance.until
            note(f"{finding.rule} {finding.subject}: accepted until {until}, and left as it is")
    text = path.read_text(encoding="utf-8")
    if len(text) > yaml_bytes_max:
        raise ConfigurationError(f"{path} is larger than yaml_bytes_max, {yaml_bytes_max} bytes: shorten it")
    edits: list[Edit] = []
    for finding in chosen:
        if not finding.fix.edits:
            note(f"{finding.rule} {finding.subject}: by hand: {finding.fix.text}")
        edits.extend(edit for edit in finding.fix.edits if edit not in edits)
    if not edits:
        return
    changed = patched(text, edits, str(path))
    try:
        parse(changed.encode(), str(path))
    except ConfigurationError as error:
        raise ConfigurationError(f"the fix is not accepted and was not written: {error}") from None
    write_file(path, changed.encode())
    for edit in edits:
        is_now = "removed" if edit.value is None else f"= {edit.value}"
        note(f"{path}: {'.'.join(str(key) for key in edit.path)} {is_now}")
