"""Carries out a schedule of faults, drawn from the seed beforehand so that it can be shrunk; undoes all at the end."""

from __future__ import annotations

from random import Random
from typing import Literal, get_args

import msgspec

from outlast.kernel.point import Place
from outlast.simulation.data import Faults
from outlast.simulation.disk import DiskFaults
from outlast.simulation.host import SimCell
from outlast.simulation.loop import Node
from outlast.simulation.world import AtPoint, NetworkFaults, World

_NARROW: tuple[Place, ...] = ("intent.after", "effect.after", "verify.before", "verify.after", "claim.after")
_PLACES: tuple[Place, ...] = (*get_args(Place), *_NARROW * 3)  # where a step is in doubt: more often
skew_max_s = 10.0
"""How far a clock is off at most."""
_PAIRS = (
    ("worker", "writer"), ("writer", "worker"), ("supervisor", "worker"), ("worker", "supervisor"),
    ("writer", "supervisor"), ("writer", "client"),
)  # fmt: skip
_WRITER_PLACES = ("commit.before", "commit.after")


class Act(msgspec.Struct, frozen=True):
    """One fault: when (seconds after the start), what, and a number that decides whom and how much."""

    at: float
    kind: str
    chance: float


def freeze_s(chance: float) -> float:
    """How long a frozen node stays so: half of the times about as long as it takes until others notice (1 s)."""
    return 0.2 + chance**3 * 14.0


def draw(faults: Faults, random: Random) -> list[Act]:
    """The schedule of a seed."""
    acts: list[Act] = []
    if not faults.acts:
        return acts
    kinds, weights = list(faults.acts), list(faults.acts.values())
    at = 1.0
    while at < faults.last_s:
        acts.append(Act(round(at, 4), random.choices(kinds, weights)[0], random.random()))
        at += faults.every_s[0] + random.random() * (faults.every_s[1] - faults.every_s[0])
    return acts


class Mischief:
    """Does what the schedule says, then heals the world."""

    def __init__(self, world: World, cell: SimCell, faults: Faults, schedule: list[Act]) -> None:
        self._world = world
        self._cell = cell
        self._faults = faults
        self._schedule = schedule
        self.done = 0
        self._healed = False

    def begin(self) -> None:
        """Arm everything; call it in the world."""
        self._world.network = msgspec.structs.replace(self._faults.network)
        self._cell.disk.faults = msgspec.structs.replace(self._faults.disk)
        for act in self._schedule:
            self._world.in_world(act.at, self._do, act)

    def heal(self) -> None:
        """No more faults: what is frozen thaws, what is cut is joined, clocks are right; the supervisor runs."""
        self._healed = True
        world = self._world
        world.network = NetworkFaults()
        self._cell.disk.faults = DiskFaults()
        self._cell.disk.catch_up()
        self._cell.disk.forgets = False
        self._cell.disk.restore()
        world.at_points.clear()
        world.cut.clear()
        for name in world.skew:
            world.set_skew(name, 0.0)
        for node in world.nodes.values():
            world.thaw(node)

    def _do(self, act: Act) -> None:  # noqa: C901 # one case for each
        if self._healed:
            return
        self.done += 1
        what, _, whom = act.kind.partition(" ")
        world, chance = self._world, act.chance
        match what, whom:
            case "crash", "at point":
                self._at_point(act, "crash")
            case "freeze", "at point":
                self._at_point(act, "freeze")
            case "blink", "at point":
                self._at_point(act, "blink")
            case "crash", _:
                node = self._one_of(whom, chance)
                if node is not None:
                    world.crash(node, "fault")
            case "freeze", _:
                node = self._one_of(whom, chance)
                if node is not None:
                    world.freeze(node, freeze_s(chance * 7919 % 1.0))
            case "drain" | "reload", "supervisor":
                if self._one_of("supervisor", chance) is not None:
                    self._cell.tell_supervisor(what)
            case "swell", _:
                node = self._one_of("worker", chance)
                if node is not None:
                    self._cell.swell(node)
            case "lag", _:
                world.note("index lags")
                self._cell.disk.lag()
                world.in_world(0.5 + chance * 4.0, self._cell.disk.catch_up)
            case "slow", _:
                disk = self._cell.disk.faults
                disk.slow_chance, disk.slow_s = 0.7, 1.0
                world.note("disk slow")
                world.in_world(0.2 + chance * 3.0, self._speed_up, disk)
            case "cut", _:
                pair = _PAIRS[int(chance * 7919 % 1.0 * len(_PAIRS))]
                world.cut.add(pair)
                world.note(f"cut {pair[0]} -> {pair[1]}")
                world.in_world(0.2 + chance * 3.0, world.cut.discard, pair)
            case "full", _:
                disk = self._cell.disk.faults
                disk.full = 0.9
                world.note("disk full")
                world.in_world(0.2 + chance * 3.0, self._empty, disk)
            case "rot", "blob":
                self._cell.disk.rot_blob(chance)
            case "rot", "anchors":
                self._cell.disk.anchors.damaged = True
                world.bit["rotten anchors"] += 1
                world.note("anchors rot")
            case "drop", "hints":
                self._cell.disk.forgets = True
                world.note("hints are dropped")
                world.in_world(0.2 + chance * 2.0, self._remember)
            case "skew", _:
                node = self._one_of("worker", chance)
                if node is not None:
                    world.set_skew(node.name, (chance * 104_729 % 1.0 - 0.5) * 2 * skew_max_s)
                    world.note(f"clock of {node.name} off by {world.skew[node.name]:.2f}s")
            case _:
                raise ValueError(f"fault {act.kind!r} is not known")

    def _speed_up(self, disk: DiskFaults) -> None:
        disk.slow_chance, disk.slow_s = self._faults.disk.slow_chance, self._faults.disk.slow_s

    def _remember(self) -> None:
        self._cell.disk.forgets = False

    def _empty(self, disk: DiskFaults) -> None:
        disk.full = 0.0

    def _at_point(self, act: Act, how: Literal["crash", "freeze", "blink"]) -> None:
        chance = act.chance
        place = _PLACES[int(chance * 7919 % 1.0 * len(_PLACES))]
        kind = "writer" if place in _WRITER_PLACES else "worker"
        after = int(chance * 104_729 % 1.0 * 4)
        at_point = AtPoint(place, "crash" if how == "crash" else "freeze", after, freeze_s(chance), kind)
        if how == "blink":  # frozen for about as long as nobody notices, dead soon after
            at_point.freeze_s, at_point.crash_after_s = 0.2 + chance * 1.8, chance * 7907 % 1.0 * 0.3
        self._world.at_points.append(at_point)

    def _one_of(self, kind: str, chance: float) -> Node | None:
        living = self._world.living(kind)
        return living[int(chance * 7907 % 1.0 * len(living))] if living else None
