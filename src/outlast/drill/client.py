"""What a drill sees of the system: its HTTP API, and nothing else. Asks again by itself while the system is down."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any
from urllib.parse import quote

import aiohttp
import msgspec

from outlast.drill.measure import Event
from outlast.kernel.clock import Clock
from outlast.kernel.error import OutlastError

request_timeout_s = 10.0
"""How long one request may take before it counts as lost and is sent again."""
_retry_every_s = 0.1
_page = 200


class Refused(OutlastError):
    """The system answered that it will not do this; asking again would not help."""

    code = "refused"


class Silent(OutlastError):
    """The system did not answer before the deadline."""

    code = "silent"


class RunLine(msgspec.Struct, frozen=True):
    """One run in a list of runs."""

    run: str
    state: str
    agent: str = ""
    owner: str = ""
    reason: str = ""
    created_at: float = 0.0


class _Started(msgspec.Struct, frozen=True):
    run: str


class _Page(msgspec.Struct, frozen=True):
    runs: list[RunLine]
    next: str | None


class _Events(msgspec.Struct, frozen=True):
    events: list[Event]
    next: int
    """The `after` of the following page."""


class _View(msgspec.Struct, frozen=True):
    result: Any = None


class Client:
    """Asks the API at `address()`, which is looked up anew for each try, because a restart may change it.

    Every call takes `within_s`, the time in which it must have an answer, over all its tries; then it raises Silent.
    """

    def __init__(self, session: aiohttp.ClientSession, address: Callable[[], str | None], clock: Clock) -> None:
        self._session = session
        self._address = address
        self._clock = clock

    async def start(self, agent: str, arguments: Mapping[str, Any], key: str, within_s: float) -> str:
        """Start a run; the identity of the run that answers for `key`. Sent again until it is acknowledged."""
        raw = await self._ask(
            "POST",
            f"/v1/agents/{quote(agent, safe='')}/runs",
            within_s,
            body=msgspec.json.encode({"input": arguments}),
            headers={"Idempotency-Key": key, "Content-Type": "application/json"},
        )
        return msgspec.json.decode(raw, type=_Started).run

    async def runs(self, within_s: float) -> dict[str, RunLine]:
        """Every run that the system knows."""
        found: dict[str, RunLine] = {}
        before = ""
        while True:
            path = f"/v1/runs?limit={_page}" + (f"&before={quote(before, safe='')}" if before else "")
            page = msgspec.json.decode(await self._ask("GET", path, within_s), type=_Page)
            found.update((line.run, line) for line in page.runs)
            if page.next is None:
                return found
            before = page.next

    async def events(self, run: str, within_s: float) -> Sequence[Event]:
        """A run's history as far as it is public now."""
        found: list[Event] = []
        after = 0
        while True:
            path = f"/v1/runs/{quote(run, safe='')}/events?after={after}&limit={_page}"
            page = msgspec.json.decode(await self._ask("GET", path, within_s), type=_Events)
            found.extend(page.events)
            if not page.events:  # a page may end early, at a bound of bytes: only an empty one is the last
                return found
            after = page.next

    async def result(self, run: str, within_s: float) -> Any:
        """What a run returned; None if it has not, or nothing."""
        raw = await self._ask("GET", f"/v1/runs/{quote(run, safe='')}", within_s)
        return msgspec.json.decode(raw, type=_View).result

    async def signal(self, run: str, name: str, payload: Any, id: str, within_s: float) -> None:
        """Send a signal, again until it is acknowledged; `id` makes the repetitions one."""
        path = f"/v1/runs/{quote(run, safe='')}/signals/{quote(name, safe='')}"
        headers = {"Idempotency-Key": id, "Content-Type": "application/json"}
        await self._ask("POST", path, within_s, body=msgspec.json.encode({"payload": payload}), headers=headers)

    async def ready(self, within_s: float) -> None:
        """Return when the system says that it serves."""
        await self._ask("GET", "/readyz", within_s)

    async def _ask(
        self,
        method: str,
        path: str,
        within_s: float,
        body: bytes | None = None,
        headers: Mapping[str, str] | None = None,
    ) -> bytes:
        until = self._clock.monotonic() + within_s
        sent = {"Accept": "application/json", **(headers or {})}
        why = "nothing listens"
        while self._clock.monotonic() < until:
            address = self._address()
            if address is not None:
                try:
                    return await self._once(method, address + path, body, sent)
                except (aiohttp.ClientError, TimeoutError) as error:
                    why = str(error) or type(error).__name__
            await self._clock.sleep(_retry_every_s)
        raise Silent(f"{method} {path}: no answer within {within_s:g} s; last: {why}")

    async def _once(self, method: str, url: str, body: bytes | None, headers: Mapping[str, str]) -> bytes:
        bound = aiohttp.ClientTimeout(total=request_timeout_s)
        async with self._session.request(method, url, data=body, headers=headers, timeout=bound) as answer:
            raw = await answer.read()
            if answer.status in (408, 429) or answer.status >= 500:
                raise aiohttp.ClientError(f"status {answer.status}: {_detail(raw)}")
            if answer.status >= 400:
                raise Refused(f"{method} {url} was refused with status {answer.status}: {_detail(raw)}")
            return raw


def _detail(raw: bytes) -> str:
    return raw[:300].decode(errors="replace")
