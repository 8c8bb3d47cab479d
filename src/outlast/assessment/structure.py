"""Structure functions of reliability theory: what must be up for the whole to be up, and how probable that is.

Exact where the parts are independent (series, parallel, k of n), and where they share a few causes, by conditioning on
those (factoring, also called pivotal decomposition: Barlow and Proschan, Statistical Theory of Reliability and Life
Testing, 1975, chapter 2). With more shared causes, a seeded Monte Carlo: all samples of a part are the bits of one
integer, so that a sample costs an AND or an OR of a bit.
"""

from __future__ import annotations

import functools
import math
import re
from collections.abc import Mapping, Sequence

import msgspec

from outlast.kernel.randomness import derived

visits_max = 50_000
"""Bound of the exact computation: nodes that are looked at. Beyond it is the Monte Carlo."""
samples_default = 200_000
samples_min = 10_000
draws_max = 1_000_000
"""About so many chances are drawn: where much is often away, fewer samples are taken, `samples_min` at least."""
few = 20
"""Less than one sample in so many: what happens in these is drawn for these alone."""
instances_summed_max = 2_000
"""Instances of one part, up to which the binomial sum is made term by term."""

Variable = tuple[str, ...]
"""One cause that is up or down by itself: ``("zone", "eu-central-1a")``."""


class Node(msgspec.Struct, frozen=True, eq=False):
    """At least `needed` of `parts` must be up; a leaf has a `variable` instead, a fleet its instances by zone."""

    parts: tuple[Node, ...] = ()
    needed: int = 1
    variable: Variable | None = None
    zones: tuple[tuple[Variable, int], ...] = ()
    """Of a fleet: the zones, and how many of its instances stand in each."""
    chance: float = 1.0
    """Of a fleet: how probable it is that one instance is up while its zone is."""
    name: Variable = ()
    """Of a fleet: nodes with the same one mean the same instances."""
    variables: frozenset[Variable] = frozenset()
    """All that occur in it."""


def leaf(*variable: str) -> Node:
    """One variable."""
    return Node(variable=variable, variables=frozenset((variable,)))


def k_of(needed: int, parts: Sequence[Node]) -> Node:
    """At least `needed` of `parts`."""
    if len(parts) == 1 and needed == 1:
        return parts[0]
    every = frozenset[Variable]().union(*(part.variables for part in parts))
    return Node(tuple(parts), needed, variables=every)


def fleet(needed: int, zones: Sequence[tuple[Variable, int]], chance: float, name: Variable) -> Node:
    """At least `needed` of many instances that are alike and stand in zones."""
    every = frozenset((name, *(zone for zone, _ in zones)))
    return Node(needed=needed, zones=tuple(zones), chance=chance, name=name, variables=every)


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
    return _Exact(node, up).probability(node, {})


class _Exact:
    """Parts of one shape are computed once for each state of what they share: a system has few shapes."""

    def __init__(self, root: Node, up: Mapping[Variable, float]) -> None:
        self._up = up
        self._visits = 0
        self._found: dict[tuple[int, frozenset[tuple[Variable, bool]]], float] = {}
        occurs: dict[Variable, int] = {}
        self._count(root, occurs)
        self._several = frozenset(variable for variable, count in occurs.items() if count > 1)
        self._numbers: dict[object, int] = {}
        self._shapes: dict[int, tuple[int, frozenset[Variable]]] = {}
        self._fleets: dict[Variable, Node] = {}
        self._shape(root)

    def _visit(self, count: int) -> None:
        self._visits += count
        if self._visits > visits_max:
            raise TooCorrelated

    def _count(self, node: Node, occurs: dict[Variable, int]) -> None:
        self._visit(1)
        for variable in (node.variable, node.name, *(zone for zone, _ in node.zones)):
            if variable:
                occurs[variable] = occurs.get(variable, 0) + 1
        for part in node.parts:
            self._count(part, occurs)

    def _shape(self, node: Node) -> int:
        """A number that nodes share which are up with the same probability, whatever is known of what they share."""
        known = self._shapes.get(id(node))
        if known is not None:
            return known[0]
        what: object
        if node.variable is not None:
            what = self._kind(node.variable)
        elif node.zones:
            own = node.name if node.name in self._several else ()
            self._fleets[node.name] = node
            what = (own, node.needed, node.chance, tuple((self._kind(zone), count) for zone, count in node.zones))
        else:
            what = (node.needed, tuple(sorted(self._shape(part) for part in node.parts)))
        number = self._numbers.setdefault(what, len(self._numbers))
        self._shapes[id(node)] = number, node.variables & self._several
        return number

    def _kind(self, variable: Variable) -> Variable | float:
        return variable if variable in self._several else self._up[variable]

    def probability(self, node: Node, fixed: dict[Variable, bool]) -> float:
        if node.variable is not None:
            known = fixed.get(node.variable)
            return self._up[node.variable] if known is None else float(known)
        shape, several = self._shapes[id(node)]
        few, many = (fixed, several) if len(fixed) < len(several) else (several, fixed)
        key = shape, frozenset((variable, fixed[variable]) for variable in few if variable in many)
        found = self._found.get(key)
        if found is None:
            self._visit(len(node.parts))
            found = self._found[key] = self._computed(node, fixed)
        return found

    def _computed(self, node: Node, fixed: dict[Variable, bool]) -> float:
        if node.zones:
            return self._of_fleet(node, fixed)
        shared = self._shared(node, fixed)
        if shared is None:
            return _at_least(node.needed, [self.probability(part, fixed) for part in node.parts])
        up = self._of_fleet(self._fleets[shared], fixed) if shared in self._fleets else self._up[shared]
        with_it = self.probability(node, {**fixed, shared: True})
        return up * with_it + (1 - up) * self.probability(node, {**fixed, shared: False})

    def _of_fleet(self, node: Node, fixed: Mapping[Variable, bool]) -> float:
        own = fixed.get(node.name)
        if own is not None:
            return float(own)
        standing = {0: 1.0}
        for zone, count in node.zones:
            known = fixed.get(zone)
            standing = _with_zone(standing, count, self._up[zone] if known is None else float(known))
        return math.fsum(share * tail(node.needed, left, node.chance) for left, share in standing.items())

    def _shared(self, node: Node, fixed: Mapping[Variable, bool]) -> Variable | None:
        """The variable that most parts of `node` have in common; None where each occurs in one part alone.

        A fleet comes after its zones, on which it depends: whatever parts share it share them.
        """
        counts: dict[Variable, int] = {}
        for part in node.parts:
            for variable in self._shapes[id(part)][1]:
                if variable not in fixed:
                    counts[variable] = counts.get(variable, 0) + 1
        several = [variable for variable, count in counts.items() if count > 1]
        first = [variable for variable in several if variable not in self._fleets] or several
        return min(first, key=lambda variable: (-counts[variable], variable), default=None)


def _with_zone(standing: Mapping[int, float], count: int, up: float) -> dict[int, float]:
    """How probable it is that so many instances stand in zones that are up, with one zone more."""
    found: dict[int, float] = {}
    for left, share in standing.items():
        found[left + count] = found.get(left + count, 0.0) + share * up
        found[left] = found.get(left, 0.0) + share * (1.0 - up)
    return found


@functools.lru_cache(4096)
def tail(needed: int, count: int, chance: float) -> float:
    """The probability that at least `needed` of `count` independent instances are up: the upper tail of a binomial.

    Beyond `instances_summed_max` by the normal distribution, whose error is then far below that of any assumption.
    """
    if needed <= 0 or (chance >= 1.0 and count >= needed):
        return 1.0
    if count < needed or chance <= 0.0:
        return 0.0
    if count > instances_summed_max:
        spread = math.sqrt(count * chance * (1 - chance))
        return 0.5 * math.erfc((needed - 0.5 - count * chance) / (spread * math.sqrt(2)))
    ups, downs = math.log(chance), math.log1p(-chance)
    most = math.lgamma(count + 1)
    logs = (
        most - math.lgamma(down + 1) - math.lgamma(count - down + 1) + down * downs + (count - down) * ups
        for down in range(count - needed + 1)
    )
    return min(1.0, math.fsum(map(math.exp, logs)))


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


def samples_for(node: Node, up: Mapping[Variable, float]) -> int:
    """How many samples of it can be afforded."""
    rare, waiting, seen = 0.0, [node], set[int]()
    while waiting:
        one = waiting.pop()
        if id(one) in seen:
            continue
        seen.add(id(one))
        waiting.extend(one.parts)
        share = up[one.variable] if one.variable is not None else 1.0
        if one.zones:
            share = tail(one.needed, sum(count for _, count in one.zones), one.chance)
        rare += min(share, 1.0 - share)
    return min(samples_default, max(samples_min, int(draws_max / max(rare, 1e-9))))


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
        self._standing = functools.cache(self._stand)
        self._fleets: dict[Variable, int] = {}

    def bits(self, node: Node) -> int:
        if node.variable is not None:
            return self._variable(node.variable)
        if node.zones:
            return self._fleet(node)
        if node.needed == len(node.parts):
            return functools.reduce(lambda one, other: one & other, map(self.bits, node.parts), self._all)
        at_least = [self._all] + [0] * node.needed
        for part in node.parts:
            bits = self.bits(part)
            for count in range(node.needed, 0, -1):
                at_least[count] |= at_least[count - 1] & bits
        return at_least[node.needed]

    def _fleet(self, node: Node) -> int:
        """In the samples in which as many of its instances stand, with the chance that this many give."""
        if node.name in self._fleets:
            return self._fleets[node.name]
        result = 0
        for left, mask, places in self._standing(node.zones):
            chance = tail(node.needed, left, node.chance)
            if chance:
                result |= mask & self._drawn(chance, ("fleet", *node.name, str(left)), places)
        self._fleets[node.name] = result
        return result

    def _stand(self, zones: tuple[tuple[Variable, int], ...]) -> list[tuple[int, int, Sequence[int]]]:
        """By how many instances stand in zones that are up: the samples, as bits and as places where they are few."""
        standing = {0: self._all}
        for zone, count in zones:
            bits, found = self._variable(zone), dict[int, int]()
            for left, mask in standing.items():
                found[left + count] = found.get(left + count, 0) | (mask & bits)
                found[left] = found.get(left, 0) | (mask & ~bits)
            standing = found
        return [(left, mask, self._places(mask)) for left, mask in standing.items() if mask]

    def _places(self, mask: int) -> Sequence[int]:
        if mask.bit_count() * few > self._samples:
            return range(self._samples)
        raw = mask.to_bytes(self._samples // 8 + 1, "little")
        some = ((found.start(), found[0][0]) for found in re.finditer(rb"[^\0]", raw))
        return [byte * 8 + bit for byte, bits in some for bit in range(8) if bits >> bit & 1]

    def _draw(self, variable: Variable) -> int:
        return self._drawn(self._up[variable], variable, range(self._samples))

    def _drawn(self, up: float, name: Variable, places: Sequence[int]) -> int:
        """One bit a sample, at `places`. The gaps between rare events are geometric: only those are drawn."""
        rare_is_up = up < 0.5
        rare = up if rare_is_up else 1 - up
        field = bytearray(self._samples // 8 + 1)
        if rare > 0:
            chance = derived("availability", str(self._seed), *name)
            scale = math.log1p(-rare)
            at = int(math.log(1.0 - chance.random()) / scale)
            while at < len(places):
                field[places[at] >> 3] |= 1 << (places[at] & 7)
                at += 1 + int(math.log(1.0 - chance.random()) / scale)
        bits = int.from_bytes(field, "little")
        return bits if rare_is_up else self._all & ~bits
