"""Everything an agent runs on, chosen once by `bootstrap.py` (or by a test, or by the simulation)."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

import msgspec

from outlast.agent.executor import Executors
from outlast.journal.blob import BlobStore
from outlast.journal.index import RunIndex
from outlast.journal.loss import Losses
from outlast.journal.snapshot import SnapshotStore
from outlast.journal.stream import EventStore
from outlast.kernel.clock import Clock
from outlast.kernel.codec import payload_bytes_max
from outlast.kernel.point import NoPoints, Points
from outlast.kernel.randomness import Randomness
from outlast.model.endpoint import Endpoint


class Settings(msgspec.Struct, frozen=True):
    """Bounds of the runtime: each has a name, a unit and a default."""

    payload_bytes_max: int = payload_bytes_max
    """One encoded value, in bytes."""
    history_events_max: int = 100_000
    """Events in one run's history; beyond it the run is held: use `run.continue_as_new`."""
    inbox_events_max: int = 1_000
    """Signals, cancels, resolutions that one run may ever be sent."""
    branches_max: int = 10_000
    """Branches of one gather or map."""
    step_timeout_s: float = 300.0
    """A step that says nothing else ends in this time."""
    run_lifetime_max_s: float = 30 * 86400.0
    """A run that says nothing else has this deadline."""
    claims_without_progress_max: int = 3
    """Successive claims without a new event; then the run is tried alone in a worker."""
    trials_alone_max: int = 2
    """So many of those without a new event; then quarantine. One proves nothing: workers die from outside too."""
    crashes_max: int = 20
    """How often a `once` step may end together with its worker, without effect, before a person is asked."""
    park_after_s: float = 2.0
    """A run that only waits leaves the worker's memory after this time."""
    append_patience_s: float = 60.0
    """How long an append of unknown outcome is sent again before the worker lets go of the run."""
    wait_poll_s: float = 30.0
    """How often a parked run that waits for another run looks by itself, behind the doorbell."""
    verify_attempts_max: int = 3
    """Tries of a tool's `verify` that raises, before a person is asked."""
    session_messages_max: int = 200
    """Messages of a session that a turn sees; older ones stay in the journal."""
    session_snapshot_every: int = 8
    """Turns between two snapshots of a session."""
    unwind_s: float = 2.0
    """How long agent code may take to end once its run is stopped."""
    sweep_every_s: float = 600.0
    """How long a worker rests between two walks through all runs, looking for such as the index has lost."""
    sweep_page: int = 200
    """How many runs of such a walk are listed at once."""
    sweep_rest_s: float = 0.005
    """The pause before each run of such a walk: it takes at least so long for each that there is."""
    threads_max: int = 64
    """Threads of one worker for synchronous functions."""


@dataclass(frozen=True)
class Platform:
    """Ports, bounds and endpoints for one process."""

    clock: Clock
    randomness: Randomness
    store: EventStore
    index: RunIndex
    snapshots: SnapshotStore
    blobs: BlobStore
    executors: Executors
    endpoints: Mapping[str, Endpoint] = field(default_factory=dict[str, Endpoint])
    points: Points = field(default_factory=NoPoints)
    settings: Settings = field(default_factory=Settings)
    losses: Losses = field(default_factory=Losses)
