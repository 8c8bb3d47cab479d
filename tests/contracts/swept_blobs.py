"""What every BlobStore does whose blobs can be removed: what is named or young stays, and no put is lost."""

from __future__ import annotations

import abc
import asyncio
from collections.abc import AsyncIterator
from contextlib import AbstractAsyncContextManager
from pathlib import Path
from typing import Any

import pytest

from outlast.journal.blob import BlobRef
from outlast.journal.reach import Swept, blob_age_s_min
from outlast.kernel.error import NotFound

WEEKS_S = 3 * blob_age_s_min


class SweptBlobsContract(abc.ABC):
    @abc.abstractmethod
    def opened(self, directory: Path) -> AbstractAsyncContextManager[Any]:
        """The blobs in this directory, made if they are not there."""

    @abc.abstractmethod
    async def age(self, blobs: Any, ref: BlobRef, by_s: float) -> None:
        """Let a blob have been put so much earlier."""

    @pytest.fixture
    async def blobs(self, short_dir: Path) -> AsyncIterator[Any]:
        async with self.opened(short_dir) as blobs:
            yield blobs

    async def test_what_nothing_names_goes_once_it_is_old(self, blobs: Any) -> None:
        named, old, young = [await blobs.put(text) for text in (b"named", b"old", b"young")]
        for ref in (named, old):
            await self.age(blobs, ref, WEEKS_S)
        assert await blobs.sweep({named.sha256}, blob_age_s_min) == Swept(3, 1)
        assert await blobs.get(named) == b"named"
        assert await blobs.get(young) == b"young"
        with pytest.raises(NotFound):
            await blobs.get(old)
        assert await blobs.sweep({named.sha256}, blob_age_s_min) == Swept(2, 0)
        assert await blobs.put(b"old") == old, "it can be put again"
        assert await blobs.get(old) == b"old"

    async def test_a_put_of_what_is_there_makes_it_young_again(self, blobs: Any) -> None:
        ref = await blobs.put(b"again")
        await self.age(blobs, ref, WEEKS_S)
        await blobs.put(b"again")
        assert await blobs.sweep(set(), blob_age_s_min) == Swept(1, 0)
        assert await blobs.get(ref) == b"again"

    async def test_a_put_during_a_sweep_is_not_lost(self, blobs: Any) -> None:
        contents = [f"blob {number}".encode() for number in range(40)]
        for _ in range(3):
            for content in contents:
                await self.age(blobs, await blobs.put(content), WEEKS_S)
            _, *refs = await asyncio.gather(blobs.sweep(set(), blob_age_s_min), *map(blobs.put, contents))
            for ref, content in zip(refs, contents, strict=True):
                assert await blobs.get(ref) == content
