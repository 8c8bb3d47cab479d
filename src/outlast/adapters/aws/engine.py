"""Everything that a cell keeps on AWS: the journal and signs of life in one table, blobs in one bucket."""

from __future__ import annotations

from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager

from outlast.adapters.aws.call import Calls
from outlast.adapters.aws.client import Client, Place
from outlast.adapters.aws.dynamodb.hint import HintBounds
from outlast.adapters.aws.dynamodb.journal import DynamoJournal
from outlast.adapters.aws.dynamodb.lineage import lineage_of
from outlast.adapters.aws.dynamodb.presence import DynamoPresence
from outlast.adapters.aws.dynamodb.table import Table
from outlast.adapters.aws.option import AwsOptions
from outlast.adapters.aws.prepare import Protection, prepare_with
from outlast.adapters.aws.s3.blob import S3Blobs
from outlast.adapters.aws.usage import Usage
from outlast.kernel.clock import Clock
from outlast.kernel.point import Points
from outlast.kernel.randomness import Randomness


class AwsEngine:
    """The stores of one cell, open. `usage` counts what they ask of AWS."""

    def __init__(self, journal: DynamoJournal, blobs: S3Blobs, presence: DynamoPresence, usage: Usage) -> None:
        self.journal = journal
        self.blobs = blobs
        self.presence = presence
        self.usage = usage

    @classmethod
    @asynccontextmanager
    async def open(
        cls, options: AwsOptions, clock: Clock, randomness: Randomness, points: Points, *,
        protection: Protection | None = None, hints: HintBounds | None = None,
    ) -> AsyncGenerator[AwsEngine]:  # fmt: skip
        """The stores of `options`, which must be there, or are made with this `protection` (`prepare.py`). Credentials:
        the standard chain.

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
            if protection is not None:
                await prepare_with(clients, options, clock, randomness, protection)
            table = Table(options.table, calls["dynamodb"], clock)
            lineage = await lineage_of(table, options.region, randomness)
            blobs = S3Blobs(options.bucket, calls["s3"], points)
            journal = DynamoJournal(table, lineage, blobs, clock, points, hints)
            try:
                yield cls(journal, blobs, DynamoPresence(table, lineage), usage)
            finally:
                await journal.close()
        finally:
            for client in clients.values():
                await client.closed()
