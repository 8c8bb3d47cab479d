"""The doorbell between processes: NOTIFY after commits, LISTEN on a connection of its own.

A hint and nothing else: it is rung in the background, in batches, and what cannot be sent is dropped. Losing it costs
time: there is a scan behind it.
"""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import Callable, Iterable, Sequence
from contextlib import suppress

import msgspec

from outlast.adapters.postgres.pool import Pool
from outlast.adapters.postgres.server import Servers
from outlast.adapters.postgres.session import Session
from outlast.journal.notice import Listener, Listeners
from outlast.journal.stream import Notice
from outlast.kernel.clock import Clock
from outlast.kernel.error import ConfigurationError, StoreError

payload_bytes_max = 7900
"""Bound of one notification; the server's is 8000 bytes."""
unsent_max = 10_000
"""Bound of the notices that wait to be sent; older ones are dropped."""
listen_again_s = 0.5
"""How long it rests after its connection was lost."""
look_up_s = 5.0
"""How often a silent connection is asked whether it lives."""

_KINDS = ("agent/", "inbox/")
_encoder = msgspec.json.Encoder()
_decoder = msgspec.json.Decoder(tuple[str, list[Notice]])


def channel_of(schema: str) -> str:
    """The channel of a schema's journal."""
    return f"outlast_{schema}"


class Doorbell:
    """Tells this process's listeners at once, and those of others through the database; `token` tells its own apart."""

    def __init__(self, servers: Servers, pool: Pool, schema: str, token: str, clock: Clock) -> None:
        self._servers = servers
        self._pool = pool
        self._channel = channel_of(schema)
        self._token = token
        self._clock = clock
        self._listeners = Listeners()
        self._unsent: deque[Notice] = deque(maxlen=unsent_max)
        self._ringing: asyncio.Task[None] | None = None
        self._listening: asyncio.Task[None] | None = None
        self._session: Session | None = None
        self._closed = False

    def ring(self, notices: Sequence[Notice]) -> None:
        """Tell everybody, soon. Never fails."""
        if self._listeners:
            self._listeners.tell(notices)
        self._unsent.extend(notice for notice in notices if notice.hint is not None or notice.stream.startswith(_KINDS))
        if self._unsent and self._ringing is None and not self._closed:
            self._ringing = asyncio.get_running_loop().create_task(self._ring(), name="postgres doorbell")

    async def _ring(self) -> None:
        try:
            while self._unsent:
                taken = list(self._unsent)
                self._unsent.clear()
                payloads = list(batches(self._token, taken))
                with suppress(StoreError, ConfigurationError):  # a hint
                    await self._pool.rows(
                        "SELECT pg_notify(%s, payload) FROM unnest(%s::text[]) AS p(payload)", (self._channel, payloads)
                    )
        finally:
            self._ringing = None

    def listen(self, listener: Listener, *, steps: bool = True) -> Callable[[], None]:
        """As `EventStore.listen`."""
        if self._listening is None and not self._closed:
            self._listening = asyncio.get_running_loop().create_task(self._listen(), name="postgres listener")
        return self._listeners.add(listener, steps=steps)

    async def _listen(self) -> None:
        while True:
            with suppress(StoreError, ConfigurationError):  # it comes back by itself, whatever it was
                await self._hear()
            await self._clock.sleep(listen_again_s)

    async def _hear(self) -> None:
        """Until the connection is lost, or is one to a primary that was."""
        session = self._session = await self._servers.connect("listen")
        try:
            await session.rows(f'LISTEN "{self._channel}"')
            while session.epoch == self._servers.epoch:
                async for payload, _ in session.notices(look_up_s):
                    self._take(payload)
                await session.rows("SELECT 1")
        finally:
            self._session = None
            await session.close()

    def _take(self, payload: str) -> None:
        try:
            token, notices = _decoder.decode(payload)
        except msgspec.MsgspecError:
            return  # somebody else's word, or one of another release
        if token != self._token and notices:
            self._listeners.tell(notices)

    async def close(self) -> None:
        """Send what waits and stop listening; any number of times."""
        self._closed = True
        if self._ringing is not None:
            await self._ringing
        task, self._listening = self._listening, None
        if task is not None:
            task.cancel()
            if self._session is not None:
                self._session.sever()
            with suppress(asyncio.CancelledError):
                await task


def batches(token: str, notices: Iterable[Notice]) -> Iterable[str]:
    """Payloads that hold all of `notices`, each within the bound; a hint that is too long for one is left out."""
    frame = len(_encoder.encode((token, [])))
    gathered: list[bytes] = []
    size = frame
    for notice in notices:
        raw = _encoder.encode(notice)
        if frame + len(raw) > payload_bytes_max:
            raw = _encoder.encode(Notice(notice.stream, notice.seq))
        if gathered and size + len(raw) + 1 > payload_bytes_max:
            yield _payload(token, gathered)
            gathered, size = [], frame
        gathered.append(raw)
        size += len(raw) + 1
    if gathered:
        yield _payload(token, gathered)


def _payload(token: str, notices: Sequence[bytes]) -> str:
    return _encoder.encode((token, [msgspec.Raw(raw) for raw in notices])).decode()
