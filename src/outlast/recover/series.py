"""Which series a journal's next backup belongs to: the newest one whose backups are the beginning of that journal.

A journal that was restored to an instant, or lost its end, has another history than the newest backup: then a new
series begins, with a full one, and says why. What an earlier attempt at the next backup has left is verified and
counted.
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from typing import NamedTuple

import msgspec

from outlast.journal.chain import genesis, link
from outlast.journal.stream import Head
from outlast.kernel.error import StoreCorrupt
from outlast.recover.catalog import Catalog, Chain, readable_chain
from outlast.recover.depot import Depot
from outlast.recover.manifest import Stored, place_of, segment_name
from outlast.recover.segment import Piece, read_segment
from outlast.recover.survey import Source

_SEGMENT = re.compile(r"(series_[0-9a-z]{22})/([0-9]{7})/([0-9]{6})\.segment\Z")


class Left(NamedTuple):
    """A segment of an attempt that was broken off."""

    stored: Stored
    pieces: list[Piece]
    full: bool


class Series(msgspec.Struct, frozen=True):
    """Where the next backup goes. `name` "" and `number` 1: a new series, because of `forked`, if that is said."""

    name: str
    number: int
    chain: Chain | None
    """What the next one goes on from, if it is no full one."""
    left: tuple[Left, ...] = ()
    left_full: bool = False
    forked: str = ""


async def find_series(
    depot: Depot, catalog: Catalog, source: Source, ends: Mapping[str, Head], lets_go: bool
) -> Series:
    """`ends` is how far each stream has come; `lets_go`: it may let ended streams go. Raises StoreUnavailable,
    ConfigurationError.
    """
    left = _unfinished(catalog)
    forked = ""
    for name in sorted({one.series for one in catalog.backups} | {series for series, _ in left}, reverse=True):
        found = await _continued(depot, catalog, source, ends, lets_go, name, left)
        if isinstance(found, Series):
            return found
        forked = forked or found
    return Series("", 1, None, forked=forked)


async def _continued(
    depot: Depot,
    catalog: Catalog,
    source: Source,
    ends: Mapping[str, Head],
    lets_go: bool,
    name: str,
    unfinished: Mapping[tuple[str, int], Mapping[int, str]],
) -> Series | str:
    """The series `name` with its next number; else why it cannot go on, "" if it is another journal's."""
    backups = catalog.of(name)
    number = backups[-1].number + 1 if backups else 1
    if backups and backups[-1].lineage != str(source.lineage):
        return ""
    if any(broken.name.startswith(f"{name}/") for broken in catalog.broken):
        return f"{name}: a manifest of it cannot be read"
    chain: Chain | None = None
    if backups:
        chain, why = await readable_chain(depot, catalog, backups[-1])
        if chain is None:
            return f"{name}: {why}"
    try:
        left = await _read_left(depot, unfinished.get((name, number), {}))
    except StoreCorrupt as error:
        return f"{name}: {error}"
    if not backups and not (left and left[0].pieces[0].extent.stream.endswith(f"@{source.lineage}")):
        return ""
    known = chain.heads() if chain is not None else {}
    full = left[0].full if left else False
    why = await _misfit(source, ends, known, lets_go) or _gap({} if full else known, left)
    adopted = {piece.extent.stream: piece.extent.ends for one in left for piece in one.pieces}
    why = why or await _misfit(source, ends, adopted, lets_go)
    return f"{name}: {why}" if why else Series(name, number, chain, tuple(left), full)


def _unfinished(catalog: Catalog) -> dict[tuple[str, int], dict[int, str]]:
    """Segments without a manifest, by series and number, by part."""
    complete = {place_of(name) for name in catalog.names}
    found: dict[tuple[str, int], dict[int, str]] = {}
    for name in catalog.names:
        match = _SEGMENT.match(name)
        if match is not None and (match[1], int(match[2])) not in complete:
            found.setdefault((match[1], int(match[2])), {})[int(match[3])] = name
    return found


async def _read_left(depot: Depot, parts: Mapping[int, str]) -> list[Left]:
    """Raises StoreCorrupt if a part is damaged or missing."""
    left: list[Left] = []
    for part, name in sorted(parts.items()):
        content = await depot.get(name)
        title, pieces = read_segment(name, content)
        if part != len(left) + 1 or segment_name(title.series, title.number, title.part) != name or not pieces:
            raise StoreCorrupt(f"{name} does not follow what an attempt that broke off has left before it")
        left.append(Left(Stored.of(name, content), pieces, title.full))
    return left


def _gap(known: Mapping[str, Head], left: Sequence[Left]) -> str:
    """Why what was left does not go on from `known`; "" if it does."""
    heads = dict(known)
    for one in left:
        for piece in one.pieces:
            stream = piece.extent.stream
            if piece.extent.begins != heads.get(stream, genesis(stream)):
                return f"stream {stream} in {one.stored.name} does not go on from the backup before it"
            heads[stream] = piece.extent.ends
    return ""


async def _misfit(source: Source, ends: Mapping[str, Head], known: Mapping[str, Head], lets_go: bool) -> str:
    """Why the journal is not one that begins with `known`; "" if it is."""
    for stream, head in known.items():
        end = ends.get(stream)
        if end is None:
            if lets_go:
                continue
            return f"stream {stream} is not in the journal any more"
        if end.seq < head.seq:
            return f"stream {stream} ends at event {end.seq}, the newest backup has {head.seq} of it"
        if not await _begins_with(source, stream, end, head):
            return f"stream {stream} is another history than the one in the newest backup"
    return ""


async def _begins_with(source: Source, stream: str, end: Head, head: Head) -> bool:
    if end.seq == head.seq:
        return end.hash == head.hash
    following = await source.read(stream, head.seq, 1)
    return (
        bool(following)
        and following[0].seq == head.seq + 1
        and (link(head.hash, following[0].body) == following[0].hash)
    )
