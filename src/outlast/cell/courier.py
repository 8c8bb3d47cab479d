"""Carries notices to the other processes and hosts that share a store, for a store that has no doorbell of its own.

Every notice is a hint: it may be lost, doubled, late or out of order, and one message wakes one
host, because those who listen compete for it. The scans of `cell/doorbell.py` make up for the rest.
"""

from __future__ import annotations

import asyncio
from collections import OrderedDict
from collections.abc import Callable, Sequence

import msgspec
from msgspec import UNSET

from outlast.cell.queue import Message, Parcel, Queue, QueueUnavailable, send_count_max
from outlast.journal.index import HintPatch, check_hint
from outlast.journal.notice import Listener, Listeners
from outlast.journal.stream import Notice, StreamKey, seq_max
from outlast.kernel.clock import Clock
from outlast.kernel.error import UsageError
from outlast.kernel.randomness import Randomness
from outlast.policy.retry import Retry


class CourierBounds(msgspec.Struct, frozen=True):
    """The bounds. Beyond `waiting_max` the oldest notice that waits is dropped."""

    waiting_max: int = 1_000
    notice_bytes_max: int = 16 * 1024
    wait_s: float = 20.0
    """How long one look into the queue waits for a message."""
    again: Retry = Retry(attempts=1_000, first_s=0.5, max_s=30.0)
    """The pauses while the queue cannot be reached."""


class Carried(msgspec.Struct):
    """What a courier has counted. `dropped`: not sent; `unread`: received, and not understood."""

    sent: int = 0
    dropped: int = 0
    heard: int = 0
    unread: int = 0


class _Letter(msgspec.Struct, frozen=True, omit_defaults=True):
    stream: str
    seq: int
    hint: HintPatch
    v: int = 1


_decoder = msgspec.json.Decoder(_Letter)
_encoder = msgspec.json.Encoder()


def calls_for(hint: HintPatch | None) -> bool:
    """Whether a notice asks somebody for something: a run that is ready or to be tried alone, mail, a timer."""
    if hint is None:
        return False
    if hint.state is UNSET:
        return hint.mail is not UNSET
    return hint.state in ("ready", "trial") or (hint.state == "parked" and hint.wake_at not in (UNSET, 0.0))


class Courier:
    """One process's end of a queue of notices. Give `ring` to `EventStore.listen`; who wants to hear calls `listen`.

    `send` and `hear` run until they are cancelled: `send` where there are appends, `hear` only where somebody can act,
    since what one hears, no other does. `complain` gets a line when the queue begins to fail.
    """

    def __init__(
        self,
        queue: Queue,
        clock: Clock,
        randomness: Randomness,
        complain: Callable[[str], None],
        bounds: CourierBounds | None = None,
    ) -> None:
        self.counts = Carried()
        self._queue = queue
        self._clock = clock
        self._randomness = randomness
        self._complain = complain
        self._bounds = bounds or CourierBounds()
        self._waiting: OrderedDict[str, bytes] = OrderedDict()  # by stream: a later notice says more
        self._rung = asyncio.Event()
        self._listeners = Listeners()

    def ring(self, notices: Sequence[Notice]) -> None:
        """Send these some time soon. Never raises, never waits."""
        for notice in notices:
            if not calls_for(notice.hint):
                continue
            assert notice.hint is not None
            body = _encoder.encode(_Letter(notice.stream, notice.seq, notice.hint))
            if len(body) > self._bounds.notice_bytes_max:
                self.counts.dropped += 1
                continue
            self._waiting.pop(notice.stream, None)
            self._waiting[notice.stream] = body
            if len(self._waiting) > self._bounds.waiting_max:
                self._waiting.popitem(last=False)
                self.counts.dropped += 1
        if self._waiting:
            self._rung.set()

    def listen(self, listener: Listener) -> Callable[[], None]:
        """Tell `listener` what `hear` hears, until the returned function is called."""
        return self._listeners.add(listener)

    async def send(self) -> None:
        """What is rung, up to ten at a time; what gathers while one batch is under way shares the next."""
        failures = 0
        while True:
            await self._rung.wait()
            batch = [self._waiting.popitem(last=False)[1] for _ in range(min(send_count_max, len(self._waiting)))]
            if not self._waiting:
                self._rung.clear()
            if not batch:
                continue
            try:
                accepted = await self._queue.send([Parcel(body) for body in batch])
            except QueueUnavailable as error:
                self.counts.dropped += len(batch)  # sent again they would be late, and younger ones are waiting
                failures = await self._pause(failures, f"notices cannot be sent: {error}")
                continue
            failures = 0
            self.counts.sent += sum(accepted)
            self.counts.dropped += len(batch) - sum(accepted)

    async def hear(self) -> None:
        """What others rang. What is not understood is left to become a dead letter."""
        failures = 0
        while True:
            try:
                messages = await self._queue.receive(send_count_max, self._bounds.wait_s)
                read = [(each, notice) for each in messages if (notice := self._read(each)) is not None]
                if read:
                    self.counts.heard += len(read)
                    self._listeners.tell([notice for _, notice in read])
                    await self._queue.delete([each for each, _ in read])
            except QueueUnavailable as error:
                failures = await self._pause(failures, f"notices cannot be heard: {error}")
                continue
            failures = 0

    async def _pause(self, failures: int, line: str) -> int:
        if failures == 0:
            self._complain(line)
        failures += 1
        await self._clock.sleep(self._bounds.again.delay_s(failures, self._randomness.uniform()) or 0.0)
        return min(failures, 100)

    def _read(self, message: Message) -> Notice | None:
        try:
            if len(message.body) <= self._bounds.notice_bytes_max:
                letter = _decoder.decode(message.body)
                StreamKey.parse(letter.stream)
                check_hint(letter.hint)
                if letter.v == 1 and 0 < letter.seq < seq_max:
                    return Notice(letter.stream, letter.seq, letter.hint)
        except (msgspec.MsgspecError, UnicodeDecodeError, RecursionError, UsageError):
            pass
        self.counts.unread += 1
        return None
