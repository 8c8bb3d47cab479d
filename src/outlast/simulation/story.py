"""What a person reads of a simulation: seed, commit, rule, the way to see it again, what happened around it."""

from __future__ import annotations

import importlib.metadata
import re
import subprocess
from collections.abc import Sequence
from pathlib import Path

from outlast.simulation.check import RULES
from outlast.simulation.child import Case
from outlast.simulation.pool.rule import POOL_RULES
from outlast.simulation.result import Result
from outlast.simulation.sample import name_of

_around = 14  # lines of trace before and after each line that matters
_lines_max = 160
_RULES = RULES | POOL_RULES
_LINEAGE = "@0.local.simulated"  # the same in every line
_NODES = re.compile(r"(?:worker|writer|supervisor)-\d+")
_FATES = re.compile(r" (?:boot|crash|freeze|thaw|clock) | reaches ")
_NAMES = re.compile(r"run_[0-9a-z]+|[a-z]+\d+\.\d+[^\s:,)]*|session/\S+|call \d+ ")


def commit() -> str:
    """Which code this is: ``git describe`` of the source tree, else the installed version."""
    here = Path(__file__).resolve().parent
    command = ["git", "-C", str(here), "describe", "--always", "--dirty", "--tags"]
    try:
        return subprocess.run(command, capture_output=True, text=True, timeout=10, check=True).stdout.strip()
    except (OSError, subprocess.SubprocessError):
        try:
            return f"outlast {importlib.metadata.version('outlast')}"
        except importlib.metadata.PackageNotFoundError:
            return "unknown"


def replay_command(case: Case) -> str:
    """The command that runs a case again, with its trace."""
    if case.acts is not None:
        return "python -m outlast.simulation --schedule FILE --trace"
    mutant = f" --mutant {case.mutant}" if case.mutant else ""
    return (
        f"python -m outlast.simulation --seed {case.seed} --workload {case.workload} --faults {case.faults}{mutant} "
        "--trace"
    )


def tell(case: Case, result: Result) -> str:
    """A failing seed as a text of several lines."""
    lines = [f"{name_of(case)} at {commit()}"]
    for violation in result.violations[:10]:
        rule, _, text = violation.partition(": ")
        lines += [f"  violated: {rule} ({_RULES.get(rule, 'see docs/simulation.md')})", f"    {text}"]
    if len(result.violations) > 10:
        lines.append(f"  and {len(result.violations) - 10} more")
    lines.append(f"  replay: {replay_command(case)}")
    if result.trace:
        lines += ["  around it ('>' names what the violation names):", *_excerpt(result.violations, result.trace)]
    return "\n".join(lines)


def subjects_of(violations: Sequence[str], trace: Sequence[str]) -> set[str]:
    """The runs and names that violations are about: each run's identifier and the name that its client gave it."""
    found = {match.rstrip("/") for violation in violations for match in _NAMES.findall(violation)}
    found |= {name.split("/")[0] for name in found if not name.startswith("session/")}
    for line in trace:
        client = re.search(r"client: (\S+) is (\S+)", line)
        if client is not None and found & {client[1], client[2]}:
            found |= {client[1], client[2]}
    return found


def _excerpt(violations: Sequence[str], trace: Sequence[str]) -> list[str]:
    """The lines about the first violation's subject, with what happened around them; what comes between is left out."""
    subjects = subjects_of(violations[:1], trace)
    nodes = set(_NODES.findall(violations[0]))
    about = [
        index
        for index, line in enumerate(trace)
        if any(subject in line for subject in subjects) or (_FATES.search(line) and nodes & set(_NODES.findall(line)))
    ]
    if not about:
        return [f"    {line}" for line in trace[-2 * _around :]]
    wanted: set[int] = set()
    for index in reversed(about):  # the end of the story first, as far as there is room
        near = {index}
        if _is_fault_near(trace, index) or index == about[-1]:
            near = set(range(max(0, index - _around), min(len(trace), index + _around // 2)))
        if len(wanted | near) > _lines_max:
            break
        wanted |= near
    lines: list[str] = []
    last = -1
    for index in sorted(wanted):
        if index != last + 1:
            lines.append("      ...")
        lines.append(f"    {'>' if index in about else ' '} {trace[index].replace(_LINEAGE, '')}")
        last = index
    return lines


def _is_fault_near(trace: Sequence[str], index: int) -> bool:
    near = trace[max(0, index - 3) : index + 3]
    return any(word in line for line in near for word in ("crash ", "freeze ", "thaw ", "lost ", "cut ", "disk "))
