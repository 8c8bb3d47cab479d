"""``outlast replay``: would today's code still follow what a run has recorded?"""

from __future__ import annotations

import typer

from outlast.cli.exit import ExitCode
from outlast.cli.option import Home, Json, RunId


def replay(run: RunId, home: Home = None, json: Json = False) -> None:
    """Execute a run's history against today's code, without effects.

    Recorded results are given to the code; nothing is called and nothing is written. The verdict is `same`, `drift`
    (it follows, but calls a step with other arguments: the recorded result stands) or `mismatch` (it asks for
    something else: the run would be held). Exit code 1 for a mismatch.

    For example, before a new version of app.py is deployed:

        outlast replay run_01k… && outlast up
    """
    import asyncio

    import msgspec

    from outlast.agent.rehearsal import Rehearsal, rehearse
    from outlast.blueprint.load import load
    from outlast.bootstrap.app import configure_app, load_app
    from outlast.bootstrap.reading import open_reading_platform
    from outlast.cli.home import project
    from outlast.cli.output import plain, print_json

    directory = project(home)
    blueprint = load(directory)

    async def work() -> Rehearsal:
        async with open_reading_platform(directory, blueprint, models=True) as platform:
            return await rehearse(configure_app(load_app(blueprint.app, directory), blueprint), platform, run)

    found = asyncio.run(work())
    if json:
        print_json(msgspec.to_builtins(found))
    else:
        ended = "to its end" if found.ended else "as far as it has come"
        print(f"{found.verdict}: run {found.run} of agent {found.agent}, {found.outcomes} recorded results, {ended}")
        if found.reason:
            print(plain(f"  {found.reason}"))
        for drift in found.drifts:
            print(plain(f"  step {drift.place} ({drift.name}): other arguments now; the recorded result stands"))
    if found.verdict == "mismatch":
        raise typer.Exit(ExitCode.FAILED)
