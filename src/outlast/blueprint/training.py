"""Training: jobs that make a model out of data."""

from __future__ import annotations

from collections.abc import Mapping

import msgspec

from outlast.blueprint.component import Need
from outlast.blueprint.value import Count, Name, Score, Seconds


class Promotion(msgspec.Struct, frozen=True):
    """``{score: 0.85}``: what a new version must reach before it serves."""

    score: Score
    """The share of known answers that it must have right."""


class Training(msgspec.Struct, frozen=True, kw_only=True):
    """``{class: back_office, every: 7d, nodes: 2, spot: true, checkpoint_every: 5m, data: documents}``: one job."""

    data: Name
    """The one of ``stores:`` that it learns from."""
    work_class: Name | None = msgspec.field(default=None, name="class")
    """The one of ``objectives:`` whose work it is; None: it promises nothing."""
    every: Seconds | None = None
    """The time from one start to the next; None: started by hand."""
    takes: Seconds | None = None
    """How long it lasts without a failure; None: not known."""
    nodes: Count = 1
    """Machines that work together."""
    type: str | None = None
    """The class of its machines, such as ``ml.g6.2xlarge``; None: what the service has by default."""
    spot: bool = False
    """Whether it runs on machines that may be taken away at two minutes' notice."""
    checkpoint_every: Seconds | None = None
    """How much work a failure costs, at most; None: all of it."""
    checkpoints: Name | None = None
    """The one of ``stores:`` that holds checkpoints; None: the one of `data`."""
    attempts: Count = 3
    """How often it is started in all before a person is asked."""
    promote_if: Promotion | None = None
    """None: a person decides whether a new version serves."""
    serves: Name | None = None
    """The one of ``models:`` that its result becomes a version of; None: none of them."""
    needs: Mapping[Name, Need] = {}
    """By name, the other components that it depends on."""
