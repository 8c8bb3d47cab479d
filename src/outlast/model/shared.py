"""Answers that processes share, behind each one's own cache: one load per key among all of them, never a wrong one.

What is asked becomes a digest, and the digest is the key: neither prompts nor parameters stand in it. A value says for
which key and version it was made, when, and has a digest over all of that: whatever else is found there, damaged, of
another release, older than its time, is a miss. A shelf that is slow or away is not waited for: a time-out of
milliseconds and a breaker for each part of it stand before it, and behind it is what it saves us from, the source.

Source: leases against thundering herds (Nishtala et al., "Scaling Memcache at Facebook", NSDI 2013).
"""

from __future__ import annotations

import hashlib
from collections.abc import Awaitable, Callable
from typing import Any, Generic, TypeVar, cast

import msgspec

from outlast.kernel.clock import Clock
from outlast.kernel.error import ConfigurationError
from outlast.kernel.identity import check_name, new_token
from outlast.kernel.randomness import Randomness
from outlast.kernel.unit import Duration, seconds
from outlast.model.shelf import Shelf, ShelfUnavailable
from outlast.policy.breaker import Breaker, BreakerPolicy

T = TypeVar("T")
R = TypeVar("R")

_MAGIC = b"OLS1"
_digest_bytes = 32
_time_bytes = 8
_parts_max = 1_024


class SharedBounds(msgspec.Struct, frozen=True):
    """The bounds; times in seconds. Larger values are not shared."""

    value_bytes_max: int = 1 << 20
    lead_s: float = 5.0
    """How long one process may take to load before another one does as well."""
    follow_s: float = 2.0
    """How long one waits for another's load before it loads by itself."""
    follow_every_s: float = 0.02
    clock_skew_s: float = 5.0
    """How far clocks of processes may be apart."""
    breaker: BreakerPolicy = BreakerPolicy(
        window_s=10.0, calls_min=20, error_rate=0.5, failures_in_a_row=3, open_s=0.2, open_max_s=2.0
    )


class SharedView(msgspec.Struct):
    """What a shared cache has counted. `bad`: found, and not what it should be; `away`: the shelf did not answer."""

    hits: int = 0
    misses: int = 0
    loads: int = 0
    followed: int = 0
    """Calls that got what another process loaded meanwhile."""
    bad: int = 0
    away: int = 0
    skipped: int = 0
    """Calls for which the shelf was not asked: its breaker is open."""
    large: int = 0


class Shared(Generic[T]):
    """One kind of answer on a shelf. `version` must change when the same question gets other answers: with the model,
    the prompt, the code. `type` is what a value decodes to; it is kept as JSON. For one event loop at a time.
    """

    def __init__(
        self,
        name: str,
        shelf: Shelf,
        ttl: Duration,
        *,
        version: str,
        type: type[T],
        clock: Clock,
        randomness: Randomness,
        bounds: SharedBounds | None = None,
    ) -> None:
        self.name = check_name("shared cache", name)
        self.counts = SharedView()
        self._shelf = shelf
        self._ttl_s = seconds(ttl)
        if self._ttl_s <= 0:
            raise ConfigurationError(f"shared cache {name}: its time to live is {self._ttl_s:g} s, it must be above 0")
        self._version = version
        self._decoder: msgspec.json.Decoder[T] = msgspec.json.Decoder(type)
        self._clock = clock
        self._randomness = randomness
        self._bounds = bounds or SharedBounds()
        self._breakers: dict[str, Breaker] = {}

    async def fetch(self, asked: bytes, load: Callable[[], Awaitable[T]]) -> T:
        """The shared answer to what is `asked`, or what `load` gives; raises what `load` raises, and nothing else."""
        key = self._key(asked)
        found = await self._read(key)
        if isinstance(found, _Found):
            self.counts.hits += 1
            return cast("T", found.value)
        self.counts.misses += 1
        token = new_token(self._randomness)
        leads = found is None and await self._call(key, self._shelf.lead(key, token, self._bounds.lead_s))
        if leads is True:
            late = await self._come_meanwhile(key, token)
        else:
            late = await self._follow(key, token) if leads is False else False
        if isinstance(late, _Found):
            self.counts.followed += 1
            return cast("T", late.value)
        leads = late
        self.counts.loads += 1
        try:
            value = await load()
            if found is None:
                await self._write(key, value)
        finally:
            if leads is True:
                await self._call(key, self._shelf.leave(key, token))
        return value

    async def forget(self, asked: bytes) -> None:
        """Let it be loaded anew. After a failover of the shelf an earlier value may come back, for its time."""
        key = self._key(asked)
        await self._call(key, self._shelf.forget(key))

    # Inside

    def _key(self, asked: bytes) -> str:
        digest = hashlib.sha256(b"\x1f".join((self._version.encode(), asked))).hexdigest()
        return f"outlast:{self.name}:{digest}"

    async def _follow(self, key: str, token: str) -> _Found | bool:
        """What another one loads; or whether the caller leads now, because nobody does or it took too long."""
        end = self._clock.monotonic() + self._bounds.follow_s
        while self._clock.monotonic() < end:
            await self._clock.sleep(self._bounds.follow_every_s * (0.5 + self._randomness.uniform()))
            found = await self._read(key)
            if isinstance(found, _Found):
                return found
            if isinstance(found, _Away):
                return False
            if await self._call(key, self._shelf.lead(key, token, self._bounds.lead_s)) is True:
                return await self._come_meanwhile(key, token)
        return False

    async def _come_meanwhile(self, key: str, token: str) -> _Found | bool:
        """What came between the caller's look and its lead, which is then given back; True: nothing, it leads."""
        found = await self._read(key)
        if not isinstance(found, _Found):
            return True
        await self._call(key, self._shelf.leave(key, token))
        return found

    async def _read(self, key: str) -> _Found | _Away | None:
        raw = await self._call(key, self._shelf.get(key))
        if raw is None or isinstance(raw, _Away):
            return raw
        value = self._opened(key, raw)
        if value is None:
            self.counts.bad += 1
        return value

    async def _write(self, key: str, value: T) -> None:
        raw = self._closed(key, value)
        if len(raw) > self._bounds.value_bytes_max:
            self.counts.large += 1
            return
        await self._call(key, self._shelf.put(key, raw, self._ttl_s))

    def _closed(self, key: str, value: T) -> bytes:
        at = int(self._clock.now() * 1000).to_bytes(_time_bytes, "big")
        body = at + msgspec.json.encode(value)
        return _MAGIC + _digest(key, body) + body

    def _opened(self, key: str, raw: bytes) -> _Found | None:
        start = len(_MAGIC) + _digest_bytes
        body = raw[start:]
        if (
            len(raw) > self._bounds.value_bytes_max
            or raw[: len(_MAGIC)] != _MAGIC
            or raw[len(_MAGIC) : start] != _digest(key, body)
        ):
            return None
        age_s = self._clock.now() - int.from_bytes(body[:_time_bytes], "big") / 1000
        skew_s = self._bounds.clock_skew_s
        if not -skew_s <= age_s <= self._ttl_s + skew_s:
            return None
        try:
            return _Found(self._decoder.decode(body[_time_bytes:]))
        except (msgspec.MsgspecError, UnicodeDecodeError, RecursionError):
            return None

    async def _call(self, key: str, work: Awaitable[R]) -> R | _Away:
        """What the shelf says, unless it is away or was too often."""
        clock = self._clock
        breaker = self._breaker(self._shelf.part(key))
        ticket = breaker.begin(clock.monotonic())
        if not ticket:
            self.counts.skipped += 1
            _close(work)
            return _AWAY
        try:
            result = await work
        except ShelfUnavailable:
            self.counts.away += 1
            breaker.failed(clock.monotonic(), ticket, self._randomness.uniform())
            return _AWAY
        except BaseException:
            breaker.dropped(clock.monotonic(), ticket)
            raise
        breaker.ok(clock.monotonic(), ticket)
        return result

    def _breaker(self, part: str) -> Breaker:
        found = self._breakers.get(part)
        if found is None:
            if len(self._breakers) >= _parts_max:
                self._breakers.clear()
            found = self._breakers[part] = Breaker(self._bounds.breaker)
        return found


class _Found(msgspec.Struct, frozen=True):
    value: Any


class _Away:
    pass


_AWAY = _Away()


def _digest(key: str, body: bytes) -> bytes:
    return hashlib.sha256(key.encode() + b"\x1f" + body).digest()


def _close(work: Awaitable[Any]) -> None:
    close = getattr(work, "close", None)
    if close is not None:
        close()
