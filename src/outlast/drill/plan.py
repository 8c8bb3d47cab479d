"""What is done to the system in which order, and how the load is dealt out around it. Pure, and the same for a seed."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Literal, TypeVar

from outlast.kernel.randomness import derived

T = TypeVar("T")

FaultKind = Literal["crash_point", "after_booking", "busy_worker", "freeze", "writer", "supervisor"]
"""crash_point: a worker dies at the named place between an effect and its record · after_booking: a worker is killed
as soon as a booking of its shows in the ledger · busy_worker: a worker that owns runs is killed · freeze: a worker is
stopped, and woken after its runs were taken over · writer: the writing process is killed · supervisor: it is killed
with all that depends on it, and started again."""

kill_kinds: tuple[FaultKind, ...] = ("crash_point", "after_booking", "busy_worker")


def faults(kills: int, seed: int) -> list[FaultKind]:
    """`kills` kills of workers, the kinds in equal parts, a crash point first (so that a short load leaves a step in
    doubt) and the others shuffled by the seed; a freeze after a third of them, the writing process after two thirds,
    the supervisor at last.
    """
    planned: list[FaultKind] = [kill_kinds[i % len(kill_kinds)] for i in range(kills)]
    later = planned[1:]
    derived("demo", "faults", str(seed)).shuffle(later)
    planned[1:] = later
    planned.insert(round(kills * 2 / 3), "writer")
    planned.insert(round(kills / 3), "freeze")
    planned.append("supervisor")
    return planned


def deal(first: Sequence[T], second: Sequence[T], seed: int) -> list[T]:
    """Both sequences shuffled by the seed and merged evenly, so that every stretch holds some of each."""
    chance = derived("demo", "load", str(seed))
    sides = [list(first), list(second)]
    placed: list[tuple[float, int, T]] = []
    for side, items in enumerate(sides):
        chance.shuffle(items)
        placed.extend(((index + 0.5) / len(items), side, item) for index, item in enumerate(items))
    return [item for _, _, item in sorted(placed, key=lambda one: one[:2])]


def quota(tickets: int, faults_done: int, faults_total: int) -> int:
    """How many tickets may have been submitted by the time fault number `faults_done` (from 0) strikes."""
    return tickets * (faults_done + 1) // (faults_total + 1)
