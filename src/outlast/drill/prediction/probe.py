"""What a client sees of a running system: by its answers alone."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import aiohttp
import msgspec

from outlast.drill.prediction.subject import Reckoning
from outlast.kernel.clock import Clock

answer_within_s = 4.0
"""An answer that takes longer is none."""
run_within_s = 6.0
"""A run that takes longer is not served."""
_poll_s = 0.1


class _Run(msgspec.Struct, frozen=True):
    run: str


class View(msgspec.Struct, frozen=True):
    """A run, as far as a probe looks at it."""

    state: str = ""
    result: Any = None


class _Address(msgspec.Struct, frozen=True):
    address: str


class Probe:
    """Asks the API of one agent and a gateway, each at the address that it has now."""

    def __init__(
        self,
        agent: str,
        session: aiohttp.ClientSession,
        clock: Clock,
        address: Callable[[], str | None],
        gateway: Callable[[], str | None],
    ) -> None:
        self._agent = agent
        self._session = session
        self._clock = clock
        self._address = address
        self._gateway = gateway
        self.acknowledged: list[str] = []
        """Runs that were, since the list was last emptied."""

    async def serves(self, url: str) -> bool:
        """Whether a server answers a question with 200."""
        return (await self._ask("GET", url))[0] == 200

    async def model(self, name: str) -> bool:
        """Asked through the gateway: an answer of the model itself, not of a lesser one."""
        address = self._gateway()
        if address is None:
            return False
        body = {"model": name, "messages": [{"role": "user", "content": "hello"}], "max_tokens": 8}
        status, _, headers = await self._ask("POST", f"{address}/v1/chat/completions", body)
        return status == 200 and "x-outlast-degraded" not in headers

    async def start(self, given: Mapping[str, Any]) -> str | None:
        """A run, if it was acknowledged."""
        address = self._address()
        if address is None:
            return None
        status, raw, _ = await self._ask("POST", f"{address}/v1/agents/{self._agent}/runs", {"input": given})
        if status not in (200, 201, 202):
            return None
        run = msgspec.json.decode(raw, type=_Run).run
        self.acknowledged.append(run)
        return run

    async def ended(self, run: str, within_s: float = run_within_s) -> View | None:
        """How a run ended; None if it did not in that time."""
        until = self._clock.monotonic() + within_s
        while self._clock.monotonic() < until:
            view = await self.view(run)
            if view.state in ("completed", "failed", "held", "cancelled", "quarantined"):
                return view
            await self._clock.sleep(_poll_s)
        return None

    async def reckoning(self, within_s: float) -> Reckoning:
        """What became of all acknowledged runs, `within_s` from now at the latest."""
        until = self._clock.monotonic() + within_s
        failed = lost = 0
        for run in self.acknowledged:
            view = await self.ended(run, max(1.0, until - self._clock.monotonic()))
            lost += view is None or view.state in ("held", "quarantined")
            failed += view is not None and view.state in ("failed", "cancelled")
        return Reckoning(len(self.acknowledged), failed, lost)

    async def view(self, run: str) -> View:
        """A run as it is now; nothing is known of it while nobody answers."""
        address = self._address()
        status, raw, _ = await self._ask("GET", f"{address}/v1/runs/{run}") if address is not None else (0, b"", {})
        return msgspec.json.decode(raw, type=View) if status == 200 else View()

    async def events(self, run: str) -> bytes:
        """The first events of a run, as they were sent; empty while nobody answers."""
        status, raw, _ = await self._ask("GET", f"{self._address()}/v1/runs/{run}/events?limit=200")
        return raw if status == 200 else b""

    async def signal(self, run: str, name: str, payload: Any) -> None:
        """Send a signal, if somebody takes it."""
        address = self._address()
        if address is not None:
            await self._ask("POST", f"{address}/v1/runs/{run}/signals/{name}", {"payload": payload})

    async def _ask(self, method: str, url: str, body: Any = None) -> tuple[int, bytes, dict[str, str]]:
        """Status, content, headers; status 0 where there is no answer."""
        bound = aiohttp.ClientTimeout(total=answer_within_s)
        try:
            async with self._session.request(method, url, json=body, timeout=bound) as answer:
                headers = {key.lower(): value for key, value in answer.headers.items()}
                return answer.status, await answer.read(), headers
        except (aiohttp.ClientError, TimeoutError, OSError):
            return 0, b"", {}


def gateway_of(announcement: Path) -> str | None:
    """The address in a gateway's announcement, if it is there."""
    try:
        found = msgspec.json.decode(announcement.read_bytes(), type=_Address).address
    except (FileNotFoundError, msgspec.MsgspecError):
        return None
    return found if "://" in found else f"http://{found}"
