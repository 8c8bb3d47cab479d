"""Every reader of events under damaged bytes: an envelope that is what the store says, or StoreCorrupt."""

from __future__ import annotations

import json
from typing import Any

import hypothesis.strategies as st
import msgspec
import pytest
from hypothesis import example, given, settings

from outlast.agent import event as ev
from outlast.journal.blob import Payload
from outlast.journal.chain import genesis
from outlast.journal.record import Reader, append_id_of, make_append
from outlast.journal.stream import SEALED, StoredRecord
from outlast.kernel.error import StoreCorrupt, StoreSealed

STREAM = "run/r@0.local.abc"
READERS: dict[str, Reader[Any]] = {"run": ev.RUN, "inbox": ev.INBOX, "session": ev.SESSION, "agent": ev.AGENT}
TAGS = sorted({tag for reader in READERS.values() for tag in reader._versions})
VALUE = Payload(msgspec.Raw(b'{"a":[1,null,"x"]}'))
GOOD = make_append(
    STREAM,
    genesis(STREAM),
    "id",
    1.5,
    [ev.StepDone("1", "give", "args", 1.0, VALUE, "step", 1), ev.RunHeld("in_doubt", "who knows", "1")],
).body

values = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=5) | st.sampled_from(TAGS),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=5), inner, max_size=3),
    max_leaves=6,
)
fields = st.sampled_from(["type", "v", "place", "name", "value", "run", "seq", "reason", "error", "json", "blob"])
events = st.dictionaries(fields, values, max_size=6) | st.builds(
    lambda tag, more: {"v": 1, **more, "type": tag}, st.sampled_from(TAGS), st.dictionaries(fields, values, max_size=6)
)
envelopes = st.fixed_dictionaries(
    {"stream": st.just(STREAM) | values, "seq": st.just(1) | values, "append_id": st.just("x") | values,
     "at": st.just(1.0) | values, "events": st.lists(events, max_size=3) | values},
    optional={"format": values},
)  # fmt: skip


def check(kind: str, body: bytes, count: int) -> None:
    record = StoredRecord(1, count, body, bytes(32))
    try:
        envelope = READERS[kind].read(STREAM, record)
    except StoreCorrupt:
        pass
    except StoreSealed:  # with whatever key: none is here
        assert body.startswith(SEALED)
    else:
        assert (envelope.stream, envelope.seq, len(envelope.events)) == (STREAM, 1, count)
    try:
        assert isinstance(append_id_of(record), str)
    except StoreCorrupt:
        return


@pytest.mark.parametrize("kind", READERS)
@settings(deadline=None)
@given(body=st.binary(max_size=200))
@example(body=b"[" * 100_000)
@example(body=b'{"events":' + b"[" * 100_000)
@example(body=b'{"stream":' + b'{"a":' * 100_000)
@example(body=b'{"seq":1e999}')
@example(body=b'{"seq":' + b"9" * 10_000 + b"}")
@example(body=b'{"stream":"\\ud800"}')
@example(body=SEALED + b'"sealed":{"key":""}}')
def test_any_bytes_are_no_record_and_said_to_be_none(kind: str, body: bytes) -> None:
    check(kind, body, 1)


@settings(max_examples=300, deadline=None)
@given(at=st.integers(0, len(GOOD) - 1), bit=st.integers(0, 7), cut=st.none() | st.integers(0, len(GOOD)))
def test_a_record_with_a_flipped_bit_or_cut_off_is_read_as_what_it_says_or_not_at_all(
    at: int, bit: int, cut: int | None
) -> None:
    body = bytearray(GOOD)
    body[at] ^= 1 << bit
    check("run", bytes(body[:cut]), 2)


@pytest.mark.parametrize("kind", READERS)
@settings(max_examples=200, deadline=None)
@given(envelope=envelopes, count=st.integers(0, 3))
def test_json_that_nearly_is_a_record_is_one_or_is_not(kind: str, envelope: Any, count: int) -> None:
    check(kind, json.dumps(envelope).encode(), count)


def test_what_was_written_is_read() -> None:
    envelope = ev.RUN.read(STREAM, StoredRecord(1, 2, GOOD, bytes(32)))
    assert [type(event) for event in envelope.events] == [ev.StepDone, ev.RunHeld]
