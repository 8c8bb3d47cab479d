"""What tokens cost, by the table that ships."""

from __future__ import annotations

import datetime as dt

import pytest

from outlast.model.endpoint import Usage
from outlast.model.price import price, table


def test_a_million_tokens_of_each_kind_cost_what_the_table_says() -> None:
    for name, row in table().models.items():
        assert price(name, Usage(1_000_000, 0)) == pytest.approx(row.input), name
        assert price(name, Usage(0, 1_000_000)) == pytest.approx(row.output), name


def test_a_dated_release_costs_what_its_model_costs() -> None:
    used = Usage(1000, 500)
    assert price("gpt-5-2025-08-07", used) == price("gpt-5", used)
    assert price("claude-sonnet-4-5-20250929", used) == price("claude-sonnet-4-5", used)


def test_an_unknown_model_has_no_price_rather_than_none_to_pay() -> None:
    assert price("somebody-elses-model", Usage(1, 1)) is None
    assert price("scripted", Usage(1, 1)) == 0.0


def test_the_table_says_when_and_where_it_was_read() -> None:
    found = table()
    assert dt.date.fromisoformat(found.as_of).year >= 2026
    assert all(source.startswith("https://") for source in found.sources)
    assert all(row.output >= row.input >= 0 for row in found.models.values())
