"""Structure functions of reliability theory: what must be up for the whole to be up, and how probable that is.

Exact where the parts are independent (series, parallel, k of n), and where they share a few causes, by conditioning on
those (factoring, also called pivotal decomposition: Barlow and Proschan, Statistical Theory of Reliability and Life
Testing, 1975, chapter 2). With more shared causes, a seeded Monte Carlo: all samples of a part are the bits of one
integer, so that a sample costs an AND or an OR of a bit.
"""

from __future__ import annotations

import functools
import math
from collections.abc import Mapping, Sequence

import msgspec

from outlast.kernel.randomness import derived

visits_max = 50_000
"""Bound of the exact computation: nodes that are looked at. Beyond it is the Monte Carlo."""
samples_default = 200_000

Variable = tuple[str, ...]
"""One cause that is up or down by itself: ``("zone", "eu-central-1a")``."""


class Node(msgspec.Struct, frozen=True, eq=False):
    """At least `needed` of `parts` must be up; a leaf has a `variable` instead."""

    parts: tuple[Node, ...] = ()
    needed: int = 1
    variable: Variable | None = None
    variables: frozenset[Variable] = frozenset()
    """All that occur in it."""


def leaf(*variable: str) -> Node:
    """One variable."""
    return Node(variable=variable, variables=frozenset((variable,)))


def k_of(needed: int, parts: Sequence[Node]) -> Node:
    """At least `needed` of `parts`."""
    if len(parts) == 1 and needed == 1:
        return parts[0]
    return Node(tuple(parts), needed, None, frozenset[Variable]().union(*(part.variables for part in parts)))


def all_of(parts: Sequence[Node]) -> Node:
    """Series."""
    return k_of(len(parts), parts)


def any_of(parts: Sequence[Node]) -> Node:
    """Parallel."""
    return k_of(1, parts)


class TooCorrelated(Exception):
    """The exact computation would look at more than `visits_max` nodes."""


def exact(node: Node, up: Mapping[Variable, float]) -> float:
    """The probability that `node` is up, when each variable is up with its probability. Raises TooCorrelated."""
    return _Exact(up).probability(node, {})


class _Exact:
    def __init__(self, up: Mapping[Variable, float]) -> None:
        self._up = up
        self._visits = 0

    def probability(self, node: Node, fixed: dict[Variable, bool]) -> float:
        self._visits += 1
        if self._visits > visits_max:
            raise TooCorrelated
        if node.variable is not None:
            known = fixed.get(node.variable)
            return self._up[node.variable] if known is None else float(known)
        shared = _shared(node, fixed)
        if shared is None:
            return _at_least(node.needed, [self.probability(part, fixed) for part in node.parts])
        up = self._up[shared]
        with_it = self.probability(node, {**fixed, shared: True})
        return up * with_it + (1 - up) * self.probability(node, {**fixed, shared: False})


def _shared(node: Node, fixed: Mapping[Variable, bool]) -> Variable | None:
    """The variable that most parts of `node` have in common; None where each occurs in one part alone."""
    counts: dict[Variable, int] = {}
    for part in node.parts:
        for variable in part.variables:
            if variable not in fixed:
                counts[variable] = counts.get(variable, 0) + 1
    if not counts:
        return None
    most = max(counts.values())
    return min(variable for variable, count in counts.items() if count == most) if most > 1 else None


def _at_least(needed: int, chances: Sequence[float]) -> float:
    """The probability that at least `needed` of independent parts are up."""
    if needed <= 0:
        return 1.0
    if needed == len(chances):
        return math.prod(chances)
    if needed == 1:
        return 1.0 - math.prod(1.0 - chance for chance in chances)
    exactly = [1.0]
    for chance in chances:
        down = [share * (1.0 - chance) for share in exactly] + [0.0]
        up = [0.0] + [share * chance for share in exactly]
        exactly = [a + b for a, b in zip(down, up, strict=True)]
    return math.fsum(exactly[needed:])


def sampled(
    node: Node, up: Mapping[Variable, float], seed: int = 1, samples: int = samples_default
) -> tuple[float, float]:
    """The same by `samples` seeded samples: the share of them in which `node` is up, and its standard error."""
    drawn = _Drawn(up, seed, samples)
    share = drawn.bits(node).bit_count() / samples
    return share, math.sqrt(max(share * (1 - share), 1 / samples) / samples)


class _Drawn:
    def __init__(self, up: Mapping[Variable, float], seed: int, samples: int) -> None:
        self._up = up
        self._seed = seed
        self._samples = samples
        self._all = (1 << samples) - 1
        self._variable = functools.cache(self._draw)

    def bits(self, node: Node) -> int:
        if node.variable is not None:
            return self._variable(node.variable)
        if node.needed == len(node.parts):
            return functools.reduce(lambda one, other: one & other, map(self.bits, node.parts), self._all)
        at_least = [self._all] + [0] * node.needed
        for part in node.parts:
            bits = self.bits(part)
            for count in range(node.needed, 0, -1):
                at_least[count] |= at_least[count - 1] & bits
        return at_least[node.needed]

    def _draw(self, variable: Variable) -> int:
        """One bit a sample. The gaps between rare events are geometric: only those are drawn."""
        up = self._up[variable]
        rare_is_up = up < 0.5
        rare = up if rare_is_up else 1 - up
        field = bytearray(self._samples // 8 + 1)
        if rare > 0:
            chance = derived("availability", str(self._seed), *variable)
            scale = math.log1p(-rare)
            at = int(math.log(1.0 - chance.random()) / scale)
            while at < self._samples:
                field[at >> 3] |= 1 << (at & 7)
                at += 1 + int(math.log(1.0 - chance.random()) / scale)
        bits = int.from_bytes(field, "little")
        return bits if rare_is_up else self._all & ~bits
