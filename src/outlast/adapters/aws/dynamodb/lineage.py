"""The lineage that a region writes, as its table knows it."""

from __future__ import annotations

from outlast.adapters.aws.dynamodb import layout
from outlast.adapters.aws.dynamodb.table import Table
from outlast.journal.lineage import Lineage
from outlast.kernel.error import StoreCorrupt, UsageError
from outlast.kernel.randomness import Randomness


async def lineage_of(table: Table, region: str, randomness: Randomness) -> Lineage:
    """The lineage of this region; the first who asks makes it, as generation 0. Raises StoreUnavailable, StoreCorrupt.

    Each region has an item of its own, so that two that both believe they are first never overwrite one another where
    the table is replicated.
    """
    at = layout.key("meta", f"lineage/{region}")
    found = await table.get(at)
    if found is None:
        made = Lineage(0, region, randomness.token(6).hex())
        await table.put_new({**at, "lineage": {"S": str(made)}, "format": {"N": "1"}}, again=True)
        found = await table.get(at)
    try:
        if found is None:
            raise UsageError("nothing is there after it was written")
        return Lineage.parse(found["lineage"]["S"])
    except (UsageError, KeyError, TypeError) as error:
        raise StoreCorrupt(f"table {table.name}: the lineage of region {region} cannot be read: {error}") from None
