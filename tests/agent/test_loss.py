"""A run whose acknowledged tail is gone waits for a person, and does nothing twice afterwards."""

from __future__ import annotations

from typing import Any

import pytest

from outlast.agent.app import App
from outlast.agent.context import Context
from outlast.agent.create import run_key
from outlast.agent.loss import tell
from outlast.agent.mail import inbox_key, read_inbox
from outlast.agent.run import Run
from outlast.agent.switch import agent_key, stopped_reason
from outlast.agent.verdict import Done
from outlast.journal.loss import Losses, Lost
from outlast.journal.stream import Append, Unknown
from outlast.kernel.error import NotDone
from tests.agent.desk import Desk, desk


class Office:
    """An agent that books twice, waits for a word, and books once more; the ledger is outside."""

    def __init__(self, *, verified: bool = True, settle: float = 0.0) -> None:
        self.app: App[None] = App("t")
        self.ledger: list[str] = []

        @self.app.tool(effect="once", settle=settle)
        async def book(ctx: Context[None], n: int) -> int:
            self.ledger.append(ctx.key)
            return n

        if verified:

            @book.verify
            async def check(ctx: Context[None], n: int) -> Any:
                return Done(n) if ctx.key in self.ledger else NotDone

        @self.app.tool(effect="pure")
        async def look(n: int) -> int:
            return n

        @self.app.agent
        async def go(run: Run[None]) -> list[Any]:
            found: list[Any] = [await look(0), await book(1), await book(2)]
            return [*found, await run.signal("go"), await book(3)]

    async def curtailed(self, d: Desk, place: str = "3", **how: Any) -> tuple[str, Lost]:
        """A run that waits for the word, and has lost everything from the intent at `place` on."""
        run = await d.start("go")
        await d.until(run, "parked")
        await d.wait_for(lambda: not d.workers[0].runs, "it was let go")
        lost = await d.lose(run_key(d.control.platform, run), await d.number(run, "step.intended", place), **how)
        return run, lost


async def test_it_is_held_before_it_does_anything_and_the_reason_names_what_is_gone() -> None:
    office = Office()
    async with desk(office.app) as d:
        run, lost = await office.curtailed(d)
        view = await d.until(run, "held")
        assert f"its events {lost.first} to {lost.last}" in view.reason
        assert "redrive" in view.reason
        assert "outlast resolve" in view.reason
        await d.control.signal(run, "go", 7)  # mail does not drive it on
        await d.until(run, "held")
        assert len(office.ledger) == 2
        assert "step.doubted" not in await d.types(run)


async def test_driven_on_it_asks_of_each_once_step_whether_it_was_done_and_doubles_none() -> None:
    office = Office()
    async with desk(office.app) as d:
        run, _ = await office.curtailed(d)
        await d.until(run, "held")
        await d.control.redrive(run)
        await d.control.signal(run, "go", 7)
        view = await d.until(run, "completed")
        assert view.result == [0, 1, 2, 7, 3]
        assert office.ledger == [f"{run}:{n}" for n in (2, 3, 5)]
        assert [step.by for step in view.steps if step.place in ("2", "3", "5")] == ["call", "verify", "call"]
        assert (await d.types(run)).count("step.doubted") == 2, "what came before the loss is known"
        assert (await d.types(run)).count("run.lost") == 1


async def test_without_a_verify_each_step_past_the_loss_is_held_for_a_person() -> None:
    office = Office(verified=False)
    async with desk(office.app) as d:
        run, lost = await office.curtailed(d)
        await d.until(run, "held")
        await d.control.redrive(run)
        await d.wait_for(lambda: _is_held(d, run, "3"))
        view = await d.control.view(run)
        assert f"events {lost.first} to {lost.last} of this run were lost" in view.reason
        await d.control.resolve(run, "3", "done", 22)
        await d.control.signal(run, "go", 7)
        await d.wait_for(lambda: _is_held(d, run, "5"))
        await d.control.resolve(run, "5", "retry")
        assert (await d.until(run, "completed")).result == [0, 1, 22, 7, 3]
        assert office.ledger == [f"{run}:{n}" for n in (2, 3, 5)]


async def _is_held(d: Desk, run: str, place: str) -> bool:
    return any(step.place == place and step.state == "held" for step in (await d.control.view(run)).steps)


async def test_a_worker_that_is_asked_first_holds_it_although_nobody_has_told_the_run() -> None:
    office = Office()
    async with desk(office.app) as d:
        run, _ = await office.curtailed(d, ours=False)  # another process of this host will tell it, later
        d.ring(run)
        await d.until(run, "held")
        assert len(office.ledger) == 2


async def test_it_is_told_where_it_runs_now_and_lets_go() -> None:
    office = Office()
    async with desk(office.app, workers=2, park_after_s=60.0) as d:
        run = await d.start("go")
        await d.has(run, "signal.awaited")
        first = await d.number(run, "step.intended", "3")
        finder = next(worker for worker in d.workers if not worker.runs)
        await d.lose(run_key(d.control.platform, run), first, to=finder)
        await d.wait_for(lambda: all(not worker.runs for worker in d.workers), "its owner has lost it")
        for worker in d.workers:
            worker.offer(run)
        await d.until(run, "held")
        assert len(office.ledger) == 2


async def test_a_run_that_is_gone_whole_is_held_when_it_is_asked_for_again() -> None:
    office = Office()
    async with desk(office.app) as d:
        run = await d.start("go", key="one")
        await d.until(run, "parked")
        await d.lose(run_key(d.control.platform, run), 1)
        del d.store._entries[run]
        await d.wait_for(lambda: not d.workers[0]._platform.losses.untold(), "it is told")
        assert await d.start("go", key="one") == run
        await d.until(run, "held")
        await d.control.redrive(run)
        await d.control.signal(run, "go", 7)
        assert (await d.until(run, "completed")).result == [0, 1, 2, 7, 3]
        assert office.ledger == [f"{run}:{n}" for n in (2, 3, 5)]


@pytest.mark.parametrize("settle", [0.0, 0.05])
async def test_not_done_counts_only_once_the_executor_of_the_lost_part_acts_no_more(settle: float) -> None:
    office = Office(settle=settle)
    async with desk(office.app) as d:
        run = await d.start("go")
        await d.until(run, "parked")
        dead = d.workers[0].identity
        first = await d.number(run, "step.intended", "2")
        d.kill(dead)
        await d.hire()
        d.executors.answer = False  # it was elsewhere: nobody can say
        office.ledger.clear()
        await d.lose(run_key(d.control.platform, run), first, ours=False)
        d.ring(run)
        await d.until(run, "held")
        await d.control.redrive(run)
        if settle:
            await d.has(run, "signal.awaited")
            assert office.ledger == [f"{run}:2", f"{run}:3"]
        else:
            await d.wait_for(lambda: _is_held(d, run, "2"))
            assert f"old executor {dead} may still act" in (await d.control.view(run)).reason
            assert office.ledger == []
        assert dead in d.executors.asked


async def test_lost_messages_hold_a_run_too_but_nothing_it_did_is_doubted() -> None:
    office = Office()
    async with desk(office.app) as d:
        run = await d.start("go")
        await d.until(run, "parked")
        await d.control.signal(run, "other", 1)
        await d.until(run, "parked")
        await d.lose(inbox_key(d.control.platform, run), 1)
        view = await d.until(run, "held")
        assert "the messages to it 1 to 1" in view.reason
        await d.control.redrive(run)
        await d.control.signal(run, "go", 7)
        assert (await d.until(run, "completed")).result == [0, 1, 2, 7, 3]
        assert "step.doubted" not in await d.types(run)


async def test_one_that_was_cancelled_is_cancelled_and_one_that_has_ended_is_left_alone() -> None:
    office = Office()
    async with desk(office.app) as d:
        run, _ = await office.curtailed(d, ours=False)
        await d.control.cancel(run, "not needed")
        await d.until(run, "cancelled")
        losses = d.workers[0]._platform.losses
        losses.note([Lost(run_key(d.control.platform, run), 90, 91)], "system/3", ours=True)
        await d.wait_for(lambda: losses.of(run_key(d.control.platform, run)) is None)
        letters, _ = await read_inbox(d.control.platform, run)
        assert [letter.mail.id for letter in letters if letter.mail.id.startswith("lost:system/3")] == []


async def test_two_that_find_the_same_loss_tell_it_once_and_another_loss_is_told_again() -> None:
    office = Office()
    async with desk(office.app) as d:
        run, lost = await office.curtailed(d)
        await d.until(run, "held")
        platform = d.control.platform
        platform.losses.note([Lost(lost.stream, lost.first, lost.first)], "system/2", ours=False)
        await tell(platform, run)
        assert platform.losses.untold() == []
        await d.control.redrive(run)
        await d.has(run, "signal.awaited")
        assert (await d.types(run)).count("run.lost") == 1
        platform.losses.note([lost], "system/3", ours=True)
        await tell(platform, run)
        await d.until(run, "held")
        assert (await d.types(run)).count("run.lost") == 2


async def test_a_lost_kill_switch_stops_its_agent() -> None:
    office = Office()
    async with desk(office.app) as d:
        await d.control.stop_agent("go", "it runs wild")
        await d.lose(agent_key(d.control.platform, "go"), 1)
        await d.wait_for(lambda: stopped_reason(d.control.platform, "go"), "it is stopped again")


async def test_what_cannot_be_told_is_said_and_told_later() -> None:
    office = Office()
    async with desk(office.app, append_patience_s=0.05) as d:
        run = await d.start("go")
        await d.until(run, "parked")
        first = await d.number(run, "step.intended", "3")
        failing = True

        async def away(append: Append) -> Any:
            return Unknown("away") if failing else None

        d.wires[d.workers[0].identity].fault = away
        await d.lose(run_key(d.control.platform, run), first)
        await d.wait_for(lambda: any("cannot be told of its loss yet" in line for line in d.reports))
        failing = False
        await d.until(run, "held")


def test_a_gap_is_kept_until_that_very_one_was_told() -> None:
    losses = Losses()
    heard: list[int] = []
    stop = losses.listen(lambda: heard.append(1))
    losses.worker = "w"
    losses.note([Lost("run/a@0.l.n", 3, 4)], "s/2", ours=True)
    old = losses.untold()[0]
    losses.note([Lost("run/a@0.l.n", 3, 9)], "s/3", ours=False)
    losses.told(old)
    (gap,) = losses.untold()
    assert (gap.lost.last, gap.worker, old.worker) == (9, "", "w")
    losses.told(gap)
    assert losses.untold() == []
    stop()
    losses.note([Lost("run/a@0.l.n", 1, 1)], "s/4", ours=True)
    assert len(heard) == 2
