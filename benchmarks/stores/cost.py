"""What a million steps cost on AWS: counted write units times the dated price file, beside what others charge."""

from __future__ import annotations

from typing import Any

from benchmarks.stores.engine import region
from benchmarks.stores.subject import Store

steps_of_a_run = 100
"""A million steps are ten thousand runs of so many."""


def cost(store: Store) -> dict[str, Any]:
    """In US dollars: write units of table and indexes, for steps and for what runs cost besides; reads and storage are
    not in it. With `replicas` other regions each write unit is paid again in each.
    """
    from outlast.adapters.aws.price import prices

    found = prices()
    price = found.regions[region].write_units_usd_per_million
    units = store.per_step("units") + store.per_run("units") / steps_of_a_run
    return {
        "region": region,
        "as_of": found.as_of,
        "steps_of_a_run": steps_of_a_run,
        "write_units_per_step": round(store.per_step("units"), 3),
        "write_units_per_run": round(store.per_run("units"), 1),
        "usd_per_million_steps": round(units * price, 2),
        "usd_per_million_steps_with_a_replica": round(2 * units * price, 2),
        "step_functions_usd": found.step_functions_usd_per_million_transitions,
        "lambda_durable_functions_usd": found.lambda_durable_functions_usd_per_million_operations,
    }
