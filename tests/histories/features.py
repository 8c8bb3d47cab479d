"""The agents whose histories are recorded here for ever. Do not change their code: every release must follow them.

What must be new gets a new agent and a new history.
"""

from __future__ import annotations

import asyncio
import contextlib
from dataclasses import dataclass
from typing import Any

from outlast.agent.app import App
from outlast.agent.context import Context
from outlast.agent.run import Run
from outlast.agent.verdict import Done
from outlast.kernel.error import NotDone
from outlast.model.endpoint import Completion, ModelRequest, Usage
from outlast.policy.budget import Budget
from outlast.policy.retry import Retry

FAST = Retry(3, 0.001, 0.002)


@dataclass
class Outside:
    """What the tools find outside; the recorder turns the knobs, a replay never asks."""

    ledger: list[str]
    wording: str = "new"
    marks: bool = True
    fails: int = 0
    hang: bool = False


class Declined(Exception):
    """An error that the app registers."""


@dataclass
class Approval:
    """A typed signal."""

    yes: bool
    by: str = ""


class Words:
    """An endpoint that always answers the same."""

    name = "words"

    async def complete(self, request: ModelRequest) -> Completion:
        return Completion('"four words of text"' if request.schema else "four words", "gpt-4o-mini", Usage(11, 4))

    async def close(self) -> None:
        return None


def made(outside: Outside) -> App[None]:
    """The app."""
    app: App[None] = App("histories")
    app.error(Declined)

    @app.tool(effect="pure", retry=FAST)
    async def look(x: int | str) -> str:
        return f"saw {x}"

    @app.tool(effect="idempotent", retry=FAST)
    async def flaky(ctx: Context[None], fails: int) -> int:
        if ctx.attempt <= fails:
            raise ConnectionError("away")
        return ctx.attempt

    @app.tool(effect="pure")
    def declines(why: str) -> int:
        raise Declined(why, 7)

    @app.tool(effect="pure", retry=1)
    async def odd() -> int:
        raise NotADirectoryError(20, "odd")

    @app.tool(effect="pure")
    async def big() -> str:
        return "0123456789" * 8000

    @app.tool(effect="once", retry=FAST)
    async def book(ctx: Context[None], cents: int) -> int:
        if outside.fails > 0:
            outside.fails -= 1
            raise NotDone("not now")
        if outside.hang:
            await asyncio.get_running_loop().create_future()
        outside.ledger.append(ctx.key)
        return cents

    @book.verify
    async def check(ctx: Context[None], cents: int) -> Any:
        return Done(cents) if ctx.key in outside.ledger else NotDone

    @app.tool(effect="once")
    async def blind(cents: int) -> int:
        raise ConnectionError("the answer was lost")

    @app.tool(effect="pure")
    async def hang() -> None:
        if outside.hang:
            await asyncio.get_running_loop().create_future()

    @app.agent
    async def steps(run: Run[None], n: int) -> dict[str, Any]:
        found: dict[str, Any] = {"look": await look(n), "flaky": await flaky(2)}
        for call in (declines("card"), odd()):
            try:
                await call
            except Exception as error:
                found.setdefault("errors", []).append(f"{type(error).__name__}: {error}")
        found["big"] = len(await big())
        found["step"] = await run.step(len, "four", effect="pure", name="length")
        found["book"] = await book(80)
        found["chance"] = [run.random().randrange(1000), str(run.uuid())]
        return found

    @app.agent
    async def fails(run: Run[None]) -> int:
        return await flaky(9)

    @app.agent
    async def doubt(run: Run[None]) -> list[Any]:
        found: list[Any] = [await book(1)]
        for n in (2, 3):
            try:
                found.append(await blind(n))
            except Exception as error:
                found.append(f"{type(error).__name__}: {error}")
        return found

    @app.agent
    async def waits(run: Run[None]) -> list[Any]:
        found: list[Any] = []
        await run.sleep(0.01)
        found.append((await run.signal("ok", Approval)).by)
        found.append(await run.signal("never", timeout=0.01, default="nothing"))
        try:
            await run.signal("never", timeout=0.01)
        except Exception as error:
            found.append(str(error))
        found.append(len(await run.signal("large")))
        return found

    @app.agent
    async def branches(run: Run[None]) -> list[Any]:
        async def leaf(n: int) -> Any:
            return await look(n), await run.gather(look(n + 1), run.sleep(0.001))

        found: list[Any] = [await run.map(leaf, [1, 2, 3], limit=2)]
        found.append(await asyncio.gather(look(4), look(5)))
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(0.05):
                await hang()
        return found

    @app.agent
    async def child(run: Run[None], what: str) -> str:
        if what == "fail":
            raise Declined("child", 1)
        if what == "again":
            run.continue_as_new("on")
        return f"{what} done"

    @app.agent
    async def parent(run: Run[None]) -> list[str]:
        found = [await child("ok"), await run.child(child, "again")]
        try:
            await child("fail")
        except Declined as error:
            found.append(str(error))
        return found

    @app.agent(session_ttl=0.2, on_held_turn="skip")
    async def turn(run: Run[None], text: str) -> list[str]:
        before = [message.content for message in run.session.messages]
        run.session.say("user", text)
        run.session.state["last"] = text
        if text == "hold":
            await blind(1)
        return before

    @app.agent
    async def cancelled(run: Run[None]) -> None:
        await book(1)
        await run.signal("never")

    @app.agent(budget=Budget(steps=2))
    async def budget(run: Run[None]) -> list[str]:
        return [await look(n) for n in range(3)]

    @app.agent
    async def stopped(run: Run[None]) -> str:
        await run.signal("go")
        return await look(1)

    @app.agent
    async def suspect(run: Run[None]) -> str:
        return await look(1)

    @app.agent
    async def moved(run: Run[None]) -> list[Any]:
        found: list[Any] = []
        if outside.marks:
            found.append(run.version("moved", 2))
        found.append(await look(outside.wording))
        await run.signal("go")
        return [found[-1]]

    @app.agent
    async def released(run: Run[None]) -> str:
        found = await look(1)
        await run.signal("go")
        return found

    @app.agent
    async def parked(run: Run[None]) -> list[Any]:
        return list(await run.gather(flaky(1), run.signal("go")))

    @app.agent
    async def models(run: Run[None]) -> list[Any]:
        answer = await run.model("words", "how many words?")
        typed = await run.model("words", "as JSON", output=str, system="be short")
        return [answer.value, typed.value, answer.usage.output_tokens]

    @app.agent
    async def curtailed(run: Run[None]) -> list[Any]:
        found: list[Any] = [await book(1), await book(2)]
        found.append(await run.signal("go"))
        try:
            found.append(await blind(3))
        except Exception as error:
            found.append(f"{type(error).__name__}: {error}")
        return found

    @app.agent
    async def late(run: Run[None]) -> None:
        await run.signal("never")

    return app
