"""Engines for tests: a table and a bucket of their own on a server that stands in for AWS."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

import msgspec

from outlast.adapters.aws.engine import AwsEngine
from outlast.adapters.aws.option import AwsOptions
from outlast.adapters.aws.prepare import Protection
from outlast.adapters.host.clock import SystemClock
from outlast.adapters.host.randomness import OsRandomness
from outlast.kernel.point import NoPoints

called: set[str] = set()
"""Every operation that an engine of this session has called."""


def options(name: str, endpoint_url: str, **changes: Any) -> AwsOptions:
    name = name.lower().replace("_", "0")
    made = AwsOptions(f"outlast-{name}", f"outlast-{name}", "eu-central-1", endpoint_url)
    return msgspec.structs.replace(made, **changes)


UNPROTECTED = Protection(deletion_protection=False)


@asynccontextmanager
async def engine(options: AwsOptions, **more: Any) -> AsyncIterator[AwsEngine]:
    more.setdefault("protection", UNPROTECTED)
    async with AwsEngine.open(options, SystemClock(), OsRandomness(), NoPoints(), **more) as opened:
        try:
            yield opened
        finally:
            called.update(opened.usage.calls)
