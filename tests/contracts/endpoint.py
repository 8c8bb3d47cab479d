"""What every model Endpoint does. Wording is nobody's promise: only shape, types, time-outs and errors are asserted."""

from __future__ import annotations

import abc
import asyncio
import enum
from collections.abc import AsyncIterator
from contextlib import AbstractAsyncContextManager

import msgspec
import pytest

from outlast.model.answer import to_answer
from outlast.model.endpoint import Endpoint, EndpointError, Message, ModelRequest
from outlast.model.output import output_schema


class Kind(enum.Enum):
    REFUND = "refund"
    DELIVERY = "delivery"


class Ticket(msgspec.Struct):
    kind: Kind
    urgent: bool


def asking(text: str, timeout_s: float = 60.0, **more: object) -> ModelRequest:
    return ModelRequest([Message("user", text)], timeout_s, **more)  # type: ignore[arg-type]


class EndpointContract(abc.ABC):
    @abc.abstractmethod
    def opened(self) -> AbstractAsyncContextManager[Endpoint]:
        """An endpoint that answers; closed by the test."""

    @pytest.fixture
    async def endpoint(self) -> AsyncIterator[Endpoint]:
        async with self.opened() as endpoint:
            yield endpoint
            await endpoint.close()

    async def test_a_question_gets_text_a_model_name_and_usage(self, endpoint: Endpoint) -> None:
        completion = await endpoint.complete(asking("Say hello.", max_tokens=16))
        assert completion.text
        assert completion.model
        assert completion.usage.input_tokens > 0
        assert 0 < completion.usage.output_tokens <= 16
        assert completion.finish in ("stop", "length")

    async def test_a_schema_gets_an_answer_that_fits_its_type(self, endpoint: Endpoint) -> None:
        request = asking("I want a refund now!", schema=output_schema(Ticket), max_tokens=200, temperature=0.0)
        answer = to_answer(await endpoint.complete(request), Ticket)
        assert isinstance(answer.value, Ticket)
        assert answer.cost == 0.0
        assert answer.priced

    async def test_a_system_message_and_a_conversation_are_taken(self, endpoint: Endpoint) -> None:
        messages = [
            Message("system", "You are brief."),
            Message("user", "My order is 17."),
            Message("assistant", "Thanks."),
            Message("user", "Which order was it?"),
        ]
        assert (await endpoint.complete(ModelRequest(messages, 60.0, max_tokens=8, key="run_1/0"))).text

    async def test_many_questions_at_once_are_all_answered(self, endpoint: Endpoint) -> None:
        asked = [endpoint.complete(asking(f"Count to {number}.", max_tokens=4)) for number in range(8)]
        assert all(completion.text for completion in await asyncio.gather(*asked))

    async def test_without_time_left_nothing_is_asked(self, endpoint: Endpoint) -> None:
        with pytest.raises(EndpointError) as caught:
            await endpoint.complete(asking("hello", timeout_s=0.0))
        assert caught.value.retryable

    async def test_close_may_be_called_twice(self, endpoint: Endpoint) -> None:
        await endpoint.close()
        await endpoint.close()
