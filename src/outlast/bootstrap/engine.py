"""Chooses the engine of the journal: what streams, hints, snapshots, blobs and signs of life are kept in."""

from __future__ import annotations

from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Literal, Protocol

from outlast.blueprint.schema import Blueprint
from outlast.cell.presence import Presence
from outlast.journal.blob import BlobStore
from outlast.journal.index import RunIndex
from outlast.journal.lineage import Lineage
from outlast.journal.snapshot import SnapshotStore
from outlast.journal.stream import EventStore
from outlast.kernel.error import invariant
from outlast.kernel.point import Points

EngineName = Literal["sqlite", "postgres", "dynamodb"]


class Journal(EventStore, RunIndex, SnapshotStore, Protocol):
    """Streams, and what is found and folded from them."""


@dataclass(frozen=True)
class Engine:
    """What one store, or several that belong together, give."""

    journal: Journal
    blobs: BlobStore
    presence: Presence | None = None
    """None: one host has it for itself."""


def is_shared(blueprint: Blueprint) -> bool:
    """Whether many machines use the journal at once, each process for itself, without a writing process between."""
    return blueprint.run_on.local.journal != "sqlite"


@asynccontextmanager
async def open_engine(
    home: Path, blueprint: Blueprint, points: Points, *, first: Lineage | None = None
) -> AsyncGenerator[Engine]:
    """The engine that many machines share; a new journal begins with lineage `first`, or one of its own.

    Raises ConfigurationError, StoreUnavailable, StoreCorrupt.
    """
    chosen = blueprint.run_on.local.journal
    invariant(chosen != "sqlite", "SQLite is opened by whoever writes it, not as a shared engine")
    yield None  # type: ignore[misc]
