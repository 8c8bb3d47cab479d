"""What every Publisher does. Whoever listens may hear it late, twice and in any order."""

from __future__ import annotations

import abc
from collections.abc import AsyncIterator, Awaitable, Callable, Sequence
from contextlib import AbstractAsyncContextManager

import pytest

from outlast.journal.publication import Publication, Publisher

Hear = Callable[[], Awaitable[Sequence[Publication]]]
"""All that has arrived so far."""


def publication(seq: int, stream: str = "run/r1@0.local.test", **data: object) -> Publication:
    return Publication(stream, "run", "r1", "0.local.test", seq, f"w.{seq}", "step.done", 1, 1_700_000_000.25, data)


class PublisherContract(abc.ABC):
    @abc.abstractmethod
    def opened(self) -> AbstractAsyncContextManager[tuple[Publisher, Hear]]:
        """A publisher, and the ear of one who listens to it."""

    @pytest.fixture
    async def both(self) -> AsyncIterator[tuple[Publisher, Hear]]:
        async with self.opened() as both:
            yield both

    async def test_what_is_published_arrives_as_it_was(self, both: tuple[Publisher, Hear]) -> None:
        publisher, hear = both
        sent = [publication(seq, name="l\u00e4dt", number=seq, nested={"a": [1, None]}) for seq in range(1, 11)]
        assert list(await publisher.publish(sent)) == ["sent"] * 10
        assert {each.seq: each for each in await arrived(hear, 10)} == {each.seq: each for each in sent}

    async def test_what_is_published_twice_can_be_told_by_its_stream_and_number(
        self, both: tuple[Publisher, Hear]
    ) -> None:
        publisher, hear = both
        await publisher.publish([publication(1), publication(2, "run/r2@0.local.test")])
        await publisher.publish([publication(1)])
        found = await arrived(hear, 3)
        assert sorted((each.stream, each.seq) for each in found) == [
            ("run/r1@0.local.test", 1),
            ("run/r1@0.local.test", 1),
            ("run/r2@0.local.test", 2),
        ]

    async def test_nothing_is_published_of_nothing(self, both: tuple[Publisher, Hear]) -> None:
        assert list(await both[0].publish([])) == []


async def arrived(hear: Hear, count: int, looks: int = 60) -> list[Publication]:
    found: list[Publication] = []
    for _ in range(looks):
        found = list(await hear())
        if len(found) >= count:
            return found
    raise AssertionError(f"{len(found)} of {count} events arrived")
