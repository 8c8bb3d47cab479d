"""Messages of SQS become runs, each once: through consumers that are killed, and calls that fail or are lost."""

from __future__ import annotations

import asyncio
import os
import signal
import sys
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import pytest

from outlast.adapters.aws.client import Place
from outlast.adapters.aws.sqs import SqsQueue
from outlast.adapters.host.randomness import OsRandomness
from outlast.adapters.sqlite.store import SqliteStore
from outlast.agent.app import App
from outlast.agent.control import Control
from outlast.agent.run import Run
from outlast.cell.courier import Courier, CourierBounds
from outlast.cell.intake import Intake, IntakeBounds
from outlast.cell.queue import Parcel, QueueUnavailable
from outlast.cell.redrive import redrive
from outlast.journal.index import HintPatch
from outlast.journal.stream import Notice
from outlast.policy.retry import Retry
from tests.adapters.aws.arranged import new_queue
from tests.adapters.aws.emulator import CREDENTIALS, emulator
from tests.adapters.aws.proxy import FAULTS, faulty
from tests.agent.desk import Desk

app: App[None] = App("t")
QUICK = Retry(1_000, 0.001, 0.02)


@app.agent
async def index(run: Run[None], document: str) -> str:
    return document


@pytest.fixture(scope="module")
def ministack() -> Iterator[Place]:
    with emulator("ministack") as place:
        yield place


@pytest.fixture(autouse=True)
def _credentials(monkeypatch: pytest.MonkeyPatch) -> None:
    for name, value in CREDENTIALS.items():
        monkeypatch.setenv(name, value)


async def send(queue: Any, bodies: Sequence[bytes]) -> None:
    """As a careful producer does: whatever is not surely there is sent again, under the same origin."""
    left = [Parcel(body, f"producer-{number}") for number, body in enumerate(bodies)]
    async with asyncio.timeout(60):
        while left:
            batch, left = left[:10], left[10:]
            try:
                taken = await queue.send(batch)
            except QueueUnavailable:
                taken = [False] * len(batch)
            left += [parcel for parcel, there in zip(batch, taken, strict=True) if not there]


@pytest.mark.crash
@pytest.mark.timeout(600)
async def test_consumers_killed_in_mid_batch_lose_and_double_nothing(ministack: Place, tmp_path: Path) -> None:
    documents = [f"document {number}" for number in range(40)]
    async with new_queue(ministack, hidden_s=1) as queue:
        await send(queue, [f'["{document}"]'.encode() for document in documents])
        deaths = 0
        for appends, deletions in [(1, 0), (4, 0), (0, 1), (7, 0), (0, 2), (0, 0)]:
            assert queue.dead_letters is not None
            arguments = [ministack.endpoint_url, queue._url, queue.dead_letters._url, str(tmp_path), appends, deletions]
            process = await asyncio.create_subprocess_exec(
                sys.executable,
                "-m",
                "tests.adapters.aws.consumer",
                *map(str, arguments),
                env={**os.environ, **CREDENTIALS},
            )
            deaths += await process.wait() == -signal.SIGKILL
        assert deaths == 5
    store = SqliteStore.open(tmp_path / "journal.sqlite", OsRandomness())
    streams = await store.streams("run")
    inputs = [(await store.read(stream, 0, 1))[0].body.decode() for stream in streams]
    store.close()
    assert len(streams) == len(documents)
    assert all(sum(f'"{document}"' in each for each in inputs) == 1 for document in documents)


@pytest.mark.timeout(600)
async def test_calls_that_fail_or_are_lost_lose_and_double_nothing(ministack: Place) -> None:
    desk = Desk(app, {})
    async with new_queue(ministack) as direct, faulty(ministack, seed=7) as (proxy, place):
        assert direct.dead_letters is not None
        dead = SqsQueue(direct.dead_letters._url, place, hidden_s=2)
        queue = SqsQueue(direct._url, place, hidden_s=2, dead_letters=dead)
        await queue.depth()  # connected
        proxy.share = 0.3
        await send(queue, [f'["document {number}"]'.encode() for number in range(60)] + [b"not json"] * 5)
        bounds = IntakeBounds(wait_s=1, look_every_s=0.0, pause=QUICK)
        said: list[str] = []
        intake = Intake(Control(desk.platform(desk.store), app), "index", queue, said.append, bounds)
        working = asyncio.ensure_future(intake.run())

        async def empty() -> bool:
            depth = await direct.depth()
            return depth.waiting + depth.under_way == 0

        await desk.wait_for(empty, "the queue is empty", deadline_s=90.0)
        working.cancel()
        await asyncio.gather(working, return_exceptions=True)
        assert len(await desk.store.list(limit=1_000)) == 60
        assert all(proxy.counts[fault] for fault in FAULTS), proxy.counts
        proxy.share = 0.0
        identities = {each.identity for _ in range(10) for each in await dead.receive(10, 0)}
        assert identities == {f"producer-{number}" for number in range(60, 65)}
        await queue.close()
        await dead.close()


@pytest.mark.timeout(600)
async def test_dead_letters_of_sqs_are_redriven_under_their_identity(ministack: Place) -> None:
    desk = Desk(app, {})
    async with new_queue(ministack, receives_max=1) as queue:
        await queue.send([Parcel(b'["poison"]'), Parcel(b'["poison too"]')])
        sent = [each for _ in range(2) for each in await queue.receive(10, 1)]
        await queue.hide(sent, 0)
        assert await queue.receive(10, 1) == []
        told = await redrive(queue)
        assert (told.moved, told.refused, told.left) == (2, 0, 0)
        back = [each for _ in range(2) for each in await queue.receive(10, 1)]
        assert {each.identity for each in back} == {each.id for each in sent}
        assert desk


@pytest.mark.timeout(600)
async def test_notices_reach_another_process_over_sqs(ministack: Place, until: Any) -> None:
    desk = Desk(app, {})
    async with new_queue(ministack, hidden_s=5, receives_max=3) as queue:
        platform = desk.platform(desk.store)
        bounds = CourierBounds(wait_s=1, again=QUICK)
        here = Courier(queue, platform.clock, platform.randomness, print, bounds)
        there = Courier(queue, platform.clock, platform.randomness, print, bounds)
        heard: list[Notice] = []
        there.listen(heard.extend)
        desk.store.listen(here.ring)
        await desk.start("index", ["a"])
        await queue.send([Parcel(b"not a notice")])
        work = [asyncio.ensure_future(each) for each in (here.send(), there.hear())]
        await until(lambda: heard, 20)
        await until(lambda: there.counts.unread, 20)
        for each in work:
            each.cancel()
        await asyncio.gather(*work, return_exceptions=True)
    hint = heard[0].hint
    assert isinstance(hint, HintPatch)
    assert hint.state == "ready"
