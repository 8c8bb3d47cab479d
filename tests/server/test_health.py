from __future__ import annotations

import asyncio
import dataclasses
from collections.abc import Sequence

from outlast.adapters.memory.store import MemoryStore
from outlast.agent.control import Control
from outlast.agent.platform import Platform
from outlast.journal.stream import Append, Outcome, Unknown
from outlast.kernel.error import StoreUnavailable
from outlast.server.limit import Limits
from tests.server.site import Site, desk, running


class Ailing(MemoryStore):
    """A store whose reads and whose writer fail, or say nothing, when they are told to."""

    def __init__(self) -> None:
        super().__init__()
        self.reads = self.writer = "well"
        self.probes = 0

    async def streams(self, kind: str, after: str = "", limit: int = 1000) -> Sequence[str]:
        self.probes += 1
        if self.reads == "silent":
            await asyncio.Event().wait()
        if self.reads == "ill":
            raise StoreUnavailable("the disk is gone")
        return await super().streams(kind, after, limit)

    async def append(self, append: Append) -> Outcome:
        if self.writer == "silent":
            await asyncio.Event().wait()
        return Unknown("nobody listens") if self.writer == "ill" else await super().append(append)


def ailing(platform: Platform) -> tuple[Ailing, Control]:
    store = Ailing()
    return store, Control(dataclasses.replace(platform, store=store, index=store, snapshots=store), desk())


async def test_a_server_that_works_is_ready_and_its_probe_writes_nothing(site: Site, platform: Platform) -> None:
    answer = await site.get("/readyz")
    assert (answer.status, answer.json["status"]) == (200, "ready")
    assert {name: check["ok"] for name, check in answer.json["checks"].items()} == {"read": True, "writer": True}
    assert not await platform.store.streams("agent")


async def test_readyz_says_what_is_wrong_and_livez_does_not_care(platform: Platform) -> None:
    store, control = ailing(platform)
    async with running(control, desk(), limits=Limits(probe_timeout_s=0.1)) as site:
        for part, check in (("reads", "read"), ("writer", "writer")):
            for how, said in (("ill", "store_unavailable"), ("silent", "no answer within 0.1 s")):
                setattr(store, part, how)
                answer = await site.get("/readyz")
                assert (answer.status, answer.json["status"]) == (503, "not ready")
                assert answer.headers["retry-after"] == "1"
                wrong = {name: found["detail"] for name, found in answer.json["checks"].items() if not found["ok"]}
                assert list(wrong) == [check]
                assert said in wrong[check]
                assert (await site.get("/livez")).status == 200
            setattr(store, part, "well")
        assert (await site.get("/readyz")).status == 200


async def test_many_who_ask_at_once_share_one_probe(platform: Platform) -> None:
    store, control = ailing(platform)
    store.writer = "silent"
    async with running(control, desk(), limits=Limits(probe_timeout_s=0.3)) as site:
        answers = await asyncio.gather(*(site.get("/readyz") for _ in range(20)))
        assert {answer.status for answer in answers} == {503}
        assert store.probes < 5


async def test_a_store_that_is_ill_is_503_with_a_hint_to_come_back(platform: Platform) -> None:
    store, _ = ailing(platform)
    settings = dataclasses.replace(
        platform, store=store, index=store, snapshots=store,
        settings=type(platform.settings)(append_patience_s=0.05),
    )  # fmt: skip
    async with running(Control(settings, desk()), desk()) as site:
        store.writer = "ill"
        answer = await site.post("/v1/agents/quiet/runs", {})
        assert (answer.status, answer.code, answer.json["retryable"]) == (503, "store_unavailable", True)
        assert answer.headers["retry-after"] == "1"
