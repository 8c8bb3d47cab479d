"""How high each item stands in its column: as near to its neighbours as the order and the room between items allow.

Each column is a least-squares problem under an order, solved exactly by pooling adjacent violators (Barlow,
Bartholomew, Bremner and Brunk, Statistical Inference under Order Restrictions, 1972).
"""

from __future__ import annotations

from collections.abc import Callable, Sequence

_sweeps = 8


def settle(
    stacks: Sequence[Sequence[Sequence[int]]],
    reach: Callable[[int], float],
    left: Sequence[Sequence[int]],
    right: Sequence[Sequence[int]],
    heights: Sequence[float],
) -> list[float]:
    """The middle of each item, from the top of its lane.

    `stacks[column][lane]` are the items from the top down, `reach` is half of the room that one takes, `heights` is the
    room of each lane, in which every stack fits.
    """
    y = [0.0] * len(left)
    for column in stacks:
        for lane, stack in enumerate(column):
            start = (heights[lane] - sum(2 * reach(item) for item in stack)) / 2
            for item in stack:
                y[item] = start + reach(item)
                start += 2 * reach(item)
    lane_of = {item: lane for column in stacks for lane, stack in enumerate(column) for item in stack}
    for sweep in range(_sweeps):
        forward = sweep % 2 == 0
        for column in stacks if forward else reversed(stacks):
            for lane, stack in enumerate(column):
                wanted = [_wanted(item, lane, left[item], right[item], y, lane_of, forward=forward) for item in stack]
                for item, at in zip(
                    stack, _packed(wanted, [reach(item) for item in stack], heights[lane]), strict=True
                ):
                    y[item] = at
    return y


def _wanted(
    item: int,
    lane: int,
    left: Sequence[int],
    right: Sequence[int],
    y: Sequence[float],
    lane_of: dict[int, int],
    *,
    forward: bool,
) -> float:
    """The mean of the neighbours in the same lane: of the side that was placed just now, or else of the other."""
    for side in (left, right) if forward else (right, left):
        near = [y[other] for other in side if lane_of[other] == lane]
        if near:
            return sum(near) / len(near)
    return y[item]


def _packed(wanted: Sequence[float], reach: Sequence[float], height: float) -> list[float]:
    """The places nearest to `wanted` that keep the order, the distances and the room from 0 to `height`."""
    offsets: list[float] = []
    used = 0.0
    for half in reach:
        offsets.append(used + half)
        used += 2 * half
    blocks: list[tuple[float, int]] = []  # mean of what its members want, and how many they are
    for want, offset in zip(wanted, offsets, strict=True):
        mean, count = want - offset, 1
        while blocks and blocks[-1][0] > mean:
            other, members = blocks.pop()
            mean = (mean * count + other * members) / (count + members)
            count += members
        blocks.append((mean, count))
    flat = [min(max(mean, 0.0), max(height - used, 0.0)) for mean, count in blocks for _ in range(count)]
    return [at + offset for at, offset in zip(flat, offsets, strict=True)]
