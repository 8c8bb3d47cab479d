"""Where the heads of streams on a shared engine are anchored, outside of it: on this host, and in S3 if it is asked."""

from __future__ import annotations

import asyncio
import importlib
import os
from collections.abc import AsyncGenerator, Callable, Mapping, Sequence
from contextlib import asynccontextmanager
from pathlib import Path

from outlast.adapters.host.anchor import FileAnchors
from outlast.adapters.host.clock import SystemClock
from outlast.adapters.host.randomness import OsRandomness
from outlast.blueprint.schema import Blueprint
from outlast.bootstrap.home import StateDirectory
from outlast.journal.anchor import AnchorLog, LoggedAnchors
from outlast.journal.anchoring import Anchoring
from outlast.journal.lineage import Lineage
from outlast.journal.removal import Removal
from outlast.journal.stream import Head
from outlast.kernel.error import ConfigurationError
from outlast.kernel.identity import new_id

file_every_s = 5.0
"""How often this host's file is written: so long a cut-off tail may go unnoticed."""
close_patience_s = 5.0
"""How long a process that ends may take to anchor what it acknowledged last."""


class Seen:
    """Told of acknowledged heads from the moment that a store is opened; carries them on once it is known where to."""

    def __init__(self) -> None:
        self._anchorings: list[Anchoring] = []

    def __call__(self, heads: Sequence[tuple[str, Head]]) -> None:
        """As a Witness."""
        for anchoring in self._anchorings:
            anchoring.see(heads)

    @asynccontextmanager
    async def carried(
        self, home: Path, blueprint: Blueprint, lineage: Lineage, complain: Callable[[str], None]
    ) -> AsyncGenerator[None]:
        """Anchor in the background what is seen until the block ends, and the rest then."""
        clock = SystemClock()
        async with _logs(home, blueprint, lineage) as logs:
            self._anchorings = [Anchoring(LoggedAnchors([log]), clock, every_s, complain) for log, every_s in logs]
            tasks = [asyncio.get_running_loop().create_task(one.run(), name="anchoring") for one in self._anchorings]
            try:
                yield
            finally:
                for task in tasks:
                    task.cancel()
                await asyncio.wait(tasks)
                await self._last(complain)

    async def _last(self, complain: Callable[[str], None]) -> None:
        try:
            async with asyncio.timeout(close_patience_s):
                for anchoring in self._anchorings:
                    await anchoring.flush()
        except TimeoutError:
            complain(f"heads of streams are not anchored: no answer within {close_patience_s} s")


@asynccontextmanager
async def opened_anchors(
    home: Path, blueprint: Blueprint, lineage: Lineage, removed: Mapping[str, Removal]
) -> AsyncGenerator[LoggedAnchors]:
    """Everything that is anchored of a shared journal, as far as this host can see."""
    async with _logs(home, blueprint, lineage) as logs:
        yield LoggedAnchors([log for log, _ in logs], removed)


@asynccontextmanager
async def _logs(home: Path, blueprint: Blueprint, lineage: Lineage) -> AsyncGenerator[list[tuple[AnchorLog, float]]]:
    """Each log, and how often it is written. Nothing is made or asked before it is used."""
    clock, randomness = SystemClock(), OsRandomness()
    writer = new_id("anchor", clock, randomness)
    directory = StateDirectory(home).anchors / str(lineage)
    logs: list[tuple[AnchorLog, float]] = [(FileAnchors(directory, clock, writer), file_every_s)]
    said = blueprint.stores.journal.anchors
    if said is None:
        yield logs
        return
    await asyncio.to_thread(_import_sdk)  # takes half a second: not in the loop, and not with the first segment
    from outlast.adapters.aws.call import Calls
    from outlast.adapters.aws.client import Client, Place
    from outlast.adapters.aws.s3.anchor import S3Anchors
    from outlast.adapters.aws.usage import Usage

    beside = blueprint.stores.journal.dynamodb
    region = said.region or (beside.region if beside else None)
    region = region or os.environ.get("AWS_REGION") or os.environ.get("AWS_DEFAULT_REGION")
    address = said.endpoint_url or (beside.endpoint_url if beside else None)
    client = Client("s3", Place(region, address), _read_timeout_s)
    try:
        calls = Calls("s3", client, f"s3 bucket {said.s3}", Usage(), clock, randomness)
        log = S3Anchors(said.s3, calls, clock, lineage, writer, prefix=said.prefix, lock_s=said.lock)
        yield [*logs, (log, said.every)]
    finally:
        await client.closed()


_read_timeout_s = 5.0


def _import_sdk() -> None:
    """Raises ConfigurationError without the extra ``aws``."""
    try:
        importlib.import_module("aiobotocore.session")
    except ImportError:
        raise ConfigurationError("anchors in S3 need the extra: pip install 'outlast[aws]'") from None
