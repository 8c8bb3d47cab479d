"""What tokens cost, by a dated table of list prices (`prices.json` beside this module)."""

from __future__ import annotations

import functools
import importlib.resources
import re

import msgspec

from outlast.model.endpoint import Usage


class Price(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """US dollars for `Table.per_tokens` tokens."""

    input: float
    output: float


class Table(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """The list prices as they were on the day `as_of` (ISO 8601)."""

    as_of: str
    currency: str
    per_tokens: int
    note: str
    sources: tuple[str, ...]
    models: dict[str, Price]


_DATED = re.compile(r"-(\d{8}|\d{4}-\d{2}-\d{2})\Z")


@functools.cache
def table() -> Table:
    """The table, read once."""
    raw = importlib.resources.files("outlast.model").joinpath("prices.json").read_bytes()
    return msgspec.json.decode(raw, type=Table)


def price(model: str, usage: Usage) -> float | None:
    """The cost of an answer in US dollars; 0 for models that run here, None for a model that is not in the table."""
    return price_of(model, usage.input_tokens, usage.output_tokens)


def price_of(model: str, input_tokens: int, output_tokens: int) -> float | None:
    """What so many tokens cost in US dollars, as `price`."""
    prices = table()
    name = model.lower()
    found = prices.models.get(name) or prices.models.get(_DATED.sub("", name))
    if found is None:
        return None
    return (input_tokens * found.input + output_tokens * found.output) / prices.per_tokens
