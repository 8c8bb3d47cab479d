"""The writer of a stream under appends, lost answers, rivals and closing in any order: nothing twice, nothing out of
order, nothing acknowledged that is not there, nothing behind a rival."""

from __future__ import annotations

import asyncio
import json
from typing import Any

import hypothesis.strategies as st
from hypothesis import settings
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, rule

from outlast.journal.chain import genesis
from outlast.journal.record import append_id_of
from outlast.journal.stream import Append, Outcome, Reply
from outlast.journal.writer import Fenced, StreamWriter
from outlast.kernel.error import Conflict, StoreError, StoreUnavailable
from outlast.kernel.point import NoPoints
from tests.contracts.note import Noted, applied, everything, key, note
from tests.journal.test_writer import Bad, StillClock, submit

PATIENCE_S = 5.0


class Quick(Bad):
    def submit(self, append: Append, reply: Reply) -> None:
        submit(self, append, reply)


class Writing(RuleBasedStateMachine):
    """`asked` is what was appended, in order; what became of each stands in its future."""

    @initialize(quick=st.booleans())
    def begin(self, quick: bool) -> None:
        self.loop = asyncio.new_event_loop()
        self.store: Any = Quick() if quick else Bad()
        self.stream = key(self.store, "a")
        self.asked: list[tuple[list[str], asyncio.Future[float]]] = []
        self.folded: list[str] = []
        self.rivals = 0
        self.closed = False
        self.loop.run_until_complete(self._open())

    async def _open(self) -> None:
        self.writer = StreamWriter(
            self.store, self.stream, genesis(self.stream), "w", StillClock(), NoPoints(), PATIENCE_S, lambda: None
        )

    def teardown(self) -> None:
        if not hasattr(self, "loop"):
            return
        self.store.next.clear()
        self.loop.run_until_complete(self.writer.idle())
        assert all(future.done() for _, future in self.asked), "nobody waits for ever"
        for _, future in self.asked:
            if not future.cancelled():
                future.exception()
        self.loop.close()

    @rule(sizes=st.lists(st.integers(1, 3), min_size=1, max_size=4), alone=st.booleans(), cancels=st.booleans())
    def append(self, sizes: list[int], alone: bool, cancels: bool) -> None:
        async def together() -> None:
            for size in sizes:
                texts = [f"e{len(self.asked)}.{index}" for index in range(size)]
                future = self.writer.append(
                    *map(Noted, texts),
                    then=lambda at, texts=texts: self.folded.extend(texts),
                    alone=alone and len(sizes) == 1,
                )
                self.asked.append((texts, future))
            if cancels:  # who waits goes away; what was asked stands
                self.asked[-1][1].cancel()

        self.loop.run_until_complete(together())

    @rule(fates=st.lists(st.sampled_from(["lost", "answer_lost", "away"]), min_size=1, max_size=3))
    def trouble(self, fates: list[str]) -> None:
        self.store.next += [getattr(self, f"_{fate}") for fate in fates]

    async def _lost(self, append: Append) -> Outcome:
        return await self.store.lost(append)

    async def _answer_lost(self, append: Append) -> Outcome:
        return await self.store.answer_lost(append)

    async def _away(self, append: Append) -> Outcome:
        await asyncio.sleep(0)
        return await self.store.lost(append)

    @rule(turns=st.integers(1, 30))
    def go_on(self, turns: int) -> None:
        async def some() -> None:
            for _ in range(turns):
                await asyncio.sleep(0)

        self.loop.run_until_complete(some())

    @rule()
    def rest(self) -> None:
        self.loop.run_until_complete(self.writer.idle())

    @rule()
    def rival(self) -> None:
        async def take() -> None:
            head = await self.store.inner.head(self.stream)
            applied(await self.store.inner.append(note(self.stream, head, f"rival{self.rivals}", "rival")))

        self.loop.run_until_complete(take())
        self.rivals += 1

    @rule()
    def close(self) -> None:
        self.writer.close(Conflict("closed"))
        self.closed = True

    @invariant()
    def the_stream_holds_what_was_acknowledged_once_and_in_order(self) -> None:
        if not hasattr(self, "writer"):
            return
        folded = list(self.folded)  # first: the loop turns while the stream is read, and more may be folded behind it
        records = self.loop.run_until_complete(everything(self.store.inner, self.stream))
        mine: list[str] = []
        beaten = False
        for record in records:
            if append_id_of(record).startswith("rival"):
                beaten = True
                continue
            assert not beaten, "written behind a rival"
            mine += [event["text"] for event in _events(record.body)]
        order = [text for texts, _ in self.asked for text in texts]
        assert mine == order[: len(mine)], "in the order asked, each once, none left out"
        assert folded == mine[: len(folded)]
        for texts, future in self.asked:
            if not future.done() or future.cancelled():
                continue
            error = future.exception()
            if error is None:
                assert set(texts) <= set(self.folded)
            else:
                assert isinstance(error, Conflict | StoreError)
                assert not set(texts) & set(self.folded)
                assert not isinstance(error, Fenced) or self.rivals
                assert self.rivals or self.closed or isinstance(error, StoreUnavailable)


def _events(body: bytes) -> list[dict[str, Any]]:
    return json.loads(body)["events"]


TestWriting = Writing.TestCase
TestWriting.settings = settings(max_examples=120, stateful_step_count=30, deadline=None)
