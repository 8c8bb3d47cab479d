"""What one host of a store does for all of them: publishes what happened, backs up, and keeps the store in
order.
"""

from __future__ import annotations

import asyncio
import functools
from collections.abc import AsyncGenerator, Callable, Coroutine
from contextlib import AsyncExitStack, asynccontextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any, cast

import msgspec

from outlast.adapters.host.clock import SystemClock
from outlast.adapters.host.randomness import OsRandomness
from outlast.agent.platform import Platform
from outlast.blueprint.schema import Blueprint, Publish
from outlast.bootstrap.duty import backs_up, keep_s, publish_place
from outlast.bootstrap.engine import aws_options, is_shared, open_engine, place_of
from outlast.bootstrap.home import StateDirectory
from outlast.bootstrap.platform import open_client_platform
from outlast.bootstrap.safekeeping import Safekeeping
from outlast.cell.chore import Tell
from outlast.cell.outbox import Outbox, OutboxBounds
from outlast.cell.retention import Retention, Shrinkable, may_go
from outlast.journal.reach import SweptBlobs
from outlast.kernel.error import OutlastError
from outlast.kernel.point import NoPoints

if TYPE_CHECKING:
    from outlast.adapters.aws.engine import AwsEngine

Work = Coroutine[Any, Any, None]

save_within_s = 5.0
"""How long a keeper that ends may take to write how far it published: what it cannot write is published again."""


async def keep(home: Path, blueprint: Blueprint, tell: Tell, ready: Callable[[], None], stop: asyncio.Event) -> None:
    """Do what the blueprint asks for until `stop` is set. `tell` gets lines for people, `ready` is called once.

    Raises StoreUnavailable, StoreCorrupt, ConfigurationError where the journal cannot be opened.
    """
    async with AsyncExitStack() as stack:
        unasked = msgspec.structs.replace(blueprint, models={})  # no model is asked here, so none is watched
        platform = await stack.enter_async_context(open_client_platform(home, unasked))
        aws = None
        if blueprint.run_on.local.journal == "dynamodb":
            from outlast.adapters.aws.engine import AwsEngine

            opening = AwsEngine.open(aws_options(blueprint), SystemClock(), OsRandomness(), NoPoints())
            aws = await stack.enter_async_context(opening)
        works: list[Work] = []
        publish = blueprint.stores.journal.publish
        if publish is not None:
            works += await stack.enter_async_context(_publishing(blueprint, publish, platform, aws, tell))
        kept_s = keep_s(blueprint)
        if kept_s is not None and aws is not None:
            works.append(_housekeeping(blueprint, kept_s, platform, aws, tell))
        elif kept_s is not None:
            store, blobs = await stack.enter_async_context(_shrinkable(home, blueprint))
            works.append(Retention(platform, store, blobs, tell, kept_s, published=publish is not None).run())
        if backs_up(blueprint):
            works.append(Safekeeping(home, blueprint, tell).run())
        ready()
        await _until(stop, works)


async def _until(stop: asyncio.Event, works: list[Work]) -> None:
    """All at once until `stop` is set; what ends before it with an error ends all."""
    loop = asyncio.get_running_loop()
    tasks: list[asyncio.Task[Any]] = [loop.create_task(work) for work in (stop.wait(), *works)]
    try:
        await asyncio.wait(tasks, return_when=asyncio.FIRST_COMPLETED)
    finally:
        ended = [task for task in tasks if task.done()]
        for task in tasks:
            task.cancel()
        await asyncio.wait(tasks)
    for task in ended:
        task.result()


def _housekeeping(
    blueprint: Blueprint, kept_s: float, platform: Platform, aws: AwsEngine, tell: Tell
) -> Work:
    from outlast.adapters.aws.housekeeping import Housekeeping

    said = blueprint.stores.journal
    return Housekeeping(
        aws_options(blueprint), aws, platform.store, platform.clock, platform.randomness, tell, kept_s,
        archive=said.dynamodb is not None and said.dynamodb.archive,
        may_go=functools.partial(may_go, platform, published=said.publish is not None),
    ).run()  # fmt: skip


@asynccontextmanager
async def _shrinkable(home: Path, blueprint: Blueprint) -> AsyncGenerator[tuple[Shrinkable, SweptBlobs]]:
    """The journal that holds what is stored, sealed or not, and its blobs."""
    if is_shared(blueprint):
        async with open_engine(home, blueprint, NoPoints()) as engine:
            yield cast(Shrinkable, engine.journal), cast(SweptBlobs, engine.blobs)
        return
    from outlast.adapters.sqlite.blob import FileBlobs
    from outlast.adapters.sqlite.client import SqliteClient

    state = StateDirectory(home)
    client = await SqliteClient.open(state.journal, state.socket, clock=SystemClock())
    try:
        yield client, FileBlobs(state.blobs, OsRandomness())
    finally:
        client.close()


@asynccontextmanager
async def _publishing(
    blueprint: Blueprint, said: Publish, platform: Platform, aws: AwsEngine | None, tell: Tell
) -> AsyncGenerator[list[Work]]:
    from outlast.adapters.aws.eventbridge import EventBridge

    def complain(line: str) -> None:
        tell("warning", line)

    lineage = platform.store.lineage
    publisher = EventBridge(said.eventbridge, publish_place(blueprint, said))
    outbox = Outbox(
        platform, publisher, complain, OutboxBounds(content=said.content), lambda stream: stream.endswith(f"@{lineage}")
    )
    works: list[Work] = [outbox.run()]
    if aws is not None:
        from outlast.adapters.aws.dynamodb.growth import Growth

        growth = Growth(
            aws_options(blueprint).table, aws.calls["dynamodb"], place_of(blueprint), platform.snapshots, lineage,
            platform.clock, outbox.ring, lambda: outbox.room, complain,
        )  # fmt: skip
        works.append(growth.run())
    stop = platform.store.listen(outbox.ring)
    try:
        yield works
    finally:
        stop()
        await _save(outbox, complain)
        await publisher.close()


async def _save(outbox: Outbox, complain: Callable[[str], None]) -> None:
    try:
        async with asyncio.timeout(save_within_s):
            await outbox.save()
    except (OutlastError, TimeoutError) as error:
        complain(f"how far events are published cannot be written, some come again: {error or 'no answer in time'}")
