"""What counted units cost, by a dated price file (`price.json`), beside what others charge for a step."""

from __future__ import annotations

from functools import cache
from importlib import resources

import msgspec

from outlast.adapters.aws.usage import Usage
from outlast.kernel.error import UsageError


class RegionPrice(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """On-demand request units of DynamoDB's standard table class, in US dollars a million. Replicated ones cost the
    same.
    """

    write_units_usd_per_million: float
    read_units_usd_per_million: float


class PriceList(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """Prices as they were at `as_of`; `sources` says where they stood. Check them before you rely on them."""

    as_of: str
    sources: dict[str, str]
    regions: dict[str, RegionPrice]
    step_functions_usd_per_million_transitions: float
    lambda_durable_functions_usd_per_million_operations: float


class StepCost(msgspec.Struct, frozen=True):
    """What a million steps cost in write units, replicas included, and what others charge for as many."""

    usd_per_million_steps: float
    writes_per_step: float
    write_units_per_step: float
    """Of the table in one region."""
    index_units_per_step: float
    """Of its indexes in one region."""
    replicas: int
    step_functions_usd: float
    lambda_durable_functions_usd: float
    as_of: str


@cache
def prices() -> PriceList:
    """The price file that came with this package."""
    written = resources.files("outlast.adapters.aws").joinpath("price.json").read_bytes()
    return msgspec.json.decode(written, type=PriceList)


def step_cost(usage: Usage, steps: int, region: str, replicas: int = 0) -> StepCost:
    """What `usage` comes to for a million steps, if it was made by `steps` steps. `replicas`: other regions that hold
    the table; each pays every write again. Reads, storage and transfer are not in it. Raises UsageError.
    """
    found = prices()
    price = found.regions.get(region)
    if price is None or steps < 1:
        raise UsageError(f"no price for {steps} steps in {region}: known are {', '.join(sorted(found.regions))}")
    units = usage.all_write_units / steps * (1 + replicas)
    return StepCost(
        units * price.write_units_usd_per_million,
        usage.writes / steps,
        usage.write_units / steps,
        usage.index_units / steps,
        replicas,
        found.step_functions_usd_per_million_transitions,
        found.lambda_durable_functions_usd_per_million_operations,
        found.as_of,
    )
