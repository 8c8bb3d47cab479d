"""Which table and bucket, and where."""

from __future__ import annotations

import re

import msgspec

from outlast.journal.lineage import Lineage
from outlast.kernel.error import ConfigurationError
from outlast.kernel.identity import is_bucket

_TABLE = re.compile(r"[A-Za-z0-9_.-]{3,255}\Z")
_REGION = re.compile(r"[a-z0-9-]{1,32}\Z")


class AwsOptions(msgspec.Struct, frozen=True):
    """Where an engine keeps what it stores. Raises ConfigurationError for names that AWS does not take."""

    table: str
    bucket: str
    region: str
    """Of AWS; also the region in the lineage that a new table is given."""
    endpoint_url: str | None = None
    """One address for all services, for emulators; None: AWS's own."""
    read_timeout_s: float = 5.0
    """How long one call may take before its outcome is unknown."""
    connections_max: int = 64
    """Calls under way at once, for each service; more wait for their turn."""
    retention_days: float | None = None
    """How long runs are kept once they have ended; None: for ever. Somebody must walk: `AwsEngine.retention`."""
    table_expires: bool = True
    """The table removes what has expired (TTL); False: `AwsEngine.retention` does."""
    first: Lineage | None = None
    """The first lineage of a new table; None: one of its own."""

    def __post_init__(self) -> None:
        if not _TABLE.match(self.table):
            raise ConfigurationError(
                f"table {self.table[:80]!r} is not a name: 3 to 255 letters, digits, '_', '.', '-'"
            )
        if not is_bucket(self.bucket):
            raise ConfigurationError(
                f"bucket {self.bucket[:80]!r} is not a name: 3 to 63 small letters, digits, '.', '-'"
            )
        if not _REGION.match(self.region):
            raise ConfigurationError(f"region {self.region[:80]!r} is not one: write for example eu-central-1")
        if not self.read_timeout_s > 0 or (self.retention_days is not None and not self.retention_days > 0):
            raise ConfigurationError("read_timeout_s and retention_days must be more than 0")
