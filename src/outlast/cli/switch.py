"""``outlast stop | resume``: the kill switch of an agent."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from outlast.cli.option import AgentName, Home, Json

if TYPE_CHECKING:
    from outlast.cli.access import Access


def stop(
    agent: AgentName,
    reason: Annotated[str, typer.Option("--reason", help="Why, for people.")] = "",
    home: Home = None,
    json: Json = False,
) -> None:
    """Stop an agent: none of its runs takes another step (kill switch).

    It is recorded, so it outlasts restarts. Runs that are under way are held at their next step and go on after
    `outlast resume`.

    For example:

        outlast stop support --reason "refunds too much"
    """
    _switch(home, json, agent, True, lambda access: access.stop_agent(agent, reason or "stopped by hand"))


def resume(agent: AgentName, home: Home = None, json: Json = False) -> None:
    """Let a stopped agent go on.

    For example:

        outlast resume support
    """
    _switch(home, json, agent, False, lambda access: access.resume_agent(agent))


def _switch(home: Path | None, json: bool, agent: str, stopped: bool, act: Callable[[Access], None]) -> None:
    from outlast.cli.access import reach
    from outlast.cli.home import project
    from outlast.cli.output import note, print_json

    access = reach(project(home), write=True)
    try:
        act(access)
    finally:
        access.close()
    if json:
        print_json({"agent": agent, "stopped": stopped})
    else:
        note(f"agent {agent} is stopped; let it go on with: outlast resume {agent}" if stopped else f"{agent} goes on")
