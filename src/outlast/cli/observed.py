"""``outlast graph --observed``: what runs have used, held against what the blueprint says."""

from __future__ import annotations

import asyncio
from pathlib import Path

import msgspec

from outlast.agent.trace import Trace, observe
from outlast.assessment.observed import Compared, Observation, compare
from outlast.assessment.system import System
from outlast.blueprint.load import load
from outlast.bootstrap.reading import open_reading_platform
from outlast.cli.assessed import clock_now, observed_file, read_system
from outlast.cli.exit import ExitCode
from outlast.cli.file import write_file
from outlast.cli.output import console, note, print_json
from outlast.kernel.error import ConfigurationError

_LOOKS = {"undeclared": "red", "never seen": "yellow", "seen": None, "standing by": "dim", "out of sight": "dim"}


def run_observed(file: Path | None, home: Path | None, output: Path | None, limit: int, *, json: bool) -> int:
    """Look at the journal of the blueprint's project, keep what was seen, and compare; 1 if the two differ.

    Raises NotFound where nothing has run, ConfigurationError where the observation cannot be written.
    """
    path, system = read_system(file, home)
    project = path.parent.resolve()
    trace = asyncio.run(_observe(project, limit))
    observation = trace.observation(system.name, clock_now())
    target = output if output is not None else path.parent / observed_file
    _write(target, observation)
    comparison = compare(system, observation.seen)
    if json:
        kept = msgspec.to_builtins(observation)
        kept.pop("seen")
        print_json({**kept, "equal": comparison.equal, "edges": msgspec.to_builtins(comparison.edges)})
    else:
        _print(system, observation, comparison.edges)
        note(f"kept for `outlast assess`: {target}")
    return ExitCode.OK if comparison.equal else ExitCode.FAILED


async def _observe(home: Path, limit: int) -> Trace:
    async with open_reading_platform(home, load(home)) as platform:
        return await observe(platform, limit)


def _print(system: System, observation: Observation, edges: tuple[Compared, ...]) -> None:
    screen = console()
    bound = "" if observation.whole else ", not all that there are"
    screen.print(f"{system.name}: {observation.runs} runs, {observation.events} events{bound}", style="bold")
    width = max((len(f"{edge.source} -> {edge.target}") for edge in edges), default=0)
    for edge in edges:
        via = f"  by {', '.join(edge.via)}" if edge.via else ""
        runs = f"  {edge.runs} run{'s' if edge.runs > 1 else ''}" if edge.runs else ""
        screen.print(
            f"{edge.standing:12}  {f'{edge.source} -> {edge.target}':{width}}{runs}{via}", style=_LOOKS[edge.standing]
        )
    count = {standing: sum(edge.standing == standing for edge in edges) for standing in _LOOKS}
    word = "differ" if count["undeclared"] or count["never seen"] else "agree"
    screen.print(
        f"{count['undeclared']} undeclared, {count['never seen']} never seen: the file and its runs {word}",
        style="bold",
    )


def _write(path: Path, observation: Observation) -> None:
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        write_file(path, msgspec.json.encode(observation) + b"\n")
    except OSError as error:
        why = (error.strerror or str(error)).lower()
        raise ConfigurationError(f"{path} cannot be written: {why}; name another with -o") from None
