"""A simulated model endpoint and the connections to it: it refuses, stalls, breaks off and drips as it is told."""

from __future__ import annotations

import asyncio
import functools
from collections import Counter
from typing import Literal

import msgspec

from outlast.model.endpoint import EndpointUnavailable
from outlast.simulation.loop import Node
from outlast.simulation.pool.data import Server
from outlast.simulation.world import World

Mode = Literal[
    "down", "deny", "error", "limit", "limit for a while", "slow first", "slow gaps", "cut before", "cut after",
    "error before", "error after", "squeeze", "mute",
]  # fmt: skip
slowness = 40.0
"""How many times slower a slow one is."""


Kind = Literal["role", "token", "end", "whole", "error", "cut", "refusal"]
_BEFORE: tuple[tuple[Mode, Kind], ...] = (("cut before", "cut"), ("error before", "error"))
_AFTER: tuple[tuple[Mode, Kind], ...] = (("cut after", "cut"), ("error after", "error"))


class Frame(msgspec.Struct, frozen=True):
    """A piece of an answer. `token` has an index, `end` and `whole` count tokens, `refusal` has a status."""

    kind: Kind
    number: int = 0
    endpoint: str = ""
    count: int = 0
    status: int = 200
    retry_after_s: float | None = None


class Wire:
    """One connection for one request: frames come late, in order, and no more once either side has closed it."""

    def __init__(self, world: World, client: Node) -> None:
        self._world = world
        self._client = client
        self._due = 0.0
        self.frames: asyncio.Queue[Frame] = asyncio.Queue()
        self.closed = False
        self.server: asyncio.Task[None] | None = None

    def send(self, frame: Frame) -> None:
        """From the endpoint to the client."""
        now = self._world.loop.time()
        self._due = max(self._due, now + 0.0002 + self._world.random.random() * 0.001)
        self._world.in_node(self._client, self._due - now, self._arrive, frame)

    def close(self) -> None:
        """By the client: nothing arrives any more, and the endpoint learns of it soon."""
        if not self.closed:
            self.closed = True
            if self.server is not None:
                self.server.cancel()

    def _arrive(self, frame: Frame) -> None:
        if not self.closed:
            self.frames.put_nowait(frame)


class SimServer:
    """The endpoint. `modes` counts what is wrong with it now."""

    def __init__(self, world: World, policy: Server) -> None:
        self._world = world
        self.policy = policy
        self.name = policy.name
        self.node = Node(policy.name, "endpoint")
        world.nodes[self.name] = self.node
        world.loop.adopt(self.node)
        self.modes: Counter[Mode] = Counter()
        self.serving = 0
        self._wires: dict[Wire, None] = {}

    def begin(self, mode: Mode) -> None:
        """Something is wrong from now on; what is down breaks off what it was doing."""
        self.modes[mode] += 1
        self._world.note(f"{self.name} begins: {mode}")
        if mode == "down":
            for wire in list(self._wires):
                wire.send(Frame("cut"))
                self._gone(wire)

    def end(self, mode: Mode) -> None:
        """It is over."""
        self.modes[mode] -= 1
        self._world.note(f"{self.name} ends: {mode}")

    async def open(self, client: Node, number: int, tokens: int, *, stream: bool, bad: bool) -> Wire:
        """A connection with a request on it. Raises EndpointUnavailable if nobody listens."""
        await self._world.pause(client, 0.0002, 0.001)
        if self._has("down"):
            raise EndpointUnavailable(f"{self.name}: connection refused (simulated)")
        wire = Wire(self._world, client)
        serve = functools.partial(self._accept, wire, number, tokens, stream, bad)
        self._world.in_node(self.node, 0.0002, serve)
        return wire

    async def check(self, client: Node, application: bool) -> None:
        """What a health check does: connect, or get an answer as well. Raises EndpointUnavailable."""
        await self._world.pause(client, 0.0002, 0.001)
        if self._has("down"):
            raise EndpointUnavailable(f"{self.name}: connection refused (simulated)")
        if application:
            answer: asyncio.Future[bool] = asyncio.get_running_loop().create_future()

            def reply(fine: bool) -> None:
                if not answer.done():
                    answer.set_result(fine)

            def hear() -> None:
                self._world.in_node(client, 0.0005, reply, not self._has("error"))

            self._world.in_node(self.node, 0.0005, hear)
            if not await answer:
                raise EndpointUnavailable(f"{self.name}: 500 (simulated)")

    def _has(self, mode: Mode) -> bool:
        if self.modes[mode] > 0:
            if mode not in ("slow first", "slow gaps"):
                self._world.bit[f"endpoint {mode}"] += 1
            return True
        return False

    def _accept(self, wire: Wire, number: int, tokens: int, stream: bool, bad: bool) -> None:
        if self._has("down"):
            wire.send(Frame("cut"))
            return
        self._wires[wire] = None
        wire.server = self._world.start(self.node, self._serve(wire, number, tokens, stream, bad))
        wire.server.add_done_callback(lambda _: self._wires.pop(wire, None))
        if wire.closed:
            wire.server.cancel()

    def _gone(self, wire: Wire) -> None:
        self._wires.pop(wire, None)
        if wire.server is not None:
            wire.server.cancel()

    async def _serve(self, wire: Wire, number: int, tokens: int, stream: bool, bad: bool) -> None:
        refusal = self._refusal(bad)
        if refusal is not None:
            await self._pause(0.002, 0.01)
            wire.send(refusal)
            return
        self.serving += 1
        try:
            if stream:
                await self._stream(wire, number, tokens)
            else:
                await self._whole(wire, number, tokens)
        finally:
            self.serving -= 1

    def _refusal(self, bad: bool) -> Frame | None:
        if bad:
            return Frame("refusal", status=400)
        if self._has("deny"):
            return Frame("refusal", status=401)
        if self._has("error"):
            return Frame("refusal", status=500)
        if self._has("limit"):
            return Frame("refusal", status=429)
        if self._has("limit for a while"):
            return Frame("refusal", status=429, retry_after_s=float(1 + int(self._world.random.random() * 4)))
        slots = 1 if self.modes["squeeze"] > 0 else self.policy.slots
        if self.serving >= slots:
            self._world.bit["endpoint full"] += 1
            return Frame("refusal", status=429)
        return None

    async def _stream(self, wire: Wire, number: int, tokens: int) -> None:
        broken = int(self._world.random.random() * tokens) + 1
        wire.send(Frame("role"))
        await self._first()
        for why, kind in _BEFORE:
            if self._has(why):
                wire.send(Frame(kind))
                return
        for index in range(tokens):
            if index:
                await self._slowly(self.policy.gap_s, "slow gaps")
            for why, kind in _AFTER:
                if index == broken and self._has(why):
                    wire.send(Frame(kind))
                    return
            wire.send(Frame("token", number, self.name, index))
        if broken == tokens and self._has("cut after"):
            wire.send(Frame("cut"))
            return
        wire.send(Frame("end", number, self.name, tokens))

    async def _whole(self, wire: Wire, number: int, tokens: int) -> None:
        await self._first()
        await self._slowly(self.policy.gap_s * tokens, "slow gaps")
        for why, kind in (*_BEFORE, *_AFTER):
            if self._has(why):
                wire.send(Frame(kind))
                return
        wire.send(Frame("whole", number, self.name, tokens))

    async def _first(self) -> None:
        while self._has("mute"):
            await self._pause(0.2, 0.4)
        await self._slowly(self.policy.first_s, "slow first")

    async def _slowly(self, usual_s: float, why: Mode) -> None:
        slow = self._has(why)
        if slow:
            self._world.bit[f"endpoint {why}"] += 1
        factor = slowness if slow else 1.0
        await self._pause(0.7 * usual_s * factor, 1.3 * usual_s * factor)

    async def _pause(self, low_s: float, high_s: float) -> None:
        await self._world.pause(self.node, low_s, high_s)
