"""Agents as data: a program is a list of operations, run by one interpreter agent on the public interface.

=====================================  =================================================================================
``["pure"]``                           a pure step
``["big", n]``                         a pure step with a result of `n` characters: large ones go to the blob store
``["shaky", n]``                       an idempotent step that fails `n` times before it succeeds
``["once"]``                           books in the ledger; `verify` looks there
``["once_late"]``                      the booking is sent and lands later, within the declared settle time
``["once_unsure"]``                    lands later too; its `verify` answers Unknown: a person decides
``["once_coy"]``                       its `verify` raises twice of three times
``["once_blind"]``                     books; has no `verify`: in doubt, a person decides
``["once_refuse", n]``                 raises NotDone `n` times, then books
``["once_never"]``                     raises NotDone until its attempts are used up
``["once_far"]``                       its receiver takes nothing later than the settle time after the intent
``["sleep", seconds]``                 a durable timer
``["signal", name, seconds]``          waits for a signal, at most so long; the result is its payload or null
``["gather", [program, ...]]``         branches
``["map", count, limit, program]``     the same branch several times
``["child", program]``                 a child run
``["model"]``                          asks the model
``["typed"]``                          asks the model for a value of a type
``["abandon", seconds]``               gives up a pure step that takes longer
``["abandon_once", seconds]``          gives up a late `once` step that takes longer; null, or its result
``["race"]``                           two pure steps raced with asyncio.wait; what follows depends on who wins
``["try", program]``                   the program's results, or "caught" if it raises
``["version"]``                        a version marker; the result is 1
``["turn"]``                           counts the session's turns; the result is the count
``["poison"]``                         kills its process, always
``["fail"]``                           raises
``["loop", n, program]``               runs the program, then continues as new with `n` less, until 0
=====================================  =================================================================================

Every operation has a subject, ``run-name/path``, under which the checker expects its effect. Agents: ``program``;
``frugal`` has a budget of 5 steps, ``thrifty`` one of 25 tokens, ``stingy`` one of 0.00012 dollars, ``skipper`` skips
held turns of its session.
"""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from typing import Any

from outlast.agent.app import App
from outlast.agent.run import Run
from outlast.policy.budget import Budget
from outlast.simulation.disk import Disk
from outlast.simulation.endpoint import Said
from outlast.simulation.ledger import Ledger
from outlast.simulation.tool import Tools
from outlast.simulation.world import World

Operation = list[Any]
frugal_steps = 5
thrifty_tokens = 25
stingy_usd = 0.00012


def make_app(world: World, ledger: Ledger, disk: Disk) -> App[None]:
    """The application whose agents run programs."""
    app: App[None] = App("simulated")
    interpreter = _Interpreter(app, Tools(app, world, ledger, disk), ledger)

    @app.agent(name="program", session_ttl=None)
    async def program(run: Run[None], name: str, program: list[list[Any]]) -> list[Any]:
        return await interpreter.perform(run, name, program)

    @app.agent(name="frugal", budget=Budget(steps=frugal_steps), session_ttl=None)
    async def frugal(run: Run[None], name: str, program: list[list[Any]]) -> list[Any]:
        return await interpreter.perform(run, name, program)

    @app.agent(name="thrifty", budget=Budget(tokens=thrifty_tokens), session_ttl=None)
    async def thrifty(run: Run[None], name: str, program: list[list[Any]]) -> list[Any]:
        return await interpreter.perform(run, name, program)

    @app.agent(name="stingy", budget=Budget(usd=stingy_usd), session_ttl=None)
    async def stingy(run: Run[None], name: str, program: list[list[Any]]) -> list[Any]:
        return await interpreter.perform(run, name, program)

    @app.agent(name="skipper", session_ttl=None, on_held_turn="skip")
    async def skipper(run: Run[None], name: str, program: list[list[Any]]) -> list[Any]:
        return await interpreter.perform(run, name, program)

    return app


class _Interpreter:
    def __init__(self, app: App[None], tools: Tools, ledger: Ledger) -> None:
        self._app = app
        self._tools = tools
        self._ledger = ledger
        self._simple = {
            name: getattr(tools, name)
            for name in (
                "pure", "shaky", "once", "once_late", "once_unsure", "once_coy", "once_blind", "once_refuse",
                "once_never", "once_far", "poison",
            )
        }  # fmt: skip

    async def perform(self, run: Run[None], path: str, program: Sequence[Operation]) -> list[Any]:
        """The results of all operations."""
        return [await self._operate(run, f"{path}/{index}", operation) for index, operation in enumerate(program)]

    async def _operate(self, run: Run[None], subject: str, operation: Operation) -> Any:  # noqa: C901 # one case each
        slow, late = self._tools.slow, self._tools.once_late
        match operation:
            case [name, *more] if name in self._simple:
                return await self._simple[name](subject, *more)
            case ["big", characters]:
                value = await self._tools.big(subject, characters)
                self._ledger.give(subject, value)
                return value
            case ["sleep", seconds]:
                return await run.sleep(seconds)
            case ["signal", name, seconds]:
                return await run.signal(name, Any, timeout=seconds, default=None)  # type: ignore[arg-type] # any JSON
            case ["gather", branches]:
                parts = [self.perform(run, f"{subject}.{index}", branch) for index, branch in enumerate(branches)]
                return list(await run.gather(*parts))
            case ["map", count, limit, branch]:

                async def one(index: int) -> list[Any]:
                    return await self.perform(run, f"{subject}.{index}", branch)

                return await run.map(one, range(count), limit=limit)
            case ["child", inner]:
                return await run.child(self._app.agents["program"], subject, inner)
            case ["model"]:
                return (await run.model("writer", f"say {subject}", timeout="5s", retry=50)).value
            case ["typed"]:
                said = await run.model("writer", f"say {subject}", output=Said, timeout="5s", retry=50)
                self._ledger.give(subject, said.value.said)
                return said.value.said
            case ["abandon", seconds]:
                return await _within(seconds, slow(subject, 30.0))
            case ["abandon_once", seconds]:
                return await _within(seconds, late(subject))
            case ["race"]:
                tasks = [asyncio.ensure_future(slow(f"{subject}{name}", run.random().random())) for name in "ab"]
                done, waiting = await asyncio.wait(tasks, return_when=asyncio.FIRST_COMPLETED)
                winner = "".join(sorted(task.result()[-1] for task in done))
                await asyncio.wait(waiting or done)
                won = f"{subject}/won"
                await (self._tools.shaky(won, 0) if winner == "b" else self._tools.pure(won))
                if winner == "ab":
                    await self._tools.pure(f"{won}/both")
                return winner
            case ["try", inner]:
                try:
                    return await self.perform(run, subject, inner)
                except Exception:  # noqa: BLE001 # whatever it raises
                    return "caught"
            case ["version"]:
                return run.version("simulated")
            case ["turn"]:
                run.session.state["turns"] = run.session.state.get("turns", 0) + 1
                run.session.say("user", subject)
                return run.session.state["turns"]
            case ["fail"]:
                raise RuntimeError(subject)
            case ["loop", left, inner]:
                values = await self.perform(run, subject, inner)
                if left:
                    run.continue_as_new(f"{subject}+", [["loop", left - 1, inner]])
                return values
            case _:
                raise ValueError(f"operation {operation!r} is not known")


async def _within(seconds: float, step: Any) -> Any:
    try:
        async with asyncio.timeout(seconds):
            return await step
    except TimeoutError:
        return None
