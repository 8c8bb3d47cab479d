from __future__ import annotations

from collections.abc import AsyncGenerator

import msgspec

from outlast.adapters.memory.blob import MemoryBlobs
from outlast.agent import event as ev
from outlast.agent.view import RunView, view_of
from outlast.journal.blob import Payload
from outlast.journal.record import Envelope

CREATED = ev.RunCreated("a", Payload(msgspec.Raw(b"{}")), "digest", "default", 100.0)


async def seen(*events: ev.RunEvent) -> RunView:
    async def history() -> AsyncGenerator[Envelope[ev.RunEvent]]:
        yield Envelope("run/run_1@0.a.b", 1, "x", 1.0, [CREATED, *events])

    return await view_of("run_1", history(), MemoryBlobs())


async def test_a_held_run_keeps_its_reason_when_somebody_only_looked_at_it() -> None:
    held = ev.RunHeld("budget_exceeded", "budget steps: 5 of 5 spent")
    view = await seen(held, ev.RunClaimed("w1", 2, 0), ev.RunParked("still held", 0.0))
    assert (view.state, view.reason) == ("held", "budget steps: 5 of 5 spent")


async def test_a_quarantined_run_keeps_its_reason() -> None:
    killer = ev.RunQuarantined(3, "it kills")
    view = await seen(killer, ev.RunClaimed("w1", 4, 0), ev.RunParked("still quarantined", 0.0))
    assert (view.state, view.reason) == ("quarantined", "it kills")


async def test_a_held_step_keeps_its_reason_while_the_run_is_parked_again() -> None:
    view = await seen(
        ev.StepIntended("1", "pay", "", 1, "run_1:1", 0.0),
        ev.StepDoubted("1", 1, "gone"),
        ev.RunHeld("in_doubt", "step 1 (pay) may have happened", "1"),
        ev.RunClaimed("w2", 2, 0),
        ev.RunParked("waits", 0.0),
    )
    assert (view.state, view.reason) == ("held", "step 1 (pay) may have happened")


async def test_a_run_that_is_held_as_a_whole_stays_so_when_a_step_ends_meanwhile() -> None:
    done = ev.StepDone("1", "look", "", 1.0, Payload(msgspec.Raw(b"1")))
    view = await seen(ev.RunHeld("agent_stopped", "agent a is stopped: by hand"), done)
    assert (view.state, view.reason) == ("held", "agent a is stopped: by hand")
