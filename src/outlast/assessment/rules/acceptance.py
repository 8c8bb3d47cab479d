"""Acceptances: what an owner lives with, and is no longer there."""

from __future__ import annotations

import difflib
from collections.abc import Iterator

from outlast.assessment.acceptance import Acceptance
from outlast.assessment.facts import Facts
from outlast.assessment.finding import Edit, Fix
from outlast.assessment.rule import Rule, Weakness


def _matches_nothing(facts: Facts) -> Iterator[Weakness]:
    for one in facts.system.acceptances:
        if any(one.concerns(found.rule, found.subject, found.components) for found in facts.found):
            continue
        fix = Fix(
            text="remove it, or name what is meant",
            edits=(Edit(one.place.path, None),) if one.place.path else (),
            buys="a list of what is lived with that is true, and cannot hide what comes later",
            costs="nothing",
        )
        reason = f"nothing is found that it accepts{_nearest(one, facts)}"
        yield Weakness(subject=str(one), radius=0.05, reason=reason, fix=fix, place=one.place)


def _nearest(one: Acceptance, facts: Facts) -> str:
    """What may have been meant."""
    subjects = [found.subject for found in facts.found if found.rule == one.rule]
    if subjects:
        return f": {one.rule} is found at {', '.join(sorted(set(subjects))[:4])}"
    near = difflib.get_close_matches(one.rule, {found.rule for found in facts.found}, n=1, cutoff=0.85)
    return f" (did you mean {near[0]}?)" if near else ": it was mended, or never there"


RULES = (
    Rule(
        id="OL-ACC-001",
        title="an acceptance that matches nothing",
        why="What was accepted and is no longer there would be accepted again, unseen, when it comes back.",
        trigger="always",
        pillar="REL06-BP06",
        check=_matches_nothing,
        last=True,
    ),
)
