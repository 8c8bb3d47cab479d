"""Engines for tests: a table and a bucket of their own on a server that stands in for AWS."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from pathlib import Path
from typing import Any

import msgspec

from outlast.adapters.aws.engine import AwsEngine
from outlast.adapters.aws.option import AwsOptions
from outlast.adapters.aws.prepare import Preparation
from outlast.adapters.host.clock import SystemClock
from outlast.adapters.host.randomness import OsRandomness
from outlast.kernel.point import NoPoints


def options(name: str, endpoint_url: str, **changes: Any) -> AwsOptions:
    name = name.lower().replace("_", "0")
    made = AwsOptions(f"outlast-{name}", f"outlast-{name}", "eu-central-1", endpoint_url)
    return msgspec.structs.replace(made, **changes)


UNGUARDED = Preparation(deletion_protection=False)
TABLE_ONLY = Preparation(deletion_protection=False, bucket=False)


@asynccontextmanager
async def engine(options: AwsOptions, **more: Any) -> AsyncIterator[AwsEngine]:
    more.setdefault("preparation", UNGUARDED)
    async with AwsEngine.open(options, SystemClock(), OsRandomness(), NoPoints(), **more) as opened:
        yield opened


def table_at(address: str, directory: Path) -> AbstractAsyncContextManager[AwsEngine]:
    """An engine whose bucket is not there: a client of S3 takes longer to make than many tests take."""
    return engine(options(directory.name, address), preparation=TABLE_ONLY)
