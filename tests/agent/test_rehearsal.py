"""Replaying recorded histories against today's code."""

from __future__ import annotations

from outlast.agent.app import App
from outlast.agent.rehearsal import rehearse
from outlast.agent.run import Run
from tests.agent.desk import desk


def _app(change: str = "") -> tuple[App[None], list[str]]:
    app: App[None] = App("rehearsal")
    effects: list[str] = []

    @app.tool(effect="pure")
    async def look(what: str) -> str:
        effects.append(what)
        return f"found {what}"

    @app.tool(effect="once")
    async def send(what: str) -> str:
        effects.append(what)
        return f"sent {what}"

    @app.agent
    async def errand(run: Run[None], what: str) -> str:
        found = await look(what.upper() if change == "arguments" else what)
        if change == "removed":
            return found
        if change == "other":
            return await look(found)
        sent = await send(found)
        if change == "added":
            await look(sent)
        await run.signal("go")
        return "other result" if change == "result" else sent

    return app, effects


async def _rehearse(change: str, *, ended: bool) -> tuple[str, str]:
    app, _ = _app()
    async with desk(app) as d:
        run = await d.start("errand", "keys")
        await d.until(run, "parked")
        if ended:
            await d.control.signal(run, "go")
            await d.until(run, "completed")
        before = await d.types(run)
        today, effects = _app(change)
        report = await rehearse(today, d.control.platform, run)
        assert effects == [], "a rehearsal has no effects"
        assert await d.types(run) == before, "a rehearsal writes nothing"
        assert report.ended == ended
        return report.verdict, report.reason


async def test_the_same_code_follows_an_open_and_an_ended_history() -> None:
    assert await _rehearse("", ended=False) == ("same", "")
    assert await _rehearse("", ended=True) == ("same", "")


async def test_other_arguments_are_a_drift() -> None:
    assert (await _rehearse("arguments", ended=True))[0] == "drift"


async def test_another_step_names_both_sides() -> None:
    verdict, reason = await _rehearse("other", ended=False)
    assert verdict == "mismatch"
    assert "'send' in the history" in reason
    assert "'look' in the code" in reason


async def test_a_step_that_is_not_called_any_more_is_a_mismatch() -> None:
    verdict, reason = await _rehearse("removed", ended=True)
    assert verdict == "mismatch"
    assert "without calling step 2" in reason


async def test_a_step_that_was_put_in_is_a_mismatch() -> None:
    assert (await _rehearse("added", ended=True))[0] == "mismatch"


async def test_another_result_of_an_ended_run_is_a_mismatch() -> None:
    assert "another result" in (await _rehearse("result", ended=True))[1]
