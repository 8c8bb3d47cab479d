"""Which column a component stands in: what needs others to the left of what it needs.

The first step of layered drawing (Sugiyama, Tagawa and Toda, 1981): cycles are opened by turning the edges that close
them, the longest path gives the layer, and a node moves to where its edges are shortest. Layers with more rows than
`rows_max` become several columns.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence

Pairs = Sequence[tuple[str, str]]
"""Source and target of each arrow."""

_passes = 6


def columns(names: Sequence[str], arrows: Pairs, lane_of: Mapping[str, int], rows_max: int) -> dict[str, int]:
    """The column of each name, from 0. Arrows that close a cycle lead to the left; all others to the right."""
    forward = [(b, a) if turned else (a, b) for (a, b), turned in zip(arrows, _turned(names, arrows), strict=True)]
    forward = list(dict.fromkeys((a, b) for a, b in forward if a != b))
    layer = _shortened(names, forward, _longest(names, forward))
    return _wrapped(names, forward, layer, lane_of, rows_max)


def _turned(names: Sequence[str], arrows: Pairs) -> list[bool]:
    """Which arrows close a cycle in a depth-first walk from the names that nothing leads to."""
    leaving: dict[str, list[int]] = {name: [] for name in names}
    entered = set[str]()
    for i, (source, target) in enumerate(arrows):
        leaving[source].append(i)
        entered.add(target)
    turned = [False] * len(arrows)
    done, on_way = set[str](), set[str]()
    for root in (*(name for name in names if name not in entered), *names):
        if root in done:
            continue
        stack = [(root, iter(leaving[root]))]
        on_way.add(root)
        while stack:
            name, rest = stack[-1]
            i = next(rest, None)
            if i is None:
                stack.pop()
                on_way.discard(name)
                done.add(name)
                continue
            target = arrows[i][1]
            if target in on_way:
                turned[i] = True
            elif target not in done:
                on_way.add(target)
                stack.append((target, iter(leaving[target])))
    return turned


def _longest(names: Sequence[str], arrows: Pairs) -> dict[str, int]:
    """The number of arrows on the longest way to each name; topological order (Kahn)."""
    leaving: dict[str, list[str]] = {name: [] for name in names}
    waiting = dict.fromkeys(names, 0)
    for source, target in arrows:
        leaving[source].append(target)
        waiting[target] += 1
    layer = dict.fromkeys(names, 0)
    ready = [name for name in names if not waiting[name]]
    for name in ready:
        for target in leaving[name]:
            layer[target] = max(layer[target], layer[name] + 1)
            waiting[target] -= 1
            if not waiting[target]:
                ready.append(target)
    return layer


def _shortened(names: Sequence[str], arrows: Pairs, layer: dict[str, int]) -> dict[str, int]:
    """Moves each name to the side where it has more arrows, as far as it may go."""
    before: dict[str, list[str]] = {name: [] for name in names}
    after: dict[str, list[str]] = {name: [] for name in names}
    for source, target in arrows:
        after[source].append(target)
        before[target].append(source)
    for _ in range(_passes):
        moved = False
        for name in sorted(names, key=lambda name: -layer[name]):
            if not after[name] or len(before[name]) >= len(after[name]):
                continue
            last = min(layer[target] for target in after[name]) - 1
            moved = moved or last != layer[name]
            layer[name] = last
        if not moved:
            break
    used = {at: i for i, at in enumerate(sorted(set(layer.values())))}
    return {name: used[at] for name, at in layer.items()}


def _wrapped(
    names: Sequence[str], arrows: Pairs, layer: dict[str, int], lane_of: Mapping[str, int], rows_max: int
) -> dict[str, int]:
    """Spreads each layer over as many columns as its fullest lane needs; what leads on stands in the last of them."""
    leads = {source for source, _ in arrows}
    cells: dict[int, dict[int, list[str]]] = {}
    for name in names:
        cells.setdefault(layer[name], {}).setdefault(lane_of[name], []).append(name)
    column: dict[str, int] = {}
    start = 0
    for at in sorted(cells):
        parts = max(-(-len(members) // rows_max) for members in cells[at].values())
        for members in cells[at].values():
            ordered = sorted(members, key=lambda name: name in leads)
            needed = -(-len(members) // rows_max)
            rows = -(-len(members) // needed)
            for i, name in enumerate(ordered):
                column[name] = start + (parts - needed) + i // rows
        start += parts
    return column
