"""The kill point placed at every named crash point: nothing acknowledged is lost, no effect is doubled."""

from __future__ import annotations

from pathlib import Path
from typing import get_args

import pytest

from outlast.kernel.point import Place
from tests.crash.system import System

pytestmark = [pytest.mark.crash, pytest.mark.timeout(300)]

KILLS_EACH = 5
SESSION_PLACES = ("session.turn", "snapshot.before", "snapshot.after")


class Tokens:
    """Permits one crash at a time, and knows whether it happened."""

    def __init__(self, directory: Path, place: str) -> None:
        self.path = directory / "token"
        self.environment = {"OUTLAST_CRASH": place, "OUTLAST_CRASH_TOKEN": str(self.path)}

    def permit(self) -> None:
        self.path.touch()

    def used(self) -> bool:
        return not self.path.exists()


@pytest.mark.parametrize("place", [place for place in get_args(Place) if place not in SESSION_PLACES])
async def test_a_run_survives_a_kill(place: str, short_dir: Path) -> None:
    tokens = Tokens(short_dir, place)
    async with System(short_dir, environment=tokens.environment) as system:
        for kill in range(KILLS_EACH):
            tokens.permit()
            run = await system.start_run("everything", tag=f"k{kill}")
            await system.control.signal(run, "go", 7)
            view = await system.settled(run)
            await system.until(tokens.used, 60, f"{place} is reached")
            assert view.state == "completed", (view.reason, view.error)
            assert view.result == [1, 2, 3, 4, "ValueError", 100_000, 7]
        assert system.attempts() == {(f"k{kill}", n): 1 for kill in range(KILLS_EACH) for n in (1, 2, 4, 5)}
        await system.verify_chains()


@pytest.mark.parametrize("place", SESSION_PLACES)
async def test_a_session_survives_a_kill(place: str, short_dir: Path) -> None:
    tokens = Tokens(short_dir, place)
    async with System(short_dir, environment=tokens.environment) as system:
        turns = 0
        for kill in range(KILLS_EACH):
            tokens.permit()
            while not tokens.used():
                assert turns < 8 * (kill + 2), f"{place} was not reached"
                started = await system.control.start("turn", {"tag": "s", "n": turns}, session="talk")
                turns += 1
                view = await system.settled(started.run)
                assert (view.state, view.result) == ("completed", turns), (view.reason, view.error)
        assert system.attempts() == {("s", n): 1 for n in range(turns)}
        assert (await system.control.session("talk")).state == {"count": turns}
        await system.verify_chains()
