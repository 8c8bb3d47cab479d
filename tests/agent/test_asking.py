"""How a model step asks: what the endpoint is sent, and the one repair."""

from __future__ import annotations

import dataclasses
from typing import Any

import pytest

from outlast.agent.asking import ask_model
from outlast.agent.context import Context
from outlast.kernel.error import ConfigurationError
from outlast.model.endpoint import Completion, Message, ModelRequest
from outlast.model.output import OutputInvalid

CONTEXT: Context[Any] = Context(None, "run_1", "run_1:1", 1, 1000.0, 7.5)


@dataclasses.dataclass
class Ticket:
    label: str
    urgent: bool


class Says:
    """An endpoint that gives these texts one after another, and keeps what it was asked."""

    name = "says"

    def __init__(self, *texts: str) -> None:
        self.texts = list(texts)
        self.asked: list[ModelRequest] = []

    async def complete(self, request: ModelRequest) -> Completion:
        self.asked.append(request)
        return Completion(self.texts.pop(0), "m")

    async def close(self) -> None: ...


def asking(endpoint: Says, kind: Any = str, **options: Any) -> Any:
    said = {"prompt": "hello", "system": None, "max_tokens": None, "temperature": None, **options}
    return ask_model({"writer": endpoint}, "writer", kind=kind, **said)


async def test_an_answer_that_fits_is_asked_for_once_under_the_steps_key_and_in_its_time() -> None:
    endpoint = Says("hi")
    answer = await asking(endpoint, system="be kind", max_tokens=5, temperature=0.5)(CONTEXT, prompt="for the digest")
    assert answer.value == "hi"
    (request,) = endpoint.asked
    assert request.messages == [Message("system", "be kind"), Message("user", "hello")]
    assert (request.key, request.timeout_s, request.max_tokens, request.temperature) == ("run_1:1", 7.5, 5, 0.5)
    assert request.schema is None


async def test_one_that_does_not_fit_is_asked_for_once_more_with_what_was_wrong() -> None:
    endpoint = Says('{"label": "refund"}', '{"label": "refund", "urgent": true}')
    answer = await asking(endpoint, Ticket)(CONTEXT)
    assert answer.value == Ticket("refund", True)
    first, second = endpoint.asked
    assert first.schema == second.schema
    assert first.schema is not None
    assert first.affinity == second.affinity == "run_1"
    assert second.key == "run_1:1:repair", "another question, so another key"
    assert [message.role for message in second.messages][:2] == ["user", "assistant"]
    assert second.messages[1].content == '{"label": "refund"}'
    assert "urgent" in second.messages[-1].content


async def test_the_second_answer_that_does_not_fit_is_the_error() -> None:
    endpoint = Says("no json", "still none", '{"label": "late", "urgent": false}')
    with pytest.raises(OutputInvalid):
        await asking(endpoint, Ticket)(CONTEXT)
    assert len(endpoint.asked) == 2


def test_a_model_that_is_not_there_is_named_with_those_that_are() -> None:
    with pytest.raises(ConfigurationError, match=r"model 'reader' is not configured: .* \(there: writer\)"):
        ask_model({"writer": Says()}, "reader", "hello", str, None, None, None)
    with pytest.raises(ConfigurationError, match=r"\(there: none\)"):
        ask_model({}, "reader", "hello", str, None, None, None)
