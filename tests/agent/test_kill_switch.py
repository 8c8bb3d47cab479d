"""The kill switch of an agent, seen from `Control`."""

from __future__ import annotations

import pytest

from outlast.agent.app import App
from outlast.agent.control import Started
from outlast.agent.run import Run
from outlast.kernel.error import Conflict
from tests.agent.desk import desk


async def test_a_known_key_gives_its_run_also_while_the_agent_is_stopped() -> None:
    app: App[None] = App("stopped")

    @app.agent
    async def idle(run: Run[None]) -> None:
        return None

    async with desk(app) as d:
        before = await d.control.start("idle", key="one")
        await d.control.stop_agent("idle", "maintenance")
        assert await d.control.start("idle", key="one") == Started(before.run, False)
        with pytest.raises(Conflict, match="maintenance"):
            await d.control.start("idle", key="two")
