"""The lineage that a region writes, as its table knows it."""

from __future__ import annotations

from outlast.adapters.aws.dynamodb import layout
from outlast.adapters.aws.dynamodb.table import Table
from outlast.journal.lineage import Lineage
from outlast.kernel.error import ConfigurationError, StoreCorrupt, UsageError
from outlast.kernel.randomness import Randomness

_format = 1


async def lineage_of(table: Table, region: str, randomness: Randomness, first: Lineage | None = None) -> Lineage:
    """The lineage of this region; the first who asks makes it, as `first` or one of its own.

    Raises StoreUnavailable, StoreCorrupt, and ConfigurationError for a table of another layout.

    Each region has an item of its own, so that two that both believe they are first never overwrite one another where
    the table is replicated.
    """
    at = layout.key("meta", f"lineage/{region}")
    found = await table.get(at)
    if found is None:
        made = first or Lineage.first(region, randomness)
        said = {"lineage": {"S": str(made)}, "format": {"N": str(_format)}, "shards": {"N": str(layout.shards)}}
        await table.put_new({**at, **said}, again=True)
        found = await table.get(at)
    try:
        if found is None:
            raise UsageError("nothing is there after it was written")
        if (int(found["format"]["N"]), int(found["shards"]["N"])) != (_format, layout.shards):
            raise ConfigurationError(
                f"table {table.name} has format {found['format']['N']} with {found['shards']['N']} shards, this "
                f"release reads format {_format} with {layout.shards}: use the release that made it, or another table"
            )
        return Lineage.parse(found["lineage"]["S"])
    except ConfigurationError:
        raise
    except (UsageError, KeyError, ValueError, TypeError) as error:
        raise StoreCorrupt(f"table {table.name}: the lineage of region {region} cannot be read: {error}") from None
