"""Everything that a cell keeps on AWS: the journal and signs of life in one table, blobs in one bucket."""

from __future__ import annotations

from collections.abc import AsyncGenerator, Awaitable, Callable, Mapping
from contextlib import asynccontextmanager
from functools import partial

from outlast.adapters.aws.call import Calls
from outlast.adapters.aws.client import Client, Place
from outlast.adapters.aws.dynamodb.hint import HintBounds
from outlast.adapters.aws.dynamodb.journal import DynamoJournal
from outlast.adapters.aws.dynamodb.lineage import lineage_of
from outlast.adapters.aws.dynamodb.presence import DynamoPresence
from outlast.adapters.aws.dynamodb.retention import Retention
from outlast.adapters.aws.dynamodb.table import Table
from outlast.adapters.aws.option import AwsOptions
from outlast.adapters.aws.prepare import Preparation, prepare_with
from outlast.adapters.aws.s3.archive import Archive
from outlast.adapters.aws.s3.blob import S3Blobs
from outlast.adapters.aws.s3.collect import Collected, collect, min_age_s
from outlast.adapters.aws.usage import Usage
from outlast.journal.anchor import Witness, unseen
from outlast.journal.lineage import Lineage
from outlast.journal.reach import named_in
from outlast.journal.stream import EventStore
from outlast.kernel.clock import Clock
from outlast.kernel.point import Points
from outlast.kernel.randomness import Randomness

Collecting = Callable[..., Awaitable[Collected]]


def retention_of(options: AwsOptions, table: Table, lineage: Lineage, clock: Clock) -> Retention | None:
    """The retention that the options ask for."""
    if options.retention_days is None:
        return None
    return Retention(table, lineage, clock, options.retention_days, by_table=options.table_expires)


class AwsEngine:
    """The stores of one cell, open. `usage` counts what they ask of AWS.

    For whoever keeps house (a role of its own, `permission.py`): `archive`, `retention` (None without a number of days)
    and `collect`. Nothing of that runs by itself; `housekeeping.py` runs it.
    """

    def __init__(
        self, journal: DynamoJournal, blobs: S3Blobs, presence: DynamoPresence, usage: Usage,
        retention: Retention | None, archive: Archive, collecting: Collecting, table: Table,
        calls: Mapping[str, Calls],
    ) -> None:  # fmt: skip
        self.table = table
        self.calls = calls
        """Those of the services, by their names: ``dynamodb`` and ``s3``."""
        self.journal = journal
        self.blobs = blobs
        self.presence = presence
        self.usage = usage
        self.retention = retention
        self.archive = archive
        self._collecting = collecting

    async def collect(
        self, *, older_than_s: float = min_age_s, dry_run: bool = True, store: EventStore | None = None
    ) -> Collected:
        """Remove blobs that no stream names, archived ones included, and that are older than this; a dry run only
        counts. It reads all streams. The blob of a large snapshot goes too if it is as old as that: its state is folded
        again. `store` reads the streams, if they are sealed.

        Raises UsageError for an age that is not safe, StoreSealed for streams that are sealed without `store`,
        StoreError.
        """
        named = await named_in(store or self.journal) | await self.archive.named()
        return await self._collecting(named, older_than_s=older_than_s, dry_run=dry_run)

    @classmethod
    @asynccontextmanager
    async def open(
        cls, options: AwsOptions, clock: Clock, randomness: Randomness, points: Points, *,
        preparation: Preparation | None = None, hints: HintBounds | None = None,
        witness: Witness = unseen,
    ) -> AsyncGenerator[AwsEngine]:  # fmt: skip
        """The stores of `options`, which must be there, or are made with `preparation` (`prepare.py`). Credentials come
        from the standard chain.

        Raises ConfigurationError without the extra ``aws``, StoreUnavailable with what to do.
        """
        usage = Usage()
        place = Place(options.region, options.endpoint_url)
        clients = {
            service: Client(service, place, options.read_timeout_s, options.connections_max)
            for service in ("dynamodb", "s3")
        }
        calls = {
            service: Calls(service, client, f"{service} in {options.region}", usage, clock, randomness)
            for service, client in clients.items()
        }
        try:
            if preparation is not None:
                await prepare_with(clients, options, clock, randomness, preparation)
            table = Table(options.table, calls["dynamodb"], clock)
            lineage = await lineage_of(table, options.region, randomness, options.first)
            blobs = S3Blobs(options.bucket, calls["s3"], points)
            journal = DynamoJournal(table, lineage, blobs, clock, points, hints, witness)
            try:
                yield cls(
                    journal, blobs, DynamoPresence(table, lineage), usage,
                    retention_of(options, table, lineage, clock),
                    Archive(options.bucket, calls["s3"]),
                    partial(collect, options.bucket, calls["s3"], clock), table, calls,
                )  # fmt: skip
            finally:
                await journal.close()
        finally:
            for client in clients.values():
                await client.closed()
