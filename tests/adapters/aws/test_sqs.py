"""SQS passes the suite of queues on two emulators, and says what is wrong in one line."""

from __future__ import annotations

from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager

import pytest

from outlast.adapters.aws.client import Place
from outlast.adapters.aws.sqs import SqsQueue
from outlast.cell.queue import Parcel, QueueUnavailable
from outlast.kernel.error import ConfigurationError
from tests.adapters.aws.arranged import new_queue
from tests.adapters.aws.emulator import CREDENTIALS, emulator
from tests.contracts.queue import RECEIVES_MAX, QueueContract
from tests.servers.process import free_port


@pytest.fixture(scope="module")
def ministack() -> Iterator[Place]:
    with emulator("ministack") as place:
        yield place


@pytest.fixture(scope="module")
def moto() -> Iterator[Place]:
    with emulator("moto_server") as place:
        yield place


@pytest.fixture(autouse=True)
def _credentials(monkeypatch: pytest.MonkeyPatch) -> None:
    for name, value in CREDENTIALS.items():
        monkeypatch.setenv(name, value)


class OnEmulator(QueueContract):
    place: Place

    @asynccontextmanager
    async def opened(self, hidden_s: float) -> AsyncIterator[SqsQueue]:
        async with new_queue(self.place, hidden_s, RECEIVES_MAX) as queue:
            yield queue


class TestOnMinistack(OnEmulator):
    @pytest.fixture(autouse=True)
    def _there(self, ministack: Place) -> None:
        self.place = ministack


class TestOnMoto(OnEmulator):
    @pytest.fixture(autouse=True)
    def _there(self, moto: Place) -> None:
        self.place = moto

    async def test_a_queue_that_is_not_there_is_named(self) -> None:
        queue = SqsQueue(f"{self.place.endpoint_url}/123456789012/absent", self.place)
        with pytest.raises(QueueUnavailable, match=r"SQS \(absent\) answered .*NonExistentQueue"):
            await queue.send([Parcel(b"one")])
        await queue.close()

    async def test_what_is_no_text_is_refused_alone(self) -> None:
        async with self.opened(30) as queue:
            assert await queue.send([Parcel(b"\xff"), Parcel(b"one")]) == [False, True]


async def test_a_service_that_is_away_is_said() -> None:
    url = f"http://127.0.0.1:{free_port()}"
    queue = SqsQueue(f"{url}/1/documents", Place("eu-central-1", url))
    with pytest.raises(QueueUnavailable, match=r"SQS \(documents\) did not answer: Could not connect"):
        await queue.receive(1, 0)
    await queue.close()


@pytest.mark.parametrize("url", ["documents", "", "arn:aws:sqs:eu-central-1:111122223333:documents"])
def test_what_is_no_address_is_refused(url: str) -> None:
    with pytest.raises(ConfigurationError, match="write https://sqs"):
        SqsQueue(url, Place())


def test_a_time_that_sqs_does_not_take_is_refused() -> None:
    with pytest.raises(ConfigurationError, match="hidden_s is 0"):
        SqsQueue("https://sqs.eu-central-1.amazonaws.com/111122223333/documents", Place(), hidden_s=0)
