"""The owner's word that a finding is fine for a time."""

from __future__ import annotations

import datetime as dt

import msgspec

from outlast.assessment.place import Place, nowhere


class Acceptance(msgspec.Struct, frozen=True, kw_only=True):
    """What is accepted, why, and until when."""

    rule: str
    component: str = ""
    """Whatever the rule finds there; empty: see `subject`."""
    subject: str = ""
    """What the finding is about, as it is shown; empty, and no component: wherever it is found."""
    reason: str
    until: str
    """The last day on which it holds, in UTC: ``2027-03-31``."""
    place: Place = nowhere

    def concerns(self, rule: str, subject: str, components: tuple[str, ...]) -> bool:
        """Whether it is about what a rule has found there."""
        if rule != self.rule:
            return False
        if self.component:
            return self.component == subject or self.component in components
        return self.subject in ("", subject)

    def holds(self, now: float) -> bool:
        """Whether its last day is not over at `now` (seconds since 1970)."""
        return dt.datetime.fromtimestamp(now, dt.UTC).date() <= dt.date.fromisoformat(self.until)

    def __str__(self) -> str:
        return " ".join(filter(None, (self.rule, self.component or self.subject)))
