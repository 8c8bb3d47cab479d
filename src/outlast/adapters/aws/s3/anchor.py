"""Anchored heads in a bucket: one object for each segment, one chain for each process that writes.

::

    anchors/LINEAGE/WRITER/0000000001     a segment (`journal/anchor.py`), with the hash of the one before

Written only where nothing is (``If-None-Match``), so nobody's segment is overwritten; with a lock nobody can remove or
hide it before its time: of each object the version that was written first is read. A gap in a chain shows. What is
removed from its end does not, which is what the lock is for.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable, Sequence
from datetime import UTC, datetime
from typing import Any

from outlast.adapters.aws.call import Calls
from outlast.adapters.aws.fault import CallFailed
from outlast.adapters.aws.s3.once import write_once
from outlast.journal.anchor import Chain, Segment, segment_hash, segments_of
from outlast.journal.lineage import Lineage
from outlast.journal.stream import Head
from outlast.kernel.clock import Clock
from outlast.kernel.error import StoreCorrupt

_reads_at_once = 16
_list_max = 1000


class S3Anchors:
    """An AnchorLog. `writer` names this process, and no other that ever was; `lock_s`: how long objects are locked."""

    def __init__(
        self, bucket: str, calls: Calls, clock: Clock, lineage: Lineage, writer: str, *, prefix: str = "anchors/",
        lock_s: float | None = None,
    ) -> None:  # fmt: skip
        self._bucket = bucket
        self._calls = calls
        self._clock = clock
        self._writer = writer
        self._prefix = f"{prefix}{lineage}/"
        self._lock_s = lock_s
        self._number = 0
        self._before = ""
        self._unsent: list[bytes] = []

    async def write(self, heads: Sequence[tuple[str, Head]]) -> None:
        """As in AnchorLog. A segment whose answer is lost is sent again as it was, before anything else. Raises
        StoreCorrupt if something else stands in its place.
        """
        await self._send()
        self._unsent = segments_of(heads, round(self._clock.now(), 6), self._writer, self._before)
        await self._send()

    async def _send(self) -> None:
        while self._unsent:
            await self._put(f"{self._prefix}{self._writer}/{self._number + 1:010d}", self._unsent[0])
            self._before = segment_hash(self._unsent.pop(0))
            self._number += 1

    async def _put(self, name: str, content: bytes) -> None:
        locked: dict[str, Any] = {}
        if self._lock_s is not None:
            until = datetime.fromtimestamp(self._clock.now() + self._lock_s, UTC)
            locked = {"ObjectLockMode": "COMPLIANCE", "ObjectLockRetainUntilDate": until}
        written = await write_once(self._calls, self._bucket, name, content, "application/json", **locked)
        if not written and await self._get(name) != content:
            raise StoreCorrupt(
                f"{name} in bucket {self._bucket} is not what this process was to write there: nothing was "
                "overwritten; look who else writes below this prefix"
            )

    async def read(self, visit: Callable[[Segment], None]) -> Sequence[str]:
        faults: list[str] = []
        chain, writer, number = Chain("", visit), "", 0
        names: list[tuple[str, str]] = []

        async def follow() -> None:
            nonlocal chain, writer, number
            contents = await asyncio.gather(*(self._get(name, version) for name, version in names))
            for (name, _), content in zip(names, contents, strict=True):
                of, _, place = name.removeprefix(self._prefix).rpartition("/")
                if of != writer:
                    faults.extend(chain.faults)
                    chain, writer, number = Chain(f"of {of} in bucket {self._bucket}", visit), of, 0
                number += 1
                if content is None or place != f"{number:010d}":
                    faults.append(f"anchors of {of} in bucket {self._bucket}: segment {number} is missing: removed?")
                    number = int(place) if place.isdigit() else number
                if content is not None:
                    chain.take(content)
            names.clear()

        async for named in self._names():
            names.append(named)
            if len(names) >= _reads_at_once:
                await follow()
        await follow()
        return [*faults, *chain.faults]

    async def _names(self) -> AsyncIterator[tuple[str, str]]:
        """Every segment and the version of it that was written first, whatever was put in front of it later."""
        where: dict[str, str] = {}
        last: tuple[str, str] | None = None
        while True:
            answer = await self._calls.many(
                "ListObjectVersions", Bucket=self._bucket, Prefix=self._prefix, MaxKeys=_list_max, **where
            )
            for one in answer.get("Versions", []):  # by name, the newest version of each first
                name = str(one["Key"])
                if last is not None and last[0] != name:
                    yield last
                last = (name, str(one["VersionId"]))
            if not answer.get("IsTruncated"):
                break
            where = {"KeyMarker": answer["NextKeyMarker"], "VersionIdMarker": answer["NextVersionIdMarker"]}
        if last is not None:
            yield last

    async def _get(self, name: str, version: str = "") -> bytes | None:
        exactly = {"VersionId": version} if version and version != "null" else {}
        try:
            answer = await self._calls.many("GetObject", Bucket=self._bucket, Key=name, **exactly)
            return await self._calls.whole("GetObject", answer["Body"])
        except CallFailed as failed:
            if failed.kind != "absent":
                raise
            return None
