"""A segment is read back as it was written, and not at all if its chains are not whole."""

from __future__ import annotations

import gzip
from collections.abc import Callable

import msgspec
import pytest

from outlast.adapters.memory.store import MemoryStore
from outlast.journal.chain import genesis
from outlast.kernel.error import ConfigurationError, StoreCorrupt
from outlast.recover.segment import Piece, Title, make_piece, read_segment, segment_expands_max, write_segment
from tests.contracts.note import fill, key

TITLE = Title("series_0123456789abcdefghijkl", 7, 1, True)


async def pieces() -> list[Piece]:
    store = MemoryStore()
    for name in ("a", "b"):
        await fill(store, key(store, name), 5)
    streams = [key(store, name) for name in ("a", "b")]
    return [make_piece(stream, 1, genesis(stream), await store.read(stream)) for stream in streams]


async def test_what_was_written_is_read() -> None:
    written = await pieces()
    assert read_segment("x", write_segment(TITLE, written)) == (TITLE, written)
    assert gzip.decompress(write_segment(TITLE, written)).startswith(b'{"series":"series_0123456789abcdefghijkl"')


def _body(piece: Piece) -> Piece:
    first = msgspec.structs.replace(piece.records[1], body=piece.records[1].body.replace(b"x", b"y"))
    return msgspec.structs.replace(piece, records=(piece.records[0], first, *piece.records[2:]))


def _order(piece: Piece) -> Piece:
    return msgspec.structs.replace(piece, records=(piece.records[1], piece.records[0], *piece.records[2:]))


def _shorter(piece: Piece) -> Piece:
    extent = msgspec.structs.replace(piece.extent, records=4)
    return Piece(extent, piece.records[:4])


def _elsewhere(piece: Piece) -> Piece:
    return msgspec.structs.replace(piece, extent=msgspec.structs.replace(piece.extent, first=2))


@pytest.mark.parametrize("harm", [_body, _order, _shorter, _elsewhere])
async def test_a_chain_that_is_not_whole_is_refused_and_named(harm: Callable[[Piece], Piece]) -> None:
    one, other = await pieces()
    with pytest.raises(StoreCorrupt, match=r"segment where/it.segment"):
        read_segment("where/it.segment", write_segment(TITLE, [one, harm(other)]))


@pytest.mark.parametrize(
    "content",
    [b"", b"text", gzip.compress(b""), gzip.compress(b"{}\n"), gzip.compress(b'{"a":1}\n{"b":2}\n')],
    ids=["empty", "text", "nothing", "no title", "another title"],
)
def test_what_is_no_segment_is_refused(content: bytes) -> None:
    with pytest.raises(StoreCorrupt, match="segment x"):
        read_segment("x", content)


async def test_one_that_unpacks_to_too_much_or_has_more_behind_it_is_refused() -> None:
    with pytest.raises(StoreCorrupt, match="too large"):
        read_segment("x", gzip.compress(bytes(segment_expands_max + 1)))
    with pytest.raises(StoreCorrupt, match="something follows"):
        read_segment("x", write_segment(TITLE, await pieces()) + b"more")


async def test_one_of_a_later_release_says_so() -> None:
    content = write_segment(msgspec.structs.replace(TITLE, format=2), await pieces())
    with pytest.raises(ConfigurationError, match="format 2"):
        read_segment("x", content)
