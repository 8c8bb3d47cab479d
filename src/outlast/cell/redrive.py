"""Dead letters go back to where they came from: bounded, counted, and each keeps its identity."""

from __future__ import annotations

import msgspec

from outlast.cell.queue import Message, Parcel, Queue, send_bytes_max, send_count_max
from outlast.kernel.error import UsageError

redrive_count_max = 1_000
"""How many messages one call moves if it is not told."""
_wait_s = 1.0


class Redriven(msgspec.Struct, frozen=True):
    """What a redrive did. `left`: about how many dead letters there still are."""

    moved: int
    refused: int
    """Not taken back by the source: they stay dead letters."""
    left: int


async def redrive(source: Queue, count_max: int = redrive_count_max) -> Redriven:
    """Move dead letters of `source` back into it. Raises UsageError if it has none, QueueUnavailable.

    A message is deleted there only when it is durable here: one that breaks off leaves some in both places, and what
    they start is the same run, because they have the same identity. One that dies again meanwhile is not moved twice.
    """
    dead = source.dead_letters
    if dead is None:
        raise UsageError(f"queue {source.name} has no queue for dead letters: there is nothing to redrive")
    if count_max < 1:
        raise UsageError(f"redrive of queue {source.name}: count_max is {count_max}, write one or more")
    moved: set[str] = set()
    refused: set[str] = set()
    while (room := count_max - len(moved) - len(refused)) > 0:
        messages = await dead.receive(min(send_count_max, room), _wait_s)
        fresh = [each for each in messages if each.identity not in moved and each.identity not in refused]
        if not fresh:
            break
        for batch in _batches(fresh):
            taken = await source.send([Parcel(each.body, each.identity) for each in batch])
            done = [each for each, accepted in zip(batch, taken, strict=True) if accepted]
            moved.update(each.identity for each in done)
            refused.update(each.identity for each, accepted in zip(batch, taken, strict=True) if not accepted)
            if done:
                await dead.delete(done)
    depth = await dead.depth()
    return Redriven(len(moved), len(refused), depth.waiting + depth.under_way)


def _batches(messages: list[Message]) -> list[list[Message]]:
    batches: list[list[Message]] = []
    size = 0
    for message in messages:
        if not batches or size + len(message.body) > send_bytes_max:
            batches.append([])
            size = 0
        batches[-1].append(message)
        size += len(message.body)
    return batches
