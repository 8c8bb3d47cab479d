"""The prices that an estimate needs, from the files of the layers that own them."""

from __future__ import annotations

from outlast.adapters.aws.price import prices
from outlast.assessment.price import Price, PriceBook
from outlast.model.price import price_of, table


def price_book(region: str | None = None) -> PriceBook:
    """Machines and services, DynamoDB's request units, model tokens. `region`: its prices stand for all regions'.

    What the adapter's file holds counts as not checked here: it names pages, and no record to compare with.
    """
    found = prices()
    page, transitions = found.sources["dynamodb"], found.step_functions_usd_per_million_transitions
    more = [
        Price("step_functions_transition", "us-east-1", transitions, "1M requests", found.sources["step_functions"])
    ]
    for name, known in found.regions.items():
        for item, usd in (
            ("dynamodb_write", known.write_units_usd_per_million),
            ("dynamodb_read", known.read_units_usd_per_million),
        ):
            more.append(Price(item, name, usd, "1M request units", page))
    return PriceBook(tuple(more), price_of, region, table().as_of)
