from __future__ import annotations

import asyncio
import contextlib
import functools
from typing import Any

import msgspec
import pytest

from outlast.adapters.host.clock import SystemClock
from outlast.agent import event as ev
from outlast.agent.app import App
from outlast.agent.context import Context
from outlast.agent.mail import post
from outlast.agent.run import Run
from outlast.agent.verdict import Done, Unknown
from outlast.journal.blob import Payload
from outlast.kernel.error import Conflict, NotDone
from outlast.kernel.point import Place
from outlast.policy.retry import Retry
from tests.agent.desk import Desk, Dies, desk

FAST = Retry(3, 0.001, 0.002)


class Desks:
    """One app with a `once` tool that books into a ledger outside, and a verify that answers as it is told."""

    def __init__(self, verify: Any = None, **options: Any) -> None:
        self.app: App[None] = App("t")
        self.ledger: list[str] = []
        self.asked: list[str] = []
        self.before: Any = None
        self.amount = 80

        @self.app.tool(effect="once", **{"retry": FAST, **options})
        async def book(ctx: Context[None], cents: int) -> int:
            if self.before is not None:
                await self.before(ctx)
            self.ledger.append(ctx.key)
            return cents

        self.tool = book
        if verify is not None:

            @book.verify
            async def check(ctx: Context[None], cents: int) -> Any:
                self.asked.append(ctx.key)
                verdict = verify(self, ctx, cents)
                return await verdict if asyncio.iscoroutine(verdict) else verdict

        @self.app.agent
        async def go(run: Run[None]) -> str:
            try:
                return f"booked {await book(self.amount)}"
            except Exception as error:
                return f"{type(error).__name__}: {error}"


def honest(desks: Desks, ctx: Context[None], cents: int) -> Any:
    return Done(cents) if ctx.key in desks.ledger else NotDone


CRASHES: list[tuple[Place, str]] = [
    ("intent.before", "book"), ("intent.after", "book"), ("effect.after", "book"), ("append.before", "run/"),
    ("append.after", "run/"), ("record.after", "book"), ("claim.before", ""), ("claim.after", ""),
    ("run.end.before", ""), ("run.end.after", ""),
]  # fmt: skip


@pytest.mark.parametrize("skip", [0, 1, 2])
@pytest.mark.parametrize(("place", "subject"), CRASHES)
async def test_a_crash_at_any_place_books_exactly_once(place: Place, subject: str, skip: int) -> None:
    desks = Desks(honest)
    async with desk(desks.app, workers=0) as d:
        mortal = await d.hire_mortal(place, subject, skip)
        run = await d.start("go")
        died = asyncio.ensure_future(mortal.died.wait())
        ended = asyncio.ensure_future(d.until(run))
        await asyncio.wait([died, ended], return_when=asyncio.FIRST_COMPLETED, timeout=5)
        if died.done():
            await d.replace(mortal)
        view = await ended
        died.cancel()
        assert view.result == "booked 80", (view, d.reports)
    assert len(desks.ledger) == 1


async def test_after_a_crash_between_effect_and_record_verify_says_done() -> None:
    desks = Desks(honest)
    async with desk(desks.app, workers=0) as d:
        mortal = await d.hire_mortal("effect.after", "book")
        run = await d.start("go")
        await d.replace(mortal)
        view = await d.until(run)
        assert view.result == "booked 80"
        assert view.steps[0].by == "verify"
        assert await d.types(run) == [
            "run.created", "run.claimed", "step.intended", "run.claimed", "step.doubted", "step.done", "run.completed"
        ]  # fmt: skip
        assert d.executors.asked == ["worker-1"]
    assert len(desks.asked) == 1


async def test_after_a_crash_between_intent_and_effect_verify_says_not_done_and_it_is_tried_again() -> None:
    desks = Desks(honest)
    async with desk(desks.app, workers=0) as d:
        mortal = await d.hire_mortal("intent.after", "book")
        run = await d.start("go")
        await d.replace(mortal)
        view = await d.until(run)
        assert view.result == "booked 80"
        assert view.steps[0].attempt == 2
        assert "step.cleared" in await d.types(run)
    assert len(desks.ledger) == 1


async def held_after_a_crash(desks: Desks, d: Desk, place: Place = "effect.after") -> str:
    mortal = await d.hire_mortal(place, "book")
    run = await d.start("go")
    await d.replace(mortal)
    await d.until(run, "held")
    return run


@pytest.mark.parametrize(
    ("verify", "reason"),
    [
        (None, "may or may not have happened, and the tool has no verify"),
        (lambda *_: Unknown, "verify of book at 1 cannot tell"),
        (lambda *_: Unknown("the bank is closed"), "cannot tell: the bank is closed"),
        (lambda *_: Unknown("x" * 100_000), "cannot tell: xxx"),
        (lambda *_: None, "verify of book at 1 answered NoneType: expected Done(value), NotDone or Unknown"),
        (lambda *_: Done, "answered type"),
        (lambda *_: True, "answered bool"),
        (lambda *_: 1 / 0, "verify of book at 1 failed 1 times: ZeroDivisionError: division by zero"),
        (lambda *_: asyncio.sleep(100), "failed 1 times: outlast.StepTimeout"),
    ],
    ids=["missing", "Unknown", "Unknown why", "Unknown long", "None", "Done class", "bool", "raises", "hangs"],
)
async def test_what_cannot_be_told_is_held_for_a_person_and_never_repeated(verify: Any, reason: str) -> None:
    desks = Desks(verify, timeout=0.2)
    async with desk(desks.app, workers=0, verify_attempts_max=1) as d:
        run = await held_after_a_crash(desks, d)
        view = await d.control.view(run)
        assert reason in view.reason
        entry = await d.store.entry(run)
        assert entry is not None
        assert reason in entry.reason
        await d.crash_and_replace()
        await d.until(run, "held")
    assert len(desks.ledger) == 1


async def test_a_verify_that_raises_is_asked_again() -> None:
    def verify(desks: Desks, ctx: Context[None], cents: int) -> Any:
        if len(desks.asked) < 2:
            raise ConnectionError("away")
        return honest(desks, ctx, cents)

    desks = Desks(verify)
    async with desk(desks.app, workers=0) as d:
        mortal = await d.hire_mortal("effect.after", "book")
        run = await d.start("go")
        await d.replace(mortal)
        assert (await d.until(run)).result == "booked 80"
    assert len(desks.asked) == 2


async def test_a_verified_value_of_another_type_fails_the_step_and_is_not_repeated() -> None:
    desks = Desks(lambda *_: Done("eighty"))
    async with desk(desks.app, workers=0) as d:
        mortal = await d.hire_mortal("effect.after", "book")
        run = await d.start("go")
        await d.replace(mortal)
        assert "TypeMismatch" in (await d.until(run)).result
    assert len(desks.ledger) == 1


async def test_the_old_executor_is_confirmed_dead_before_verify_is_asked() -> None:
    order: list[str] = []

    def verify(desks: Desks, ctx: Context[None], cents: int) -> Any:
        order.append("verify")
        return NotDone

    desks = Desks(verify)
    async with desk(desks.app, workers=0) as d:
        confirm = d.executors.confirm_dead

        async def noted(worker: str) -> bool:
            order.append(f"dead {worker}")
            return await confirm(worker)

        d.executors.confirm_dead = noted
        mortal = await d.hire_mortal("intent.after", "book")
        run = await d.start("go")
        await d.replace(mortal)
        await d.until(run)
    assert order == ["dead worker-1", "verify"]


async def test_not_done_beside_an_executor_that_may_live_is_held() -> None:
    desks = Desks(honest)
    async with desk(desks.app, workers=0) as d:
        d.executors.answer = False
        run = await held_after_a_crash(desks, d, "intent.after")
        assert "its old executor worker-1 may still act" in (await d.control.view(run)).reason
        assert desks.ledger == []


async def test_done_beside_an_executor_that_may_live_is_done() -> None:
    desks = Desks(honest)
    async with desk(desks.app, workers=0) as d:
        d.executors.answer = False
        mortal = await d.hire_mortal("effect.after", "book")
        run = await d.start("go")
        await d.replace(mortal)
        assert (await d.until(run)).result == "booked 80"


@pytest.mark.parametrize("dead", [True, False])
async def test_a_settle_time_is_waited_out_and_verify_is_asked_again_after_it(dead: bool) -> None:
    desks = Desks(None, settle=0.5)
    asked_at: list[float] = []
    async with desk(desks.app, workers=0) as d:
        d.executors.answer = dead

        @desks.tool.verify
        async def check(ctx: Context[None], cents: int) -> Any:
            asked_at.append(d.clock.now())
            return honest(desks, ctx, cents)

        mortal = await d.hire_mortal("intent.after", "book")
        run = await d.start("go")
        await d.replace(mortal)
        assert (await d.until(run)).result == "booked 80"
        events = await d.control.events(run)
        intended = next(event.at for event in events if event.type == "step.intended")
        assert asked_at[-1] >= intended + 0.5
        assert len(asked_at) >= 2
        assert d.executors.asked[0] == "worker-1", "an executor of this host is ended all the same"
    assert len(desks.ledger) == 1


class Ahead(SystemClock):
    """The clock of another host, an hour ahead."""

    def now(self) -> float:
        return super().now() + 3600.0


async def test_the_settle_time_of_an_executor_elsewhere_does_not_depend_on_its_clock() -> None:
    desks = Desks(None, settle=0.5)
    asked_at: list[float] = []
    async with desk(desks.app, workers=0) as d:
        d.executors.answer = False

        @desks.tool.verify
        async def check(ctx: Context[None], cents: int) -> Any:
            asked_at.append(d.clock.monotonic())
            return honest(desks, ctx, cents)

        mortal = await d.hire_mortal("intent.after", "book")
        run = await d.start("go")
        await d.wait_for(mortal.died.is_set)
        began = d.clock.monotonic()
        d.clock = Ahead()
        await d.replace(mortal)
        assert (await d.until(run)).result == "booked 80"
        assert asked_at[-1] - began >= 0.5
    assert len(desks.ledger) == 1


async def test_an_effect_that_lands_within_the_settle_time_is_seen() -> None:
    desks = Desks(honest, settle=0.4)
    async with desk(desks.app, workers=0) as d:
        d.executors.answer = False
        mortal = await d.hire_mortal("intent.after", "book")
        run = await d.start("go")
        await d.replace(mortal)
        await d.wait_for(lambda: desks.asked)
        desks.ledger.append(f"{run}:1")  # the frozen executor acted after all
        assert (await d.until(run)).result == "booked 80"
    assert len(desks.ledger) == 1


@pytest.mark.parametrize("verify", [None, lambda desks, ctx, cents: Unknown("who knows")])
async def test_a_person_is_asked_only_when_nothing_can_arrive_any_more(verify: Any) -> None:
    desks = Desks(verify, settle=0.5)
    async with desk(desks.app, workers=0) as d:
        run = await held_after_a_crash(desks, d, "intent.after")
        events = await d.control.events(run)
        taken_over = [event.at for event in events if event.type == "run.claimed"][1]
        (asked,) = [event.at for event in events if event.type == "run.held"]
        assert asked >= taken_over + 0.49, "what the dead executor sent may have been on its way until then"


async def test_attempts_are_bounded_across_errors_that_verify_clears() -> None:
    desks = Desks(honest)

    async def away(ctx: Context[None]) -> None:
        raise ConnectionError("away")

    desks.before = away
    async with desk(desks.app) as d:
        run = await d.start("go")
        assert (await d.until(run)).result == "ConnectionError: away"
        assert (await d.types(run)).count("step.intended") == 3


async def test_a_mistake_of_the_program_is_not_repeated_when_verify_says_not_done() -> None:
    desks = Desks(honest)

    async def bad(ctx: Context[None]) -> None:
        raise ValueError("no such order")

    desks.before = bad
    async with desk(desks.app) as d:
        run = await d.start("go")
        assert (await d.until(run)).result == "ValueError: no such order"
        assert (await d.types(run)).count("step.intended") == 1


async def test_crashes_do_not_use_up_the_attempts_and_are_bounded_by_themselves() -> None:
    desks = Desks(honest, retry=1)
    async with desk(desks.app, workers=0, crashes_max=3) as d:
        mortal = await d.hire_mortal("intent.after", "book")
        run = await d.start("go")
        for _ in range(4):
            await mortal.died.wait()
            mortal = await d.hire_mortal("intent.after", "book")
            for name, wire in d.wires.items():
                if wire.cut:
                    await d.take_over(name)
            await d.wait_for(functools.partial(_either, d, run, mortal))
        view = await d.until(run, "held")
        assert "ended with its worker 4 times: look at the tool, then redrive" in view.reason
        d.kill(d.workers[0].identity)
        await d.hire()
        await d.control.redrive(run)
        assert (await d.until(run, "completed")).result == "booked 80"
    assert len(desks.ledger) == 1


async def _either(d: Desk, run: str, mortal: Dies) -> bool:
    entry = await d.store.entry(run)
    return mortal.died.is_set() or (entry is not None and entry.state == "held")


# -- people -----------------------------------------------------------------------------------------------------------


async def test_a_person_says_done_with_a_value() -> None:
    desks = Desks()
    async with desk(desks.app, workers=0) as d:
        run = await held_after_a_crash(desks, d)
        await d.control.resolve(run, "1", "done", 33)
        view = await d.until(run, "completed")
        assert view.result == "booked 33"
        assert view.steps[0].by == "person"


async def test_a_person_says_retry() -> None:
    desks = Desks()
    async with desk(desks.app, workers=0) as d:
        run = await held_after_a_crash(desks, d, "intent.after")
        await d.control.resolve(run, "1", "retry")
        assert (await d.until(run, "completed")).result == "booked 80"
    assert len(desks.ledger) == 1


async def test_a_person_says_fail() -> None:
    desks = Desks()
    async with desk(desks.app, workers=0) as d:
        run = await held_after_a_crash(desks, d)
        await d.control.resolve(run, "1", "fail", message="the order is closed")
        assert (await d.until(run, "completed")).result == "StepFailed: outlast.Resolved: the order is closed"


async def test_a_value_of_another_type_is_refused_and_the_step_stays_held() -> None:
    desks = Desks()
    async with desk(desks.app, workers=0) as d:
        run = await held_after_a_crash(desks, d)
        await d.control.resolve(run, "1", "done", "eighty")

        async def refused() -> bool:
            return "resolve it with another value" in (await d.control.view(run)).reason

        await d.wait_for(refused)
        await d.until(run, "held")
        await d.crash_and_replace()
        await d.until(run, "held")
        assert (await d.types(run)).count("run.held") == 2, "the refused value is not looked at again"
        await d.control.resolve(run, "1", "done", 80)
        assert (await d.until(run, "completed")).result == "booked 80"


async def test_a_person_may_allow_more_attempts_than_the_tool_has() -> None:
    desks = Desks(None, retry=1)
    fails = [True, True, False]

    async def away(ctx: Context[None]) -> None:
        if fails.pop(0):
            raise ValueError("away")

    desks.before = away
    async with desk(desks.app) as d:
        run = await d.start("go")
        for held in (1, 2):

            async def again(times: int = held) -> bool:
                return (await d.types(run)).count("run.held") == times

            await d.wait_for(again)
            await d.until(run, "held")
            await d.control.resolve(run, "1", "retry")
        assert (await d.until(run, "completed")).result == "booked 80"
    assert len(desks.ledger) == 1


async def test_a_decision_about_one_attempt_is_not_one_about_the_next() -> None:
    desks = Desks(None, retry=5)

    async def lost(ctx: Context[None]) -> None:
        desks.ledger.append(ctx.key)
        raise ConnectionError("the answer was lost")

    desks.before = lost
    async with desk(desks.app) as d:
        run = await d.start("go")
        await d.until(run, "held")
        await asyncio.gather(d.control.resolve(run, "1", "retry"), d.control.resolve(run, "1", "retry"))

        async def again() -> bool:
            return (await d.types(run)).count("run.held") == 2

        await d.wait_for(again)
        await d.until(run, "held")
        await d.crash_and_replace()
        await d.until(run, "held")
        late = ev.MailResolve("client:late", "1", "retry", Payload(msgspec.Raw(b"null")), "", attempt=1)
        await post(d.platform(d.store), run, late)  # decided before the second attempt, arrived after it
        await asyncio.sleep(0.2)
        await d.until(run, "held")
        assert (await d.types(run)).count("step.intended") == 2
        assert len(desks.ledger) == 2


async def test_only_a_step_in_doubt_can_be_resolved() -> None:
    desks = Desks(honest)
    async with desk(desks.app) as d:
        run = await d.start("go")
        await d.until(run)
        with pytest.raises(Conflict, match="is done: only a held one can be resolved"):
            await d.control.resolve(run, "1", "retry")


async def test_other_arguments_while_in_doubt_hold_the_run() -> None:
    desks = Desks(honest)
    async with desk(desks.app, workers=0) as d:
        mortal = await d.hire_mortal("effect.after", "book")
        run = await d.start("go")
        await mortal.died.wait()
        desks.amount = 81
        await d.replace(mortal)
        view = await d.until(run, "held")
        assert "step 1 (book) is in doubt with other arguments than the code now has" in view.reason
        assert desks.asked == []
        desks.amount = 80
        await d.control.redrive(run)
        assert (await d.until(run, "completed")).result == "booked 80"
    assert len(desks.ledger) == 1


# -- agent code that gives up ------------------------------------------------------------------------------------------


def giving_up(desks: Desks, after_s: float | None = 0.05) -> list[asyncio.Timeout]:
    """An agent that waits so long for its step; None: until whoever is given its time-outs has one expire."""
    patience: list[asyncio.Timeout] = []

    @desks.app.agent
    async def hasty(run: Run[None]) -> str:
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(after_s) as bound:
                patience.append(bound)
                return f"booked {await desks.tool(80)}"
        return "gave up"

    return patience


async def test_a_step_that_was_given_up_is_settled_by_whoever_takes_over() -> None:
    desks = Desks(honest)

    async def hang(ctx: Context[None]) -> None:
        await asyncio.get_running_loop().create_future()

    desks.before = hang
    giving_up(desks)
    async with desk(desks.app, workers=0) as d:
        mortal = await d.hire_mortal("verify.before", "book")
        run = await d.start("hasty")
        await d.replace(mortal)
        assert (await d.until(run)).result == "gave up"
        types = await d.types(run)
        assert types.count("step.intended") == 1
        assert types.index("step.abandoned") < types.index("step.cleared") < types.index("run.completed")


async def test_a_step_given_up_while_it_waits_to_be_tried_again_is_not_tried_again() -> None:
    desks = Desks(honest, retry=Retry(3, 30.0, 30.0))

    async def not_now(ctx: Context[None]) -> None:
        raise NotDone("not now")

    desks.before = not_now
    giving_up(desks)
    async with desk(desks.app) as d:
        for _ in range(5):  # the delay is drawn from zero up
            run = await d.start("hasty")
            assert (await d.until(run)).result == "gave up" or desks.ledger == []
            types = await d.types(run)
            if "step.abandoned" in types:
                after = types[types.index("step.abandoned") :]
                assert "step.intended" not in after
    assert desks.ledger == []


async def test_a_step_given_up_while_a_person_is_asked_still_holds_the_end_of_the_run() -> None:
    desks = Desks()

    async def lost(ctx: Context[None]) -> None:
        desks.ledger.append(ctx.key)
        raise ConnectionError("the answer was lost")

    desks.before = lost
    giving_up(desks, 0.3)
    async with desk(desks.app, park_after_s=0.6) as d:
        run = await d.start("hasty")
        await d.has(run, "run.held", "step.abandoned")
        await d.until(run, "held")
        await d.crash_and_replace()
        await d.until(run, "held")
        step = (await d.control.view(run)).steps[0]
        assert step.state == "held"
        await d.control.resolve(run, "1", "done", 80)
        assert (await d.until(run, "completed")).result == "gave up"
    assert len(desks.ledger) == 1


async def test_a_step_given_up_while_its_intent_is_written_does_not_begin() -> None:
    desks = Desks(honest)
    patience = giving_up(desks, None)
    written = asyncio.Event()
    async with desk(desks.app) as d:

        async def slow(append: Any) -> None:
            if b"step.intended" in append.body:
                patience[0].reschedule(asyncio.get_running_loop().time())
                await written.wait()

        d.wires["worker-1"].fault = slow
        run = await d.start("hasty")
        await d.wait_for(lambda: patience and patience[0].expired(), "it gives up")
        for _ in range(50):
            await asyncio.sleep(0)  # its step hears of it
        written.set()
        assert (await d.until(run)).result == "gave up"
        types = await d.types(run)
        assert types.count("step.intended") == 1
        assert {"step.abandoned", "step.retried"} <= set(types)
        assert "step.doubted" not in types
    assert desks.ledger == []


async def test_an_effect_does_not_begin_when_its_settle_time_passed_while_its_intent_was_written() -> None:
    desks = Desks(honest, settle=0.1)
    slow_once = [True]
    async with desk(desks.app) as d:

        async def slow(append: Any) -> None:
            if b"step.intended" in append.body and slow_once:
                slow_once.clear()
                await asyncio.sleep(0.3)

        d.wires["worker-1"].fault = slow
        run = await d.start("go")
        assert (await d.until(run)).result == "booked 80"
        types = await d.types(run)
        assert types.count("step.intended") == 2
        assert types.index("step.retried") < types.index("step.done")
    assert len(desks.ledger) == 1
