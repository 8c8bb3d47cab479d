from __future__ import annotations

import json

import msgspec

from outlast.journal.chain import genesis
from outlast.journal.event import Event, version_field, versions
from outlast.journal.record import Reader, make_append
from outlast.journal.stream import StoredRecord


class Opened(Event, frozen=True, tag="opened"):
    name: str
    colour: str = "blue"
    v: int = version_field(3)


class Closed(Event, frozen=True, tag="closed"):
    v: int = version_field(1)


STREAM = "run/a@0.local.x"
UNION = Opened | Closed


def test_what_has_its_default_is_left_out_and_the_version_never_is() -> None:
    assert json.loads(msgspec.json.encode(Opened("a"))) == {"type": "opened", "name": "a", "v": 3}
    assert json.loads(msgspec.json.encode(Opened("a", "red")))["colour"] == "red"
    assert json.loads(msgspec.json.encode(Closed())) == {"type": "closed", "v": 1}
    assert versions(UNION) == {"opened": 3, "closed": 1}


def test_what_was_left_out_is_read_as_its_default_and_what_was_written_in_full_as_it_stands() -> None:
    reader: Reader[Opened | Closed] = Reader(UNION, {}, versions(UNION))
    append = make_append(STREAM, genesis(STREAM), "x", 1.0, [Opened("a"), Closed()])
    full = (
        b'{"format":1,"stream":"run/a@0.local.x","seq":1,"append_id":"x","at":1.0,'
        b'"events":[{"type":"opened","name":"a","colour":"blue","v":3},{"type":"closed","v":1}]}'
    )
    assert len(append.body) < len(full)
    for body in (append.body, full):
        envelope = reader.read(STREAM, StoredRecord(1, 2, body, bytes(32)))
        assert envelope.events == [Opened("a", "blue"), Closed()]
        assert (envelope.format, envelope.seq, envelope.stream) == (1, 1, STREAM)
