"""What the operator says about agents; it goes before what their code says."""

from __future__ import annotations

from typing import Annotated

import msgspec

from outlast.blueprint.component import Component
from outlast.blueprint.value import ByteCount, Count, Dollars, Name, Number, Seconds

WorkerCount = Annotated[int, msgspec.Meta(ge=1, le=64)]
FleetSize = Annotated[int, msgspec.Meta(ge=1, le=10_000)]


class ScaleOn(msgspec.Struct, frozen=True):
    """``{backlog_per_worker: 4}`` or ``{queue_age: 2m}``: what is held steady by more or fewer workers."""

    backlog_per_worker: Number | None = None
    """Runs that wait, for each worker."""
    queue_age: Seconds | None = None
    """The age of what waits longest."""


class Workers(msgspec.Struct, frozen=True, omit_defaults=True):
    """``{min: 2, memory_max: 1GiB}``: how many worker processes always run, and when one is killed for its memory."""

    min: WorkerCount = 2
    """Processes; one spare always runs beside them."""
    memory_max: ByteCount | None = None
    """Bytes of resident memory; None: that of the default pool, whose own default is 1 GiB."""
    max: FleetSize | None = None
    """Workers that scaling may start, at most; None: `min`, it does not scale. One machine runs `min`."""
    scale_on: ScaleOn | None = None
    """None: it does not scale."""
    zones: Count | None = None
    """The zones that they are spread over; None: all of the region."""


class Budget(msgspec.Struct, frozen=True, omit_defaults=True):
    """``{steps: 60, tokens: 40000, cost: 0.25USD, time: 10m}``: per run; what is left out is not bounded here."""

    steps: Count | None = None
    """Durable steps."""
    tokens: Count | None = None
    """Tokens of all prompts and answers."""
    cost: Dollars | None = None
    """Money for models."""
    time: Seconds | None = None
    """Time from its start, waiting included."""


class Reads(msgspec.Struct, frozen=True, omit_defaults=True):
    """``{queue: documents_in, attempts: 5}``: each message of a queue becomes a run, its text the agent's input."""

    queue: Name
    """One of ``queues:``."""
    attempts: Count = 5
    """Tries of a message that cannot become a run; then it is a dead letter."""


class Agent(Component, frozen=True, omit_defaults=True):
    """``{class: live, workers: {min: 6}, deadline: 30s, needs: {writer: hard, knowledge: soft}}``: one of the app's."""

    workers: Workers | None = None
    """Workers of its own, that fail apart from all others; None: the default pool."""
    deadline: Seconds | None = None
    """Seconds from a run's start to its latest end."""
    budget: Budget | None = None
    """What one run may use up; None: as the code says."""
    reads: Reads | None = None
    """None: its runs are started by clients and other runs alone."""
    work_class: Name | None = msgspec.field(default=None, name="class")
    """The one of ``objectives:`` whose work it does; None: the only one, if there is only one."""
    cells: Count = 1
    """Copies of all that the agent needs here, that fail apart; tenants are spread over them."""
