from __future__ import annotations

import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from starlette.requests import Request

from outlast.server.limit import Limits
from outlast.server.payload import (
    check_depth,
    idempotency_key,
    parse_json,
    preferred_wait,
    wants_events,
)
from outlast.server.refusal import BadRequest
from tests.server.site import Site

REFUSED = {
    "nothing": b"",
    "no JSON": b"hello",
    "half": b'{"input": ',
    "two values": b"{} {}",
    "NaN": b'{"input": NaN}',
    "infinity": b'{"input": -Infinity}',
    "a number over all doubles": b'{"input": 1e999}',
    "a number of 5,000 digits": b'{"input": ' + b"9" * 5000 + b"}",
    "a name twice": b'{"input": 1, "input": 2}',
    "a name twice, deep": b'{"input": {"a": [{"b": 1, "b": 1}]}}',
    "a name twice, escaped": b'{"input": {"a": 1, "\\u0061": 1}}',
    "not UTF-8": b'{"input": "\xff\xfe"}',
    "UTF-16": '{"input": 1}'.encode("utf-16"),
    "overlong UTF-8": b'{"input": "\xc0\xaf"}',
    "a surrogate in UTF-8": b'{"input": "\xed\xa0\x80"}',
    "half of a surrogate pair": b'{"input": "\\ud800"}',
    "half of a surrogate pair as name": b'{"input": {"\\udfff": 1}}',
    "control characters": b'{"input": "a\x00b"}',
    "a comment": b'{"input": 1} // done',
    "a trailing comma": b'{"input": [1,]}',
    "too deep": b'{"input": ' + b"[" * 64 + b"]" * 64 + b"}",
    "far too deep": b"[" * 100_000,
    "far too deep objects": b'{"a":' * 100_000,
    "a byte order mark": b'\xef\xbb\xbf{"input": 1}',
}


async def test_a_body_that_is_not_good_json_is_refused(site: Site) -> None:
    for name, body in REFUSED.items():
        answer = await site.ask("POST", "/v1/agents/quiet/runs", body, {"Content-Type": "application/json"})
        assert (answer.status, answer.code) == (400, "bad_request"), name
        assert site.log.getvalue() == ""


async def test_a_body_of_another_media_type_is_refused(site: Site) -> None:
    for media in ["text/plain", "application/x-www-form-urlencoded", "multipart/form-data", "", "json"]:
        answer = await site.ask("POST", "/v1/agents/quiet/runs", b"{}", {"Content-Type": media})
        assert (answer.status, answer.code) == (415, "wrong_media_type")


async def test_json_may_have_parameters(site: Site) -> None:
    for media in ["application/json", "Application/JSON; charset=utf-8", " application/json ;x=y"]:
        assert (await site.ask("POST", "/v1/agents/quiet/runs", b"{}", {"Content-Type": media})).status == 201


values = st.recursive(
    st.none()
    | st.booleans()
    | st.integers(-(2**80), 2**80)
    | st.floats(allow_nan=False, allow_infinity=False)
    | st.text(),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(), inner, max_size=4),
    max_leaves=20,
)


@given(values)
def test_good_json_is_read_as_the_standard_library_reads_it(value: Any) -> None:
    raw = json.dumps(value, ensure_ascii=False).encode()
    assert parse_json(raw, 64) == json.loads(raw)


@given(st.binary(max_size=64) | st.text(alphabet='{}[]",:0123456789eE+-.\\u nulltruefals', max_size=40).map(str.encode))
def test_whatever_the_bytes_the_reader_reads_or_refuses(raw: bytes) -> None:
    try:
        parse_json(raw, 8)
    except BadRequest:
        pass


def test_depth_is_counted_in_objects_and_arrays() -> None:
    check_depth([[{"a": []}]], 4)
    with pytest.raises(BadRequest):
        check_depth([[{"a": []}]], 3)
    check_depth(5, 0 + 1)


def request(**headers: str) -> Request:
    raw = [(name.replace("_", "-").encode(), value.encode("latin-1")) for name, value in headers.items()]
    return Request({"type": "http", "headers": raw})


def test_a_key_is_bare_or_quoted() -> None:
    assert idempotency_key(request()) is None
    assert idempotency_key(request(idempotency_key="a-1")) == "a-1"
    assert idempotency_key(request(idempotency_key='"a-1"')) == "a-1"


@pytest.mark.parametrize(
    ("accept", "events"),
    [
        ("", False),
        ("*/*", False),
        ("application/json", False),
        ("text/event-stream", True),
        ("Text/Event-Stream;charset=utf-8", True),
        ("application/json, text/event-stream", True),
        ("application/json;q=1, text/event-stream;q=0.5", False),
        ("text/event-stream;q=0", False),
        ("text/event-stream;q=x", False),
        ("text/html, */*;q=0.1", False),
    ],
)
def test_who_accepts_events_rather_than_json_gets_them(accept: str, events: bool) -> None:
    assert wants_events(request(accept=accept)) is events


@pytest.mark.parametrize(
    ("prefer", "seconds"),
    [
        ("", None),
        ("wait=5", 5.0),
        ("respond-async, wait=5", 5.0),
        ("Wait = 5 ; x=y", 5.0),
        ("wait=100000", 60.0),
        ("wait=²", None),
    ],
)
def test_a_wait_is_preferred_up_to_its_bound(prefer: str, seconds: float | None) -> None:
    assert preferred_wait(request(prefer=prefer), Limits()) == seconds
