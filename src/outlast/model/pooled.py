"""A pool as an endpoint: what a model step asks."""

from __future__ import annotations

from collections.abc import Mapping

import msgspec

from outlast.kernel.use import note_use
from outlast.model.ask import Ask
from outlast.model.attempt import Attempt
from outlast.model.endpoint import Completion, Endpoint, ModelRequest
from outlast.model.member import Member
from outlast.model.pool import Pool

characters_per_token = 4
"""A rule of thumb for English prose; other text takes more tokens, so the estimate is rather low than high."""


def tokens_of(request: ModelRequest) -> int:
    """About how many tokens its prompt and its answer take; an answer without a bound counts as none."""
    characters = sum(len(message.content) for message in request.messages)
    return characters // characters_per_token + (request.max_tokens or 0)


class PooledEndpoint:
    """Implements `model.endpoint.Endpoint`: each request goes to whichever member of the pool is well.

    `endpoints` answers for each member of the pool and of its fallback; they are closed with it. A completion tells
    whether the fallback gave it (`Completion.degraded`).
    """

    def __init__(self, pool: Pool, endpoints: Mapping[Member, Endpoint]) -> None:
        self.pool = pool
        self._endpoints = dict(endpoints)

    @property
    def name(self) -> str:
        return self.pool.name

    async def complete(self, request: ModelRequest) -> Completion:
        """One whole answer within ``request.timeout_s``; see `Pool.call` for what it raises."""

        async def send(attempt: Attempt) -> Completion:
            left_s = attempt.deadline - self.pool.clock.monotonic()
            note_use(f"{self.pool.name}.{attempt.member.name}")
            endpoint = self._endpoints[attempt.member]
            completion = await endpoint.complete(msgspec.structs.replace(request, timeout_s=left_s))
            attempt.usage(completion.usage.input_tokens, completion.usage.output_tokens)
            return completion

        needs = frozenset(("schema",)) if request.schema is not None else frozenset[str]()
        ask = Ask(request.timeout_s, affinity=request.affinity, tokens=tokens_of(request), needs=needs)
        served = await self.pool.call(send, ask)
        return msgspec.structs.replace(served.value, degraded=True) if served.degraded else served.value

    async def close(self) -> None:
        """Close the pool and every endpoint behind it."""
        await self.pool.close()
        for endpoint in self._endpoints.values():
            await endpoint.close()
