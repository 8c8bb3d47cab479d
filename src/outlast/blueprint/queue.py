"""Queues: what waits between two components, so that one may be away."""

from __future__ import annotations

from typing import Literal

from outlast.blueprint.component import Component
from outlast.blueprint.value import AwsRegion, Count, Seconds, Url


class Queue(Component, frozen=True, kw_only=True, omit_defaults=True):
    """``{aws: sqs, visibility: 5m, keep: 14d}``, and where it is: ``{sqs: "https://…/in", dead_letters: "https://…"}``.

    Without an address it is only described, and nothing reads it here.
    """

    sqs: Url | None = None
    """The address of a queue of Amazon SQS; None: it is not there yet."""
    dead_letters: Url | None = None
    """Where messages go that cannot become a run: the queue that the redrive policy names."""
    region: AwsRegion | None = None
    """Where SQS is asked; None: as the environment says."""
    endpoint_url: Url | None = None
    """Another address of the service: an emulator, a private link."""
    visibility: Seconds = 300.0
    """How long a message that somebody takes is hidden from others."""
    aws: Literal["sqs", "sqs_fifo"] | None = None
    """The service of AWS that it is; None: SQS where `sqs` is given."""
    keep: Seconds = 4 * 86400.0
    """How long a message waits before it is dropped."""
    attempts: Count | None = None
    """Tries before a message is a dead letter; None: what its reader says."""
    length_max: Count | None = None
    """Messages that may wait; None: no bound is known."""
