"""Frames of event streams, however they are cut."""

from __future__ import annotations

import itertools

from hypothesis import given
from hypothesis import strategies as st

from outlast.server.gateway.dialect import chat, messages, responses
from outlast.server.gateway.frame import Frames, data_of
from outlast.server.gateway.stream import StreamReader
from tests.server.gateway.upstream import DONE, ROLE, event, words

ends = st.sampled_from([b"\n\n", b"\r\n\r\n"])
lines = st.sampled_from([b"data: a", b"data:b", b": ping", b"event: x\ndata: c", b"data: d\ndata: e", b"id: 3", b""])


@given(frames=st.lists(st.tuples(lines, ends)), cuts=st.lists(st.integers(0, 200)))
def test_the_same_bytes_come_out_in_the_same_order_whatever_the_pieces(
    frames: list[tuple[bytes, bytes]], cuts: list[int]
) -> None:
    text = b"".join(line + end for line, end in frames)
    marks = sorted({min(cut, len(text)) for cut in cuts} | {0, len(text)})
    cutter = Frames()
    found = [frame for begin, end in itertools.pairwise(marks) for frame in cutter.cut(text[begin:end])]
    assert b"".join(found) + cutter.rest == text


@given(count=st.integers(0, 5), cuts=st.lists(st.integers(0, 2000)))
def test_content_is_counted_alike_however_it_is_cut(count: int, cuts: list[int]) -> None:
    text = ROLE + words(*["w"] * count) + event({"choices": [], "usage": {"prompt_tokens": 1, "completion_tokens": 2}})
    marks = sorted({min(cut, len(text)) for cut in cuts} | {0, len(text)})
    reader = StreamReader(chat, 1 << 20)
    parts = [reader.read(text[begin:end]) for begin, end in itertools.pairwise(marks)]
    assert sum(part.content for part in parts) == count
    assert b"".join(part.data for part in parts) == (text if count else b"")
    assert max((part.output_tokens for part in parts), default=0) == 2


def test_data_of_a_frame_is_its_data_lines_joined() -> None:
    assert data_of(b"data: {}\n\n") == b"{}"
    assert data_of(b"event: x\r\ndata: a\r\ndata:b\r\n\r\n") == b"a\nb"
    assert data_of(b": ping\n\n") == b""
    assert data_of(b"data: a\ndata: b\n\n") == b"a\nb"


def test_nothing_is_given_out_before_the_first_content() -> None:
    reader = StreamReader(chat, 1000)
    assert reader.read(b": hello\n\n" + ROLE).data == b""
    assert reader.read(words("one")).data == b": hello\n\n" + ROLE + words("one")
    assert reader.read(DONE).ended


def test_preambles_are_no_content_in_any_protocol() -> None:
    for dialect, frames in (
        (responses, [{"type": "response.created"}, {"type": "response.output_item.added"}]),
        (messages, [{"type": "message_start"}, {"type": "content_block_start", "content_block": {"type": "text"}}]),
        (chat, [{"choices": [{"delta": {"role": "assistant", "content": ""}}]}, {"choices": []}]),
    ):
        reader = StreamReader(dialect, 10_000)
        for frame in frames:
            part = reader.read(event(frame))
            assert (part.data, part.content, part.trouble) == (b"", 0, "")


def test_a_frame_without_end_is_trouble_before_it_fills_the_memory() -> None:
    reader = StreamReader(chat, 1000)
    assert not reader.read(words("one")).trouble
    assert "frame_bytes_max" in reader.read(b"data: " + b"x" * 2000).trouble


def test_endless_frames_without_content_are_trouble() -> None:
    reader = StreamReader(chat, 1000)
    troubles = [reader.read(b": ping\n\n" * 20).trouble for _ in range(20)]
    assert "no content" in troubles[-1]


def test_content_before_an_error_in_one_piece_is_given_out_and_then_it_is_trouble() -> None:
    part = StreamReader(chat, 10_000).read(ROLE + words("one") + event({"error": {"message": "oh"}}))
    assert part.data == ROLE + words("one")
    assert "oh" in part.trouble
