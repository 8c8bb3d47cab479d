"""What the objectives imply: each decision with why, what it costs, and what would change if an objective did.

Decisions are ladders (`choice.py`): the plan takes of each the cheapest rung that the promises admit, as the arithmetic
of `recovery.py` estimates them. A looser objective therefore never makes the plan dearer. What no design here meets is
said, and planned as well as it can be.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence

import msgspec

from outlast.assessment.choice import Choice, Estimated, Limit, brief, when
from outlast.assessment.cost import monthly, monthly_unchecked
from outlast.assessment.describe import describe
from outlast.assessment.described import Described
from outlast.assessment.facts import Facts
from outlast.assessment.fallback import fallback
from outlast.assessment.headroom import Headroom, headroom
from outlast.assessment.price import PriceBook
from outlast.assessment.promise import Promise
from outlast.assessment.redundancy import instances, standbys
from outlast.assessment.schedule import best, schedule
from outlast.assessment.takeover import copies, elsewhere, pilot_light, strategy
from outlast.blueprint.agent import Agent
from outlast.blueprint.model import Model
from outlast.blueprint.schema import Blueprint
from outlast.blueprint.service import Service
from outlast.blueprint.store import Stored

alternatives_priced_max = 60
"""Decisions whose cheaper alternative is priced; beyond it only the plan itself is."""


class Decision(msgspec.Struct, frozen=True, kw_only=True):
    """One thing that was decided."""

    question: str
    subject: str
    chosen: str
    why: tuple[str, ...]
    """The promises that decided it, and what the cheaper design would give."""
    lines: tuple[str, ...] = ()
    """The arithmetic behind what the chosen design gives."""
    unmet: tuple[str, ...] = ()
    """Promises that no design here meets."""
    cheaper: str = ""
    """What would have to change for the next cheaper design, and what that saves; empty: there is none."""
    dearer: str = ""
    """What would make the next dearer design necessary; empty: nothing would."""
    against_declared_usd: float | None = None
    """What the bill of the file becomes when only this is done, in US dollars a month; None: not computed."""


class Plan(msgspec.Struct, frozen=True, kw_only=True):
    """All decisions, and what they cost."""

    system: str
    file: str
    decisions: tuple[Decision, ...]
    headroom: tuple[Headroom, ...]
    """What each part must carry at the peak, also where it stands by."""
    usd: float
    """US dollars a month, as planned."""
    unchecked_usd: float
    """How much of it rests on unchecked prices."""
    declared_usd: float
    """As the file declares it."""
    missed: tuple[str, ...]
    """Promises that the plan as a whole does not meet by design."""
    as_of: str
    """The date of the price file."""


def plan(blueprint: Blueprint, book: PriceBook, file: str = "outlast.yaml") -> Plan:
    """The plan for a blueprint."""
    facts = Facts(describe(blueprint), now=0.0)
    chosen = decided(blueprint, facts)
    planned = applied(blueprint, chosen)
    usd = monthly(planned, book)
    described = Facts(describe(planned), now=0.0)
    priced = usd if len(chosen) <= alternatives_priced_max else None
    declared = monthly(blueprint, book)
    return Plan(
        system=blueprint.name,
        file=file,
        decisions=tuple(_decision(blueprint, chosen, i, priced, declared, book) for i in range(len(chosen))),
        headroom=tuple(headroom(described)),
        usd=usd,
        unchecked_usd=monthly_unchecked(planned, book),
        declared_usd=declared,
        missed=tuple(_missed(promise) for promise in described.promises if promise.status == "missed by design"),
        as_of=book.as_of,
    )


def planned(blueprint: Blueprint) -> Blueprint:
    """The blueprint as the plan would have it."""
    return applied(blueprint, decided(blueprint, Facts(describe(blueprint), now=0.0)))


def decided(blueprint: Blueprint, facts: Facts) -> list[Choice]:
    """Every choice: first the regions, then each store and each part that runs code."""
    stores = list(_stores(blueprint, facts))
    there = elsewhere(blueprint)
    across = [copies(there, facts, name, key, store) for name, key, store in stores]
    kept = [choice for choice in across if choice is not None]
    regions = strategy(blueprint, facts, pilot_light if any(choice.index > 0 for choice in kept) else 0)
    if regions.index >= pilot_light:  # a region that runs has data, also where no promise needs it to be young
        kept = [choice if choice.index else msgspec.structs.replace(choice, index=1) for choice in kept]
    found: list[Choice] = [regions, *kept]
    for name, key, store in stores:
        copied = standbys(best(blueprint, key, store), facts, name, key, store)
        backups = schedule(copied.rung.change(blueprint) if copied else blueprint, facts, name, key, store)
        if backups is not None and regions.index == 1:  # what a region is restored from is a day old at most
            daily = next((i for i, rung in enumerate(backups.rungs) if rung.name == "a copy every day"), 0)
            backups = msgspec.structs.replace(backups, index=max(backups.index, daily))
        found += [choice for choice in (copied, backups) if choice is not None]
    settled = regions.rung.change(blueprint)  # what a region must carry depends on how many serve
    settled_facts = Facts(describe(settled), now=0.0)
    for name, key, declared in _running(blueprint):
        if isinstance(declared, Model):
            choice = fallback(facts, name, key, declared)
        else:
            choice = instances(settled, settled_facts, name, declared)
        if choice is not None:
            found.append(choice)
    return found


def applied(blueprint: Blueprint, choices: Sequence[Choice], instead: Mapping[int, int] | None = None) -> Blueprint:
    """The blueprint with every choice made; `instead`: other rungs for some of them."""
    for i, choice in enumerate(choices):
        blueprint = choice.rungs[(instead or {}).get(i, choice.index)].change(blueprint)
    return blueprint


def _stores(blueprint: Blueprint, facts: Facts) -> Iterator[tuple[str, str, Stored]]:
    described = Described(blueprint, {})
    for path, declared in described.declared.items():
        name = described.name_of[path]
        if isinstance(declared, Stored) and name in facts.system.components:
            yield name, path.partition(".")[2], declared


def _running(blueprint: Blueprint) -> Iterator[tuple[str, str, Agent | Service | Model]]:
    described = Described(blueprint, {})
    for path, declared in described.declared.items():
        if isinstance(declared, Agent | Service | Model):
            yield described.name_of[path], path.partition(".")[2], declared


def _decision(
    blueprint: Blueprint, choices: Sequence[Choice], i: int, usd: float | None, declared_usd: float, book: PriceBook
) -> Decision:
    choice = choices[i]
    cheaper = ""
    if choice.index:
        saved, index = _saved(blueprint, choices, i, usd, book)
        cheaper = _cheaper(choice, index)
        if usd is not None:
            cheaper += f": {saved:,.2f} USD a month less" if saved >= 0.005 else ": by itself it saves nothing"
    shown = max(zip(choice.limits, choice.rung.estimates, strict=True), key=_tightness, default=None)
    alone = None if usd is None else monthly(choice.rung.change(blueprint), book) - declared_usd
    return Decision(
        question=choice.question,
        subject=choice.subject,
        chosen=choice.rung.name,
        why=tuple(_why(choice)),
        lines=() if shown is None else tuple(str(line) for line in shown[1].lines),
        unmet=tuple(f"{limit}: {brief(given.seconds)} at best" for limit, given in choice.unmet()),
        cheaper=cheaper,
        dearer=_dearer(choice),
        against_declared_usd=alone,
    )


def _saved(
    blueprint: Blueprint, choices: Sequence[Choice], i: int, usd: float | None, book: PriceBook
) -> tuple[float, int]:
    """The nearest earlier design that costs less, all else as planned, and how much less; else the one before."""
    before = choices[i].index - 1
    if usd is not None:
        for index in range(before, -1, -1):
            saved = usd - monthly(applied(blueprint, choices, {i: index}), book)
            if saved >= 0.005:
                return saved, index
    return 0.0, before


def _tightness(found: tuple[Limit, Estimated]) -> float:
    """How much of a limit is used up."""
    limit, given = found
    if not limit.seconds:
        return float("inf") if given.seconds else -1.0
    return given.seconds / limit.seconds


def _why(choice: Choice) -> Iterator[str]:
    if not choice.limits:
        yield "no objective speaks of it: what is safe by default" if choice.index else "no objective asks for more"
        return
    if not choice.index:
        yield f"the cheapest is within {'; '.join(str(limit) for limit in choice.limits)}"
        return
    against = choice.against(choice.index - 1)
    for limit, given in against:
        yield f"{limit}; {choice.rungs[choice.index - 1].name!r} gives {brief(given.seconds)}"
    if not against:
        yield "another decision needs it: data in the other region, or what is restored there"


def _cheaper(choice: Choice, index: int) -> str:
    before = choice.rungs[index]
    against = choice.against(index)
    if not against:
        return f"{before.name!r} would do if that other decision were different"
    asked = [_looser(limit, given) for limit, given in against]
    return f"{before.name!r} would do if {' and '.join(asked)}"


def _looser(limit: Limit, given: Estimated) -> str:
    if limit.kind is None:
        return f"{limit.owner} promised less availability: {brief(given.seconds)} a month down by this part"
    if given.seconds == float("inf"):
        return f"{limit.owner} promised no {limit.measure} when {when[limit.kind]}"
    return f"the {limit.measure} of {limit.owner} were {brief(given.seconds)} or more when {when[limit.kind]}"


def _dearer(choice: Choice) -> str:
    """The first later rung that gives more than the chosen one, and for which promise."""
    for later in choice.rungs[choice.index + 1 :]:
        for limit, now, then in zip(choice.limits, choice.rung.estimates, later.estimates, strict=True):
            if then.seconds < now.seconds:
                what = f"{limit.measure} below {brief(now.seconds)}"
                what += f" when {when[limit.kind]}" if limit.kind is not None else " a month"
                return f"{later.name!r} for {limit.owner}: {what}: it gives {brief(then.seconds)}"
    return ""


def _missed(promise: Promise) -> str:
    what = f"{promise.work}: {promise.measure}" + (f" when {when[promise.disruption]}" if promise.disruption else "")
    if promise.measure == "availability":
        return f"{what} {promise.promised:.4%}, by design {promise.estimated or 0.0:.4%}"
    estimated = "never" if promise.estimated is None else brief(promise.estimated)
    where = f" ({promise.worst})" if promise.worst is not None else ""
    return f"{what} {brief(promise.promised)}, by design {estimated}{where}"


class Difference(msgspec.Struct, frozen=True):
    """Where two plans part."""

    question: str
    subject: str
    before: str
    """Empty: the first plan has no such decision."""
    after: str


def compare(before: Plan, after: Plan) -> tuple[Difference, ...]:
    """Every decision that is not the same in both."""
    old = {(one.question, one.subject): one.chosen for one in before.decisions}
    new = {(one.question, one.subject): one.chosen for one in after.decisions}
    every = dict.fromkeys([*old, *new])
    return tuple(
        Difference(question, subject, old.get((question, subject), ""), new.get((question, subject), ""))
        for question, subject in every
        if old.get((question, subject)) != new.get((question, subject))
    )
