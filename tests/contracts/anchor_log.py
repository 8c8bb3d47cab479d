"""What every AnchorLog does, also as the AnchorStore that several processes write."""

from __future__ import annotations

import abc
from collections.abc import AsyncIterator
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from pathlib import Path

from outlast.journal.anchor import AnchorLog, LoggedAnchors, heads_max
from outlast.journal.removal import Removal
from outlast.journal.stream import Head
from tests.contracts.anchor_store import AnchorStoreContract

STREAM = "run/r@0.local.abcd"


def head(seq: int) -> Head:
    return Head(seq, seq.to_bytes(32, "big"))


class AnchorLogContract(AnchorStoreContract, abc.ABC):
    @abc.abstractmethod
    def log(self, directory: Path) -> AbstractAsyncContextManager[AnchorLog]:
        """The log in this directory as a new process sees it."""

    @asynccontextmanager
    async def opened(self, directory: Path) -> AsyncIterator[LoggedAnchors]:
        async with self.log(directory) as log:
            yield LoggedAnchors([log])

    async def test_what_several_processes_wrote_is_read_by_any_and_fits(self, short_dir: Path) -> None:
        async with self.log(short_dir) as one, self.log(short_dir) as two, self.log(short_dir) as reader:
            for number in range(1, 6):
                await one.write([("run/one@0.local.abcd", head(number)), (STREAM, head(2 * number))])
                await two.write([("run/two@0.local.abcd", head(number)), (STREAM, head(2 * number - 1))])
            anchors = LoggedAnchors([reader])
            assert await anchors.all() == {
                "run/one@0.local.abcd": head(5), "run/two@0.local.abcd": head(5), STREAM: head(10),
            }  # fmt: skip
            assert anchors.faults == []
            assert anchors.segments == 10

    async def test_more_heads_than_one_segment_holds_are_written(self, short_dir: Path) -> None:
        many = {f"run/r{number}@0.local.abcd": head(number + 1) for number in range(2 * heads_max + 1)}
        async with self.log(short_dir) as log:
            await log.write(list(many.items()))
            anchors = LoggedAnchors([log])
            assert await anchors.all() == many
            assert (anchors.segments, anchors.faults) == (3, [])

    async def test_a_stream_that_was_removed_is_not_expected_and_a_later_one_of_its_name_is(
        self, short_dir: Path
    ) -> None:
        async with self.log(short_dir) as log:
            await log.write([(STREAM, head(9))])
            removed = {STREAM: Removal(STREAM, 9, head(9).hash.hex(), 4e9)}
            assert await LoggedAnchors([log], removed).all() == {}
            before = {STREAM: Removal(STREAM, 4, head(4).hash.hex(), 1.0)}
            assert await LoggedAnchors([log], before).all() == {STREAM: head(9)}
            late = {STREAM: Removal(STREAM, 9, head(9).hash.hex(), 1.0)}
            assert await LoggedAnchors([log], late).all() == {}, "it was anchored late, and is that very end"
