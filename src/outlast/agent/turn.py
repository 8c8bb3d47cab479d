"""A run that waits for its turn in a session: until no turn before it is open."""

from __future__ import annotations

import asyncio

from outlast.agent.app import Options
from outlast.agent.platform import Platform
from outlast.agent.session import Entered, enter_turn
from outlast.agent.wait import Waits


class _Line:
    """The run itself, as one that waits."""

    def __init__(self) -> None:
        self.place = "turn"
        self.counted = True
        self.waiting = False


async def await_turn(
    platform: Platform, waits: Waits, session: str, run: str, options: Options, stopping: asyncio.Event
) -> Entered | None:
    """The turn with the session's state before it; None if `stopping` was set first."""
    line = _Line()
    while True:
        entered = await enter_turn(platform, session, run, options.session_ttl_s, options.on_held_turn == "skip")
        if entered.state is not None:
            return entered
        if stopping.is_set():
            return None
        waiting = asyncio.ensure_future(waits.until_ended(line, entered.waits_for))
        stopped = asyncio.ensure_future(stopping.wait())
        poll = asyncio.ensure_future(platform.clock.sleep(platform.settings.wait_poll_s))
        await asyncio.wait([waiting, stopped, poll], return_when=asyncio.FIRST_COMPLETED)
        for task in (waiting, stopped, poll):
            task.cancel()
        await asyncio.wait([waiting, stopped, poll])
