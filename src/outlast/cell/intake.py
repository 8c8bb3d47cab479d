"""Durable ingestion: one run for each message of a queue, created before the message is deleted.

A message's identity is the idempotency key of its run, so a message that is delivered twice, or whose consumer dies
between creation and deletion, is one run. What can never be a run is buried at once, with the reason; what does not fit
the agent of today, after `attempts`. A fault of ours (the store is away, the agent is stopped) is no fault of the
message's: it goes back, and the intake pauses. No more is taken than what waits already allows: the backlog belongs in
the queue, which is made for it.

Source: competing consumers with a dead-letter queue (Amazon SQS developer guide); "Avoiding insurmountable queue
backlogs", Amazon Builders' Library, 2019.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Sequence
from typing import Any, Literal

import msgspec

from outlast.agent.control import Control
from outlast.cell.queue import Message, Parcel, Queue, QueueUnavailable, send_count_max
from outlast.kernel.error import Conflict, NotFound, OutlastError, StoreError, UsageError
from outlast.policy.retry import Retry

Fate = Literal["started", "known", "buried", "again", "outage"]
"""started: a run was created · known: it was there already · buried: a dead letter · again: it comes back ·
outage: it comes back, by no fault of its own."""
_reason_chars_max = 250


class IntakeBounds(msgspec.Struct, frozen=True):
    """The bounds; times in seconds. `attempts` is what ``reads: {attempts: 5}`` says."""

    attempts: int = 5
    message_bytes_max: int = 256 * 1024
    ready_max: int = 1_000
    """So many runs of its agent may wait for a worker before the intake stops taking messages."""
    look_every_s: float = 1.0
    """How often it looks how many wait, and whether the agent is stopped."""
    wait_s: float = 20.0
    """How long one look into the queue waits for a message."""
    again_first_s: float = 2.0
    again_max_s: float = 300.0
    """A message that does not fit comes back after up to so long, doubled each time."""
    pause: Retry = Retry(attempts=1_000, first_s=0.5, max_s=30.0)
    """The pauses while the store or the queue is away."""


class Taken(msgspec.Struct):
    """What an intake has counted."""

    started: int = 0
    known: int = 0
    buried: int = 0
    again: int = 0
    outage: int = 0


class Intake:
    """Feeds one agent from one queue; any number of them may, on any host. `complain` gets a line for what is wrong."""

    def __init__(
        self,
        control: Control,
        agent: str,
        queue: Queue,
        complain: Callable[[str], None],
        bounds: IntakeBounds | None = None,
    ) -> None:
        """Raises NotFound for an agent that is not in the app, UsageError for a queue without dead letters."""
        app = control.app
        if app is None or agent not in app.agents:
            raise NotFound(f"agent {agent[:128]!r} cannot read queue {queue.name}: it is not in the app")
        if queue.dead_letters is None:
            raise UsageError(f"queue {queue.name} has no queue for dead letters: agent {agent} needs one to read it")
        self.counts = Taken()
        self._control = control
        self._platform = control.platform
        self._agent = agent
        self._queue = queue
        self._dead: Queue = queue.dead_letters
        self._complain = complain
        self._bounds = bounds or IntakeBounds()
        self._again = Retry(self._bounds.attempts, self._bounds.again_first_s, self._bounds.again_max_s)
        self._room = 0
        self._looked_at: float | None = None
        self._failures = 0

    async def run(self) -> None:
        """Until cancelled."""
        while True:
            try:
                await self.take()
            except QueueUnavailable as error:
                await self._pause(f"queue {self._queue.name} cannot be read: {error}")
            except StoreError as error:
                await self._pause(f"agent {self._agent} takes no messages: {error}")

    async def take(self) -> int:
        """One look into the queue and all that comes of it; how many messages it was. Raises QueueUnavailable,
        StoreError.
        """
        room = await self._has_room()
        if room < 1:
            await self._platform.clock.sleep(self._bounds.look_every_s)
            return 0
        messages = await self._queue.receive(min(send_count_max, room), self._bounds.wait_s)
        if not messages:
            return 0
        keeping = asyncio.get_running_loop().create_task(self._keep(messages))
        try:
            fates = await asyncio.gather(*(self._judged(message) for message in messages))
        finally:
            keeping.cancel()
        self._room -= fates.count("started")
        done = [each for each, fate in zip(messages, fates, strict=True) if fate in ("started", "known", "buried")]
        if done:
            await self._queue.delete(done)
        if "outage" in fates:
            back = [each for each, fate in zip(messages, fates, strict=True) if fate == "outage"]
            await self._queue.hide(back, 0)
            await self._pause("")
        else:
            self._failures = 0
        return len(messages)

    async def _has_room(self) -> int:
        clock = self._platform.clock
        now = clock.monotonic()
        if self._looked_at is None or now - self._looked_at >= self._bounds.look_every_s:
            self._looked_at = now
            if await self._control.agent_stopped(self._agent) is not None:
                self._room = 0
            else:
                bound, index = self._bounds.ready_max, self._platform.index
                # not what neighbours have; as of now, else each look would find as much room again
                waiting = await index.list(state="ready", agent=self._agent, limit=bound, fresh=True)
                self._room = bound - len(waiting)
        return self._room

    async def _keep(self, messages: Sequence[Message]) -> None:
        """Hide them for as long as it takes."""
        while True:
            await self._platform.clock.sleep(self._queue.hidden_s / 3)
            try:
                await self._queue.hide(messages, self._queue.hidden_s)
            except QueueUnavailable:
                pass  # the worst is that another intake finds the same runs

    async def _judged(self, message: Message) -> Fate:
        fate = await self._judge(message)
        setattr(self.counts, fate, getattr(self.counts, fate) + 1)
        return fate

    async def _judge(self, message: Message) -> Fate:
        if len(message.body) > self._bounds.message_bytes_max:
            bound = f"message_bytes_max is {self._bounds.message_bytes_max}"
            return await self._bury(message, f"it has {len(message.body)} bytes, the bound {bound}")
        try:
            value = msgspec.json.decode(message.body)
        except (msgspec.MsgspecError, UnicodeDecodeError, RecursionError) as error:
            return await self._bury(message, f"it is no JSON: {error}")
        return await self._start(message, value)

    async def _start(self, message: Message, value: Any) -> Fate:
        key = f"{self._queue.name}:{message.identity}"
        try:
            started = await self._control.start(self._agent, value, key=key)
        except StoreError as error:
            self._complain_once(f"agent {self._agent} takes no messages: {error}")
            return "outage"
        except Conflict as error:
            if await self._stopped():
                return "outage"
            return await self._bury(message, str(error))
        except OutlastError as error:
            return await self._unfit(message, str(error))
        except Exception as error:  # noqa: BLE001 (whatever one message does, the next one is not to blame for it)
            self._complain(f"queue {self._queue.name}: message {message.identity}: {error!r}")
            return await self._unfit(message, f"{type(error).__name__}: {error}")
        return "started" if started.created else "known"

    async def _stopped(self) -> bool:
        try:
            return await self._control.agent_stopped(self._agent) is not None
        except StoreError:
            return True

    async def _unfit(self, message: Message, reason: str) -> Fate:
        delay_s = self._again.delay_s(message.attempt, 0.5 + 0.5 * self._platform.randomness.uniform())
        if delay_s is None:
            return await self._bury(message, f"not a run after {message.attempt} attempts: {reason}")
        try:
            await self._queue.hide([message], delay_s)
        except QueueUnavailable:
            pass  # then it comes back when its time is over
        return "again"

    async def _bury(self, message: Message, reason: str) -> Fate:
        reason = " ".join(reason.split())[:_reason_chars_max]
        parcel = Parcel(message.body, message.identity, reason)
        try:
            accepted = (await self._dead.send([parcel]))[0]
        except QueueUnavailable:
            accepted = False
        if not accepted:
            return "again"  # it stays where it is, and the queue itself moves it in the end
        self._complain(f"queue {self._queue.name}: message {message.identity} is a dead letter: {reason}")
        return "buried"

    def _complain_once(self, line: str) -> None:
        if self._failures == 0:
            self._failures = 1
            self._complain(line)

    async def _pause(self, line: str) -> None:
        if line:
            self._complain_once(line)
        self._failures = min(self._failures + 1, 100)
        randomness, clock = self._platform.randomness, self._platform.clock
        await clock.sleep(self._bounds.pause.delay_s(self._failures, randomness.uniform()) or 0.0)
        self._looked_at = None
