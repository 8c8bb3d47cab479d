"""Opens the place where backups lie: a directory, or ``s3://bucket/prefix``."""

from __future__ import annotations

import os
from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager
from pathlib import Path
from urllib.parse import parse_qs, urlsplit

from outlast.adapters.directory.depot import DirectoryDepot
from outlast.adapters.host.clock import SystemClock
from outlast.adapters.host.randomness import OsRandomness
from outlast.kernel.error import ConfigurationError, UsageError
from outlast.kernel.identity import is_bucket
from outlast.recover.depot import Depot

_known = {"region", "endpoint_url"}


@asynccontextmanager
async def open_depot(place: str, home: Path) -> AsyncGenerator[Depot]:
    """`place` is a directory, relative to `home`, or ``s3://bucket/prefix``, where ``?region=…&endpoint_url=…`` may
    follow. Raises UsageError, ConfigurationError.
    """
    if "://" not in place:
        if not place:
            raise UsageError("no place for backups is named: give a directory or s3://bucket/prefix")
        yield DirectoryDepot(_directory(home, place), OsRandomness())
        return
    found = urlsplit(place)
    options = parse_qs(found.query, keep_blank_values=True)
    if found.scheme != "s3" or not is_bucket(found.netloc) or options.keys() - _known:
        raise UsageError(
            f"place {place[:120]!r} is not understood: write a directory, or s3://bucket/prefix, with ?region= and "
            "&endpoint_url= where they are needed"
        )
    from outlast.adapters.aws.client import Place
    from outlast.adapters.aws.s3.depot import S3Depot

    region = options.get("region", [""])[0] or os.environ.get("AWS_REGION") or os.environ.get("AWS_DEFAULT_REGION")
    if not region:
        raise ConfigurationError(f"{place[:120]} has no region, and AWS_REGION is not set: write ?region=…")
    where = Place(region, options.get("endpoint_url", [""])[0] or None)
    depot = S3Depot(found.netloc, found.path.strip("/"), where, SystemClock(), OsRandomness())
    try:
        yield depot
    finally:
        await depot.close()


def _directory(home: Path, place: str) -> Path:
    try:
        return home / Path(place).expanduser()
    except RuntimeError as error:  # nobody knows that home directory
        raise UsageError(f"place {place[:120]!r} is not understood: {error}") from None
