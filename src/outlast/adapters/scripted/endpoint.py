"""The scripted model as an endpoint in this process: for machines without a model, and for tests."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from outlast.adapters.scripted.answer import answer, model_name
from outlast.kernel.clock import Clock
from outlast.kernel.codec import encode
from outlast.model.endpoint import Completion, EndpointError, EndpointRefused, EndpointUnavailable, ModelRequest, Usage


class Scripted:
    """Answers without a model: ``Scripted()`` by rules from the request, ``Scripted([...])`` from a list, in order.

    A list may hold texts, values (given as JSON), whole `Completion`s, and `EndpointError`s, which are raised. When it
    is used up, requests are refused. `requests` keeps what was asked in list mode. With a `clock`, every answer takes
    `delay_s` seconds.
    """

    def __init__(
        self,
        answers: Sequence[Any] | None = None,
        *,
        name: str = model_name,
        clock: Clock | None = None,
        delay_s: float = 0.0,
    ) -> None:
        self._name = name
        self._answers = None if answers is None else list(answers)
        self._clock = clock
        self._delay_s = delay_s
        self.requests: list[ModelRequest] = []

    @property
    def name(self) -> str:
        return self._name

    async def complete(self, request: ModelRequest) -> Completion:
        """The next answer of the list, or one derived from the request."""
        if self._answers is not None:
            self.requests.append(request)  # bounded by the list: what goes beyond it is refused
        if self._clock is not None and self._delay_s > 0:
            await self._clock.sleep(min(self._delay_s, max(request.timeout_s, 0.0)))
        if request.timeout_s <= 0 or self._delay_s > request.timeout_s:
            raise EndpointUnavailable(f"the scripted model did not answer within {request.timeout_s:g} s")
        if self._answers is None:
            return answer(request.messages, request.schema, request.max_tokens)
        given = len(self.requests)
        if given > len(self._answers):
            self.requests.pop()
            raise EndpointRefused(f"the scripted model was given {len(self._answers)} answers, this is request {given}")
        return _completion(self._answers[given - 1])

    async def close(self) -> None:
        """Nothing is open."""


def _completion(given: Any) -> Completion:
    if isinstance(given, EndpointError):
        raise given
    if isinstance(given, Completion):
        return given
    text = given if isinstance(given, str) else encode(given, "scripted answer").decode()
    return Completion(text, model_name, Usage(0, len(text.split())))
