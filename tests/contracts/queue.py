"""What every Queue does. Real services count time in whole seconds: so does this suite."""

from __future__ import annotations

import abc
import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import AbstractAsyncContextManager

import pytest

from outlast.cell.queue import Message, Parcel, Queue, send_bytes_max, send_count_max

RECEIVES_MAX = 3
Until = Callable[..., Awaitable[None]]


class QueueContract(abc.ABC):
    @abc.abstractmethod
    def opened(self, hidden_s: float) -> AbstractAsyncContextManager[Queue]:
        """A new queue with dead letters, to which a message goes that was delivered RECEIVES_MAX times."""

    @pytest.fixture
    async def queue(self) -> AsyncIterator[Queue]:
        async with self.opened(30) as queue:
            yield queue

    @pytest.fixture
    async def brief(self) -> AsyncIterator[Queue]:
        async with self.opened(1) as queue:
            yield queue

    async def test_nothing_is_there_at_first(self, queue: Queue) -> None:
        assert await queue.receive(10, 0) == []

    async def test_what_was_sent_is_received_with_its_first_attempt(self, queue: Queue) -> None:
        assert await queue.send([Parcel(b'{"a": "\xc3\xa4"}'), Parcel(b"two", "origin-2", "because")]) == [True, True]
        found = sorted(await drained(queue, 2), key=lambda each: each.body)
        assert [each.body for each in found] == [b"two", b'{"a": "\xc3\xa4"}']
        assert [each.attempt for each in found] == [1, 1]
        assert (found[0].origin, found[0].reason, found[0].identity) == ("origin-2", "because", "origin-2")
        assert (found[1].origin, found[1].reason, found[1].identity) == ("", "", found[1].id)
        assert found[0].id != found[1].id
        assert all(each.sent_at > 1_000_000_000 for each in found)

    async def test_who_waits_is_told_of_what_comes(self, queue: Queue) -> None:
        waiting = asyncio.ensure_future(queue.receive(1, 10))
        await queue.send([Parcel(b"late")])
        assert [each.body for each in await waiting] == [b"late"]

    async def test_a_received_message_is_hidden_from_others(self, queue: Queue) -> None:
        await queue.send([Parcel(b"one")])
        await drained(queue, 1)
        assert await queue.receive(10, 0) == []
        depth = await queue.depth()
        assert (depth.waiting, depth.under_way) == (0, 1)

    async def test_what_was_not_deleted_comes_back_with_the_same_identity(self, brief: Queue) -> None:
        await brief.send([Parcel(b"one")])
        first = (await drained(brief, 1))[0]
        second = (await drained(brief, 1))[0]
        assert (second.id, second.attempt, second.body) == (first.id, 2, b"one")

    async def test_what_was_deleted_never_comes_back(self, brief: Queue) -> None:
        await brief.send([Parcel(b"one"), Parcel(b"two")])
        found = await drained(brief, 2)
        await brief.delete([each for each in found if each.body == b"one"])
        assert [each.body for each in await drained(brief, 2)] == [b"two"] * 2, "as long as two comes back twice"

    async def test_a_message_can_be_given_back_at_once(self, queue: Queue) -> None:
        await queue.send([Parcel(b"one")])
        await queue.hide(await drained(queue, 1), 0)
        assert (await drained(queue, 1))[0].attempt == 2

    async def test_a_message_can_be_kept_for_longer(self, brief: Queue) -> None:
        await brief.send([Parcel(b"one")])

        async def kept() -> bool:
            await brief.hide(await drained(brief, 1), 30)
            return await brief.receive(10, 2) == []

        assert await kept() or await kept(), "on a busy machine its second may be over before it is kept"
        depth = await brief.depth()
        assert (depth.waiting, depth.under_way) == (0, 1)

    async def test_what_is_delivered_too_often_is_a_dead_letter_with_the_same_identity(self, queue: Queue) -> None:
        await queue.send([Parcel(b"poison")])
        identities: set[str] = set()
        for _ in range(RECEIVES_MAX):
            found = await drained(queue, 1)
            identities.add(found[0].identity)
            await queue.hide(found, 0)
        assert await queue.receive(1, 1) == []
        assert queue.dead_letters is not None
        dead = (await drained(queue.dead_letters, 1))[0]
        assert {dead.identity} == identities
        assert dead.body == b"poison"

    async def test_as_many_as_are_allowed_go_at_once(self, queue: Queue) -> None:
        assert all(await queue.send([Parcel(str(number).encode()) for number in range(send_count_max)]))
        found = await drained(queue, send_count_max)
        assert {each.body for each in found} == {str(number).encode() for number in range(send_count_max)}

    async def test_what_does_not_fit_is_refused_alone(self, queue: Queue) -> None:
        taken = await queue.send([Parcel(b"one"), Parcel(b""), Parcel(b"x" * send_bytes_max), Parcel(b"two")])
        assert list(taken) == [True, False, False, True]
        assert {each.body for each in await drained(queue, 2)} == {b"one", b"two"}

    async def test_doing_it_twice_or_too_late_harms_nothing(self, brief: Queue) -> None:
        await brief.send([Parcel(b"one")])
        first = await drained(brief, 1)
        second = await drained(brief, 1)
        await brief.delete(second)
        await brief.delete(second)
        await brief.hide(first, 5)
        await brief.delete(first)
        assert await brief.receive(10, 0) == []


async def drained(queue: Queue, count: int, within_s: float = 20.0) -> list[Message]:
    """So many messages, however many looks it takes."""
    found: list[Message] = []
    async with asyncio.timeout(within_s):
        while len(found) < count:
            found += await queue.receive(min(send_count_max, count - len(found)), 1)
    return found
