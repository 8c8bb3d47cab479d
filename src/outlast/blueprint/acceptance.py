"""Findings that the owner of a system has seen, and lives with for a time."""

from __future__ import annotations

import msgspec

from outlast.blueprint.value import Day, Name


class Acceptance(msgspec.Struct, frozen=True, kw_only=True):
    """``{rule: OL-AVL-001, component: search, until: 2027-03-31, reason: the agent does without it}``.

    What is accepted is still shown, as such, and no longer lets `outlast assess` fail; after `until` it counts again.
    """

    rule: Name
    """The id of the rule, such as ``OL-AVL-001``."""
    component: Name | None = None
    """A component: whatever this rule finds there; None: see `subject`."""
    subject: str | None = None
    """What it is about, as it is shown: ``support -> search``; None, and no component: wherever it is found."""
    reason: str
    """Why that is fine, for whoever asks."""
    until: Day
    """The last day on which it is, in UTC."""
