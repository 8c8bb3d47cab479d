"""The wire of the writing process under hostile bytes: messages, nothing yet, or Malformed, and nothing else."""

from __future__ import annotations

import itertools
from typing import Any

import hypothesis.strategies as st
import msgspec
import pytest
from hypothesis import example, given, settings

from outlast.adapters.sqlite.wire import (
    Answer,
    Appends,
    Done,
    Frames,
    Malformed,
    Notices,
    Outcomes,
    Ping,
    Refused,
    Request,
    Save,
    Subscribe,
    Welcome,
    answers,
    frame,
    frame_bytes_max,
    requests,
)
from outlast.journal.index import HintPatch
from outlast.journal.snapshot import Snapshot
from outlast.journal.stream import Append, Applied, Conflicted, Head, Notice, Unknown

numbers = st.integers(0, 2**53 - 1)
text = st.text(max_size=12)
heads = st.builds(Head, numbers, st.binary(max_size=40))
patches = st.none() | st.builds(HintPatch, text, owner=text, mail=numbers)
appends = st.builds(Append, text, heads, text, numbers, st.binary(max_size=60), patches)
snapshots = st.builds(Snapshot, text, numbers, st.binary(max_size=40), numbers, st.binary(max_size=60))
outcomes = st.one_of(st.builds(Applied, heads), st.builds(Conflicted, heads), st.builds(Unknown, text))
asked = st.one_of(
    st.builds(Appends, st.lists(st.tuples(numbers, appends), max_size=3)),
    st.builds(Save, numbers, snapshots),
    st.just(Subscribe()),
    st.builds(Ping, numbers),
)
answered = st.one_of(
    st.builds(Welcome, numbers, text, numbers),
    st.builds(Outcomes, st.lists(st.tuples(numbers, outcomes), max_size=3)),
    st.builds(Done, numbers),
    st.builds(Refused, numbers, text, text),
    st.builds(Notices, st.lists(st.builds(Notice, text, numbers, patches), max_size=3)),
)
ENDS: dict[str, tuple[Any, Any, Any]] = {"writer": (requests, asked, Request), "client": (answers, answered, Answer)}


def fed(frames: Frames[Any], raw: bytes, cuts: list[int]) -> list[Any]:
    """What is understood of bytes that arrive in pieces."""
    messages: list[Any] = []
    places = sorted({cut % (len(raw) + 1) for cut in cuts} | {0, len(raw)})
    for begin, end in itertools.pairwise(places):
        messages += frames.feed(raw[begin:end])
        assert len(frames._rest) <= frame_bytes_max + 4
    return messages


@pytest.mark.parametrize("end", ENDS)
@settings(deadline=None)
@given(data=st.data(), cuts=st.lists(numbers, max_size=8))
def test_messages_arrive_whole_and_in_order_in_any_pieces(end: str, data: st.DataObject, cuts: list[int]) -> None:
    make, messages, _ = ENDS[end]
    sent = data.draw(st.lists(messages, max_size=4))
    raw = b"".join(map(frame, sent))
    assert fed(make(), raw, cuts) == sent
    frames = make()
    fed(frames, raw + b"\x00\x00", cuts)
    assert bytes(frames._rest) == b"\x00\x00", "what is not complete waits"


@pytest.mark.parametrize("end", ENDS)
@settings(max_examples=300, deadline=None)
@given(raw=st.binary(max_size=200), cuts=st.lists(numbers, max_size=4))
@example(raw=b"\xff\xff\xff\xff", cuts=[])
@example(raw=(frame_bytes_max + 1).to_bytes(4, "big"), cuts=[2])
@example(raw=b"\x00\x00\x00\x00", cuts=[])
@example(raw=b"\x00\x00\x10\x00" + b"\x91" * 4096, cuts=[])  # arrays in arrays
@example(raw=b"\x00\x00\x00\x05\xdd\xff\xff\xff\xff", cuts=[])  # four billion items are announced
def test_garbage_is_refused_or_waited_for(end: str, raw: bytes, cuts: list[int]) -> None:
    make, _, kinds = ENDS[end]
    try:
        for message in fed(make(), raw, cuts):
            assert isinstance(message, kinds)
    except Malformed:
        return


@pytest.mark.parametrize("end", ENDS)
@settings(max_examples=300, deadline=None)
@given(data=st.data(), at=numbers, byte=st.integers(0, 255), keep=st.none() | numbers)
def test_a_message_that_was_changed_is_refused_or_another_of_the_same_kind(
    end: str, data: st.DataObject, at: int, byte: int, keep: int | None
) -> None:
    make, messages, kinds = ENDS[end]
    raw = bytearray(frame(data.draw(messages)))
    raw[4 + at % (len(raw) - 4)] = byte
    if keep is not None:  # cut, and said to be so long
        raw = raw[: 4 + keep % (len(raw) - 3)]
        raw[:4] = (len(raw) - 4).to_bytes(4, "big")
    try:
        for message in make().feed(bytes(raw)):
            assert isinstance(message, kinds)
            assert msgspec.msgpack.decode(bytes(frame(message)[4:]), type=kinds) == message
    except Malformed:
        return


@pytest.mark.parametrize("end", ENDS)
def test_a_length_over_the_bound_is_refused_before_anything_of_it_is_kept(end: str) -> None:
    frames = ENDS[end][0]()
    with pytest.raises(Malformed, match="frame_bytes_max"):
        frames.feed((frame_bytes_max + 1).to_bytes(4, "big") + b"x" * 1000)
    assert frames._rest == b""
