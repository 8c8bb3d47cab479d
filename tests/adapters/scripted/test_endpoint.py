"""The scripted endpoint: by rules, and from a list."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import pytest

from outlast.adapters.host.clock import SystemClock
from outlast.adapters.scripted.endpoint import Scripted
from outlast.model.endpoint import (
    Completion,
    Endpoint,
    EndpointOverloaded,
    EndpointRefused,
    EndpointUnavailable,
    Message,
    ModelRequest,
)
from outlast.model.output import output_schema
from tests.contracts.endpoint import EndpointContract, Kind, Ticket, asking


class TestScriptedEndpoint(EndpointContract):
    @asynccontextmanager
    async def opened(self) -> AsyncIterator[Endpoint]:
        yield Scripted()


async def test_the_same_request_gives_the_same_answer_in_every_instance() -> None:
    request = asking("Where is my parcel?", schema=output_schema(Ticket))
    assert await Scripted().complete(request) == await Scripted().complete(request)


async def test_a_text_says_that_it_is_scripted_and_repeats_what_was_asked() -> None:
    completion = await Scripted().complete(asking("Where is my parcel?"))
    assert "scripted" in completion.text
    assert "Where is my parcel?" in completion.text
    assert completion.model == "scripted"


async def test_max_tokens_cuts_a_text_off_and_says_so() -> None:
    completion = await Scripted().complete(asking("hello", max_tokens=3))
    assert completion.finish == "length"
    assert len(completion.text.split()) == 3


async def test_a_list_gives_texts_values_completions_and_errors_in_order() -> None:
    whole = Completion("hello", "other")
    scripted = Scripted(["first", Ticket(Kind.REFUND, True), whole, EndpointOverloaded("busy", 2.0)])
    assert (await scripted.complete(asking("a"))).text == "first"
    assert (await scripted.complete(asking("b"))).text == '{"kind":"refund","urgent":true}'
    assert await scripted.complete(asking("c")) is whole
    with pytest.raises(EndpointOverloaded) as caught:
        await scripted.complete(asking("d"))
    assert caught.value.retry_after_s == 2.0
    with pytest.raises(EndpointRefused, match="given 4 answers, this is request 5"):
        await scripted.complete(asking("e"))
    assert [request.messages[0] for request in scripted.requests] == [Message("user", text) for text in "abcd"]


async def test_a_delay_longer_than_the_time_out_is_a_time_out() -> None:
    scripted = Scripted(clock=SystemClock(), delay_s=30.0)
    with pytest.raises(EndpointUnavailable, match=r"within 0\.01 s"):
        await scripted.complete(ModelRequest([Message("user", "hi")], 0.01))
