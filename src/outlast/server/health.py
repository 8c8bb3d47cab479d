"""Is the process alive, and can it do its work? Two questions: restarting on the second makes outages worse.

`/livez` depends on nothing but the loop that answers it: no store, no model. `/readyz` reads from the store and asks
the writing process for an answer. It asks by an append that cannot apply (its expected end is one no stream can have),
so the answer is *conflict* and nothing is written.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from typing import Literal

import msgspec
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route

from outlast.agent.platform import Platform
from outlast.journal.record import make_append
from outlast.journal.stream import Conflicted, Head, StreamKey, Unknown
from outlast.kernel.error import OutlastError, StoreUnavailable, invariant
from outlast.kernel.identity import new_id
from outlast.server.limit import Limits
from outlast.server.payload import NoQuery, read_query
from outlast.server.reply import reply

_NOWHERE = Head(2**53 - 2, b"\x00" * 32)


class Live(msgspec.Struct, frozen=True):
    """The process answers."""

    status: Literal["live"]


class Check(msgspec.Struct, frozen=True):
    """One thing that must work. `detail` says what is wrong, "" if nothing is; `ms` is how long the answer took."""

    ok: bool
    detail: str
    ms: float


class Ready(msgspec.Struct, frozen=True):
    """Whether this server can do its work now."""

    status: Literal["ready", "not ready", "stopping"]
    checks: dict[str, Check]


class Health:
    """The routes `/livez` and `/readyz`. Many who ask at once share one probe."""

    def __init__(self, platform: Platform, limits: Limits, stopping: Callable[[], bool]) -> None:
        self._platform = platform
        self._limits = limits
        self._stopping = stopping
        self._probe: asyncio.Task[dict[str, Check]] | None = None

    def routes(self) -> list[Route]:
        return [Route("/livez", self.live, methods=["GET"]), Route("/readyz", self.ready, methods=["GET"])]

    async def live(self, request: Request) -> Response:
        """Always 200."""
        read_query(request, NoQuery)
        return reply(Live("live"))

    async def ready(self, request: Request) -> Response:
        """200 if everything works, 503 with what does not."""
        read_query(request, NoQuery)
        if self._probe is None or self._probe.done():
            self._probe = asyncio.create_task(self._checks())
        checks = await asyncio.shield(self._probe)
        well = all(check.ok for check in checks.values())
        status = "stopping" if self._stopping() else "ready" if well else "not ready"
        headers = {} if status == "ready" else {"retry-after": "1"}
        return reply(Ready(status, checks), 200 if status == "ready" else 503, headers)

    async def _checks(self) -> dict[str, Check]:
        return {"read": await self._check(self._read), "writer": await self._check(self._ask_writer)}

    async def _check(self, probe: Callable[[], Awaitable[None]]) -> Check:
        clock = self._platform.clock
        begun = clock.monotonic()
        detail = ""
        try:
            async with asyncio.timeout(self._limits.probe_timeout_s):
                await probe()
        except TimeoutError:
            detail = f"no answer within {self._limits.probe_timeout_s:g} s"
        except OutlastError as error:
            detail = f"{error.code}: {error}"
        return Check(not detail, detail, round((clock.monotonic() - begun) * 1000, 3))

    async def _read(self) -> None:
        await self._platform.store.streams("run", limit=1)

    async def _ask_writer(self) -> None:
        platform = self._platform
        stream = str(StreamKey("agent", "readyz", platform.store.lineage))
        append_id = new_id("probe", platform.clock, platform.randomness)
        append = make_append(stream, _NOWHERE, append_id, platform.clock.now(), [{"type": "probe", "v": 1}])
        outcome = await platform.store.append(append)
        if isinstance(outcome, Unknown):
            raise StoreUnavailable(f"the writer does not answer: {outcome.reason}")
        invariant(isinstance(outcome, Conflicted), "an append behind no stream's end was applied")
