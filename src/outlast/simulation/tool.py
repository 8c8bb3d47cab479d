"""The tools of simulated agents: what they do to the ledger, how they fail, what their `verify` answers."""

from __future__ import annotations

from outlast.agent.app import App
from outlast.agent.context import Context
from outlast.agent.tool import Tool
from outlast.agent.verdict import Done, Unknown, Verdict
from outlast.kernel.error import NotDone
from outlast.simulation.disk import Disk
from outlast.simulation.ledger import Ledger
from outlast.simulation.loop import Node, current_node
from outlast.simulation.world import World

settle_s = 2.0
late_s_max = 1.5
"""A late booking lands within this time, less than `settle_s`."""


class Tools:
    """All tools of one simulation, registered in `app`."""

    def __init__(self, app: App[None], world: World, ledger: Ledger, disk: Disk) -> None:
        self._world = world
        self._ledger = ledger
        self._disk = disk
        self._tries: dict[str, int] = {}
        self.pure: Tool[[str], str] = app.tool(effect="pure", timeout="20s", retry=50, name="pure")(self._pure)
        self.big: Tool[[str, int], str] = app.tool(effect="pure", timeout="20s", retry=50, name="big")(self._big)
        self.slow: Tool[[str, float], str] = app.tool(effect="pure", timeout="60s", name="slow")(self._slow)
        self.shaky: Tool[[str, int], str] = app.tool(effect="idempotent", timeout="20s", retry=50, name="shaky")(
            self._shaky
        )
        self.poison: Tool[[str], str] = app.tool(effect="pure", name="poison")(self._poison)
        once = app.tool(effect="once", timeout="20s", retry=50, name="once")
        self.once: Tool[[str], str] = once(self._once)
        self.once.verify(self._happened)
        late = app.tool(effect="once", timeout="20s", retry=50, settle=settle_s, name="once_late")
        self.once_late: Tool[[str], str] = late(self._once_late)
        self.once_late.verify(self._happened)
        unsure = app.tool(effect="once", timeout="20s", retry=50, settle=settle_s, name="once_unsure")
        self.once_unsure: Tool[[str], str] = unsure(self._once_late)
        self.once_unsure.verify(self._cannot_tell)
        coy = app.tool(effect="once", timeout="20s", retry=50, name="once_coy")
        self.once_coy: Tool[[str], str] = coy(self._once)
        self.once_coy.verify(self._raises_first)
        self.once_blind: Tool[[str], str] = app.tool(effect="once", timeout="20s", retry=50, name="once_blind")(
            self._once
        )
        refuse = app.tool(effect="once", timeout="20s", retry=50, name="once_refuse")
        self.once_refuse: Tool[[str, int], str] = refuse(self._once_refuse)
        self.once_refuse.verify(self._refused_happened)
        far = app.tool(effect="once", timeout="20s", retry=50, settle=settle_s, name="once_far")
        self.once_far: Tool[[str], str] = far(self._once_far)
        self.once_far.verify(self._happened)
        never = app.tool(effect="once", timeout="20s", retry=3, name="once_never")
        self.once_never: Tool[[str], str] = never(self._once_never)
        self.once_never.verify(self._happened)

    def _node(self) -> Node:
        found = current_node.get()
        assert found is not None
        return found

    async def _work(self, low_s: float = 0.001, high_s: float = 0.05) -> None:
        await self._world.pause(self._node(), low_s, high_s)

    def _begin(self, ctx: Context[None], subject: str) -> None:
        self._ledger.start(self._world.loop.time(), self._node().name, ctx.key, subject)

    def _book(self, ctx: Context[None], subject: str) -> None:
        self._ledger.book(self._world.loop.time(), self._node().name, ctx.key, subject)

    # Steps that may be repeated

    async def _pure(self, subject: str) -> str:
        await self._work()
        return subject

    async def _big(self, subject: str, characters: int) -> str:
        await self._work()
        return subject.ljust(characters, ".")

    async def _slow(self, subject: str, seconds: float) -> str:
        await self._world.pause(self._node(), seconds, seconds)
        return subject

    async def _shaky(self, subject: str, failures: int) -> str:
        await self._work()
        self._tries[subject] = self._tries.get(subject, 0) + 1
        if self._tries[subject] <= failures:
            raise ConnectionError(f"{subject} is shaky")
        return subject

    async def _poison(self, subject: str) -> str:
        await self._work()
        self._world.crash(self._node(), f"poison {subject}")
        await self._node().acting()
        return subject

    # Steps that must happen once

    async def _once(self, ctx: Context[None], subject: str) -> str:
        self._begin(ctx, subject)
        await self._work()
        self._book(ctx, subject)
        await self._work()
        return subject

    async def _once_late(self, ctx: Context[None], subject: str) -> str:
        await self._node().acting()
        self._begin(ctx, subject)
        delay = self._world.random.random() * late_s_max
        landed = self._world.loop.create_future()
        own = self._node()

        def land() -> None:
            self._ledger.book(self._world.loop.time(), own.name, ctx.key, subject)
            self._world.in_node(own, 0.001, lambda: landed.done() or landed.set_result(None))

        self._world.in_world(delay, land)
        await landed
        return subject

    async def _once_far(self, ctx: Context[None], subject: str) -> str:
        """What keeps the promise of `settle` where nobody can kill the executor: the receiver looks at the time."""
        await self._node().acting()
        self._begin(ctx, subject)
        await self._work(0.001, 0.5)
        intended_at = self._world.true_time(self._node().name, self._disk.intended_at[ctx.key, ctx.attempt])
        if self._world.loop.time() > intended_at + settle_s:
            self._world.bit["request out of date"] += 1
            raise NotDone(f"{subject} came too late for its receiver")
        self._book(ctx, subject)
        await self._work()
        return subject

    async def _once_refuse(self, ctx: Context[None], subject: str, failures: int) -> str:
        self._begin(ctx, subject)
        await self._work()
        self._tries[subject] = self._tries.get(subject, 0) + 1
        if self._tries[subject] <= failures:
            raise NotDone(subject)
        self._book(ctx, subject)
        return subject

    async def _once_never(self, ctx: Context[None], subject: str) -> str:
        self._begin(ctx, subject)
        await self._work()
        raise NotDone(subject)

    # What happened?

    async def _happened(self, ctx: Context[None], subject: str) -> Verdict[str]:
        await self._work()
        return Done(subject) if self._ledger.has(ctx.key) else NotDone

    async def _refused_happened(self, ctx: Context[None], subject: str, failures: int) -> Verdict[str]:
        return await self._happened(ctx, subject)

    async def _cannot_tell(self, ctx: Context[None], subject: str) -> Verdict[str]:
        await self._work()
        return Unknown("simulated")

    async def _raises_first(self, ctx: Context[None], subject: str) -> Verdict[str]:
        await self._work()
        if self._ledger.ask(ctx.key) % 3:
            raise ConnectionError("verify is shaky")
        return await self._happened(ctx, subject)
