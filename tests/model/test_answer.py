"""Answers and prices."""

from __future__ import annotations

import msgspec
import pytest

from outlast.kernel.codec import decode, encode
from outlast.model.answer import Answer, to_answer
from outlast.model.endpoint import Completion, Usage
from outlast.model.output import OutputInvalid
from outlast.model.price import price, table


class Ticket(msgspec.Struct):
    order: int


def test_an_answer_holds_the_value_what_it_cost_and_who_answered() -> None:
    answer = to_answer(Completion('{"order": 7}', "gpt-4o-mini-2024-07-18", Usage(1_000_000, 1_000_000)), Ticket)
    assert answer == Answer(
        Ticket(7), Usage(1_000_000, 1_000_000), 0.75, False, "gpt-4o-mini-2024-07-18", '{"order": 7}', True
    )


def test_a_model_without_a_price_costs_nothing_and_says_so() -> None:
    answer = to_answer(Completion("hi", "someone/else", Usage(5, 5)))
    assert (answer.cost, answer.priced, answer.value) == (0.0, False, "hi")


def test_an_answer_that_was_cut_off_says_so_when_it_cannot_be_read() -> None:
    with pytest.raises(OutputInvalid, match="cut off at 3 tokens: raise max_tokens"):
        to_answer(Completion('{"order', "m", Usage(1, 3), "length"), Ticket)


def test_an_answer_goes_through_the_codec_with_its_type() -> None:
    answer = to_answer(Completion('{"order": 7}', "scripted"), Ticket, degraded=True)
    again: Answer[Ticket] = decode(encode(answer), Answer[Ticket])
    assert again == answer
    assert isinstance(again.value, Ticket)


@pytest.mark.parametrize("model", ["smollm2-135m-instruct", "scripted"])
def test_local_models_cost_nothing_and_that_is_known(model: str) -> None:
    assert price(model, Usage(1000, 1000)) == 0.0


def test_dated_releases_have_the_price_of_their_name_and_others_none() -> None:
    assert price("claude-haiku-4-5-20251001", Usage(1_000_000, 0)) == 1.0
    assert price("GPT-4o", Usage(0, 1_000_000)) == 10.0
    assert price("gpt-4o-audio", Usage(1, 1)) is None
    assert price("", Usage(1, 1)) is None


def test_the_table_is_dated_and_sane() -> None:
    assert len(table().as_of.split("-")) == 3
    assert all(0 <= entry.input <= entry.output < 1000 for entry in table().models.values())
