"""What `run.model` returns: the value and what it took to get it."""

from __future__ import annotations

from typing import Any, Generic, TypeVar

import msgspec

from outlast.model.endpoint import Completion, Usage
from outlast.model.output import OutputInvalid, parse_output
from outlast.model.price import price

T = TypeVar("T")


class Answer(msgspec.Struct, Generic[T], frozen=True):
    """A model's answer. `value` has the type that was asked for, `text` is what the model wrote."""

    value: T
    usage: Usage = Usage()
    cost: float = 0.0
    """US dollars by the table of `model/price.py`; 0 for local models and for unknown ones (see `priced`)."""
    degraded: bool = False
    """Whether another model than the one asked for answered."""
    model: str = ""
    """What the endpoint says answered."""
    text: str = ""
    priced: bool = True
    """False if the model is not in the table of prices: `cost` is then 0 and means nothing."""


def to_answer(completion: Completion, kind: type[T] | Any = str, *, degraded: bool = False) -> Answer[T]:
    """A completion as an answer of type `kind`. Raises OutputInvalid if it does not fit."""
    try:
        value: T = parse_output(completion.text, kind)
    except OutputInvalid as error:
        if completion.finish != "length":
            raise
        cut = f"it was cut off at {completion.usage.output_tokens} tokens: raise max_tokens"
        raise OutputInvalid(f"{error}; {cut}") from None
    cost = price(completion.model, completion.usage)
    return Answer(
        value=value,
        usage=completion.usage,
        cost=cost or 0.0,
        degraded=degraded or completion.degraded,
        model=completion.model,
        text=completion.text,
        priced=cost is not None,
    )
