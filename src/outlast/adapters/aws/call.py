"""Calls of one storage service: errors translated at the border, counted, repeated on a budget."""

from __future__ import annotations

from typing import Any

import msgspec

from outlast.adapters.aws.client import Client
from outlast.adapters.aws.fault import CallFailed, failure, foreseen
from outlast.adapters.aws.usage import Usage
from outlast.kernel.clock import Clock
from outlast.kernel.randomness import Randomness
from outlast.policy.retry_budget import RetryBudget, RetryBudgetPolicy


class Repeating(msgspec.Struct, frozen=True):
    """How often a call is made again that was throttled or got no answer. Appends never are: their writer resends them.

    `tries_max` calls in all for one; `first_s` before the second, doubled each time up to `max_s`, shortened by chance
    (full jitter); `budget` for all calls together.
    """

    tries_max: int = 4
    first_s: float = 0.025
    max_s: float = 1.0
    budget: RetryBudgetPolicy = RetryBudgetPolicy(ratio=0.1, per_s=2.0, burst=20)


class Calls:
    """One service's operations, by their names in the API."""

    def __init__(
        self, service: str, client: Client, where: str, usage: Usage, clock: Clock, randomness: Randomness,
        repeating: Repeating | None = None,
    ) -> None:  # fmt: skip
        self.where = where
        self.usage = usage
        self._service = service
        self._client = client
        self._clock = clock
        self._randomness = randomness
        self._repeating = repeating or Repeating()
        self.budget = RetryBudget(self._repeating.budget)

    async def once(self, operation: str, **parameters: Any) -> dict[str, Any]:
        """One call. Raises CallFailed; what it says about a write is `CallFailed.may_be_done`."""
        client = await self._made()
        self.usage.calls[f"{self._service}:{operation}"] += 1
        try:
            return await client._make_api_call(operation, parameters)  # noqa: SLF001 (every method of a client is made of it)
        except foreseen() as error:
            failed = failure(error, f"{self.where} {operation}")
            self.usage.failed[failed.kind] += 1
            raise failed from None

    async def many(self, operation: str, **parameters: Any) -> dict[str, Any]:
        """As `once`, made again while it is throttled or lost: for what may be done twice. Raises CallFailed."""
        self.budget.deposit(self._clock.monotonic())
        rest_s = self._repeating.first_s
        tries = 1
        while True:
            try:
                return await self.once(operation, **parameters)
            except CallFailed as failed:
                if not failed.may_be_done or tries >= self._repeating.tries_max:
                    raise
                if not self.budget.withdraw(self._clock.monotonic()):
                    raise
            await self._clock.sleep(rest_s * (0.5 + self._randomness.uniform() / 2))
            rest_s = min(rest_s * 2, self._repeating.max_s)
            tries += 1
            self.usage.repeated[f"{self._service}:{operation}"] += 1

    async def _made(self) -> Any:
        try:
            return await self._client.get()
        except foreseen() as error:
            message = f"{self.where} cannot be asked: {error}; check region and endpoint_url"
            raise CallFailed("hopeless", message) from None

    async def whole(self, operation: str, body: Any) -> bytes:
        """The rest of a streamed answer. Raises CallFailed."""
        try:
            async with body as stream:
                return await stream.read()
        except foreseen() as error:
            failed = failure(error, f"{self.where} {operation}")
            self.usage.failed[failed.kind] += 1
            raise failed from None
