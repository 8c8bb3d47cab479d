"""Clients of a pool, and the sender between a pool and its simulated endpoints: the part that a gateway plays."""

from __future__ import annotations

import asyncio
from collections.abc import Mapping

from outlast.model.ask import Ask
from outlast.model.attempt import Attempt
from outlast.model.endpoint import EndpointError, EndpointOverloaded, EndpointRefused, EndpointUnavailable
from outlast.model.member import Member
from outlast.model.pool import Pool
from outlast.policy.health import Layer
from outlast.simulation.loop import Node
from outlast.simulation.pool.book import Asked, Book, Phase, Sent
from outlast.simulation.pool.data import Calls
from outlast.simulation.pool.server import Frame, SimServer, Wire
from outlast.simulation.world import World

Value = tuple[str, int]
"""(endpoint, number of the request): what every answer has written on it."""


class PoolClients:
    """They ask and write down what they get."""

    def __init__(self, world: World, node: Node, servers: Mapping[str, SimServer], book: Book) -> None:
        self._world = world
        self._node = node
        self._servers = servers
        self._book = book

    async def probe(self, member: Member, layer: Layer, timeout_s: float) -> None:
        """A health check of a member; see `model/watch.py`."""
        await self._servers[member.name].check(self._node, layer == "application")

    def arrive(self, pool: Pool, calls: Calls, phase: Phase) -> asyncio.Task[None]:
        """One more client, in the pool's process."""
        world, random = self._world, self._world.random
        low_s, high_s = calls.deadline_s
        asked = Asked(
            len(self._book.asked) + 1, phase, world.loop.time(), low_s + random.random() * (high_s - low_s),
            calls.tokens[0] + int(random.random() * (calls.tokens[1] - calls.tokens[0] + 1)), calls.stream, calls.hedge,
            bad=random.random() < calls.bad,
        )  # fmt: skip
        self._book.asked.append(asked)
        session = f"session{int(random.random() * calls.sessions)}" if calls.sessions else ""
        ask = Ask(asked.deadline_s, calls.priority, session, hedge=calls.hedge, stream=calls.stream)
        task = world.start(self._node, self._ask(pool, ask, asked))
        if random.random() < calls.cancel:
            world.in_node(self._node, random.random() * 1.5, self._leave, task, asked)
        return task

    def _leave(self, task: asyncio.Task[None], asked: Asked) -> None:
        if asked.ended_at is None:
            asked.left_at = self._world.loop.time()
            self._world.note(f"call {asked.id} is left by its client")
            task.cancel()

    async def _ask(self, pool: Pool, ask: Ask, asked: Asked) -> None:
        asked.at = self._world.loop.time()  # only now: the pool's process may have been paused
        self._world.note(f"call {asked.id} for {asked.deadline_s:.3f} s")

        async def send(attempt: Attempt) -> Value:
            return await self._send(attempt, asked)

        try:
            served = await pool.call(send, ask)
            asked.outcome, asked.value = "answer", served.value
            asked.endpoint, asked.degraded = served.endpoint, served.degraded
        except asyncio.CancelledError:
            asked.outcome = "CancelledError"
        except EndpointError as error:
            asked.outcome, asked.said, asked.retry_after_s = type(error).__name__, str(error), error.retry_after_s
        except Exception as error:  # noqa: BLE001 # a rule judges it
            asked.outcome, asked.said = type(error).__name__, str(error)
        asked.ended_at = self._world.loop.time()
        self._world.note(f"call {asked.id} ends: {asked.outcome} {asked.endpoint}{' degraded' * asked.degraded}")

    # The sender

    async def _send(self, attempt: Attempt, asked: Asked) -> Value:
        server = self._servers[attempt.member.name]
        now = self._world.loop.time()
        sent = Sent(len(self._book.sent) + 1, asked.id, server.name, now, attempt.deadline)
        self._book.sent.append(sent)
        self._world.note(f"call {asked.id} request {sent.number} to {server.name}")
        wire: Wire | None = None

        def close() -> None:
            if wire is not None:
                wire.close()
            if sent.closed_at is None:
                sent.closed_at = self._world.loop.time()
                self._world.note(f"call {asked.id} request {sent.number} is over")

        attempt.on_abort(close)
        try:
            wire = await server.open(self._node, sent.number, asked.tokens, stream=asked.stream, bad=asked.bad)
            while True:
                frame = await wire.frames.get()
                value = self._read(attempt, asked, sent, frame)
                if value is not None:
                    return value
        finally:
            close()

    def _read(self, attempt: Attempt, asked: Asked, sent: Sent, frame: Frame) -> Value | None:
        """One frame; the value when it was the last. Raises EndpointError, AttemptLost."""
        now = self._world.loop.time()
        match frame.kind:
            case "role":
                return None
            case "token":
                first = sent.committed_at is None
                attempt.commit()
                if first:
                    sent.committed_at = now
                else:
                    attempt.token(now)
                asked.got.append((now, frame.endpoint, frame.number, frame.count))
                return None
            case "end" | "whole":
                sent.whole_at = now
                sent.usage = 10 + frame.count
                attempt.usage(10, frame.count)
                return frame.endpoint, frame.number
            case "refusal":
                raise self._refusal(attempt, sent, frame, now)
            case "error" | "cut":
                raise EndpointUnavailable(f"{sent.endpoint}: the answer broke off: {frame.kind} (simulated)")

    def _refusal(self, attempt: Attempt, sent: Sent, frame: Frame, now: float) -> EndpointError:
        said = f"{sent.endpoint}: {frame.status} (simulated)"
        if frame.status == 429:
            if frame.retry_after_s is not None and not attempt.stopped:
                sent.retry_after = (now, frame.retry_after_s)
            return EndpointOverloaded(said, frame.retry_after_s)
        if frame.status == 400:
            if not attempt.stopped:
                sent.refused_at = now
            return EndpointRefused(said)
        if frame.status == 401:
            sent.denied = True
            return EndpointRefused(said, elsewhere=True)
        return EndpointUnavailable(said)
