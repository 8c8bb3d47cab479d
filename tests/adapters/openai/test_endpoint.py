"""The OpenAI-compatible endpoint against sockets that fail in every way."""

from __future__ import annotations

import asyncio
import gzip
import socket
import threading
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from outlast.adapters.openai.endpoint import OpenAIEndpoint
from outlast.blueprint.secret import Secret
from outlast.kernel.error import ConfigurationError
from outlast.model.endpoint import (
    Completion,
    EndpointError,
    EndpointOverloaded,
    EndpointRefused,
    EndpointUnavailable,
    Message,
    ModelRequest,
    Usage,
)

SECRET = "sk-very-secret-0123456789"
GOOD = {
    "id": "x",
    "model": "m-1",
    "choices": [{"index": 0, "message": {"role": "assistant", "content": "hello"}, "finish_reason": "stop"}],
    "usage": {"prompt_tokens": 3, "completion_tokens": 1},
}
SCHEMA = {"type": "object", "properties": {"a": {"type": "integer"}}, "required": ["a"], "additionalProperties": False}
CHUNKED = (
    b"HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nTransfer-Encoding: chunked\r\nConnection: close\r\n\r\n"
)
Http = Callable[..., bytes]


def asking(timeout_s: float = 10.0, **more: Any) -> ModelRequest:
    return ModelRequest([Message("user", "hi")], timeout_s, **more)


def endpoint(url: str, **more: Any) -> OpenAIEndpoint:
    return OpenAIEndpoint("own", url=url, model="m", **more)


def keyed(url: str, **more: Any) -> OpenAIEndpoint:
    return endpoint(url, key=Secret.parse("env:MY_KEY"), environ={"MY_KEY": SECRET}, **more)


async def error_of(asked: OpenAIEndpoint, request: ModelRequest | None = None) -> EndpointError:
    with pytest.raises(EndpointError) as caught:
        await asked.complete(request or asking())
    await asked.close()
    assert SECRET not in str(caught.value)
    assert caught.value.__cause__ is None  # what a library said, with who knows what in it, is not carried along
    return caught.value


async def test_an_answer_is_read_and_the_request_says_all_that_was_asked(faulty: Any, http: Http) -> None:
    faulty.answers = [http(200, GOOD)]
    asked = keyed(faulty.url)
    request = asking(max_tokens=7, temperature=0.5, key="run_1/0.2")
    assert await asked.complete(request) == Completion("hello", "m-1", Usage(3, 1), "stop")
    await asked.close()
    assert faulty.heads[0].startswith("POST /v1/chat/completions HTTP/1.1")
    assert faulty.header("authorization") == f"Bearer {SECRET}"
    assert faulty.header("idempotency-key") == "run_1/0.2"
    assert faulty.bodies == [
        {"model": "m", "messages": [{"role": "user", "content": "hi"}], "max_tokens": 7, "temperature": 0.5}
    ]


async def test_without_key_and_step_key_their_headers_are_absent(faulty: Any, http: Http) -> None:
    faulty.answers = [http(200, GOOD)]
    asked = endpoint(faulty.url, limit_field="max_completion_tokens")
    await asked.complete(asking(max_tokens=7))
    await asked.close()
    assert faulty.header("authorization") is None
    assert faulty.header("idempotency-key") is None
    assert faulty.bodies[0]["max_completion_tokens"] == 7


@pytest.mark.parametrize("key", ["ümlaut", "a\r\nX-Evil: 1", "x" * 1000])
async def test_a_step_key_that_is_no_header_value_is_hashed(faulty: Any, http: Http, key: str) -> None:
    faulty.answers = [http(200, GOOD)]
    asked = endpoint(faulty.url)
    await asked.complete(asking(key=key))
    await asked.complete(asking(key=key))
    await asked.close()
    assert faulty.header("x-evil") is None
    assert len(faulty.header("idempotency-key") or "") == 64
    assert faulty.header("idempotency-key", 0) == faulty.header("idempotency-key", 1)


async def test_one_connection_serves_many_requests(faulty: Any, http: Http) -> None:
    connections: set[int] = set()
    faulty.answers = [http(200, GOOD)]
    asked = endpoint(faulty.url)
    for _ in range(5):
        await asked.complete(asking())
        connections.add(len(faulty._open))
    await asked.close()
    assert connections == {1}


async def test_a_schema_goes_into_response_format(faulty: Any, http: Http) -> None:
    faulty.answers = [http(200, GOOD)]
    asked = endpoint(faulty.url)
    await asked.complete(asking(schema=SCHEMA))
    await asked.close()
    form = faulty.bodies[0]["response_format"]
    assert form == {"type": "json_schema", "json_schema": {"name": "answer", "strict": True, "schema": SCHEMA}}


async def test_a_server_that_refuses_the_schema_gets_it_in_the_prompt_and_then_at_once(faulty: Any, http: Http) -> None:
    refusal = http(400, {"error": {"message": "unknown parameter: response_format"}})
    faulty.answers = [refusal, http(200, GOOD)]
    asked = endpoint(faulty.url)
    assert (await asked.complete(asking(schema=SCHEMA))).text == "hello"
    assert (await asked.complete(asking(schema=SCHEMA))).text == "hello"
    await asked.close()
    assert ["response_format" in body for body in faulty.bodies] == [True, False, False]
    system = faulty.bodies[1]["messages"][0]
    assert system["role"] == "system"
    assert '"additionalProperties":false' in system["content"]


async def test_a_refusal_of_something_else_is_not_asked_twice(faulty: Any, http: Http) -> None:
    faulty.answers = [http(400, {"error": {"message": "the prompt is too long"}})]
    error = await error_of(endpoint(faulty.url), asking(schema=SCHEMA))
    assert isinstance(error, EndpointRefused)
    assert len(faulty.bodies) == 1


async def test_structured_native_never_describes_and_prompt_always_does(faulty: Any, http: Http) -> None:
    faulty.answers = [http(400, {"error": {"message": "no json_schema here"}})]
    assert isinstance(await error_of(endpoint(faulty.url, structured="native"), asking(schema=SCHEMA)), EndpointRefused)
    faulty.answers = [http(200, GOOD)]
    asked = endpoint(faulty.url, structured="prompt")
    await asked.complete(asking(schema=SCHEMA))
    await asked.close()
    assert ["response_format" in body for body in faulty.bodies] == [True, False]


# -- no connection, no time ------------------------------------------------------------------------------------------


async def test_a_refused_connection_is_unavailable() -> None:
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        error = await error_of(keyed(f"http://127.0.0.1:{taken.getsockname()[1]}"))
    assert isinstance(error, EndpointUnavailable)
    assert "cannot be connected" in str(error)
    assert "refused" in str(error)


@pytest.mark.parametrize("host", ["no-such-host.invalid", "a..b"])
async def test_a_name_that_does_not_resolve_is_unavailable(host: str) -> None:
    error = await error_of(endpoint(f"http://{host}:80"))
    assert isinstance(error, EndpointUnavailable)


async def test_a_connection_that_is_never_accepted_ends_at_the_connect_time_out() -> None:
    with socket.socket() as full:
        full.bind(("127.0.0.1", 0))
        full.listen(0)
        port = full.getsockname()[1]
        clogs = [socket.socket() for _ in range(4)]
        try:
            for clog in clogs:
                clog.setblocking(False)
                clog.connect_ex(("127.0.0.1", port))
            error = await error_of(endpoint(f"http://127.0.0.1:{port}", connect_timeout_s=0.2), asking(30.0))
        finally:
            for clog in clogs:
                clog.close()
    assert isinstance(error, EndpointUnavailable)
    assert "could not be connected within 0.2 s" in str(error)


async def test_a_server_that_never_answers_ends_at_the_time_out_of_the_request(faulty: Any) -> None:
    async def silent(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.read()

    faulty.answers = [silent]
    error = await error_of(endpoint(faulty.url), asking(0.2))
    assert isinstance(error, EndpointUnavailable)
    assert "did not answer within 0.2 s" in str(error)


async def test_a_server_that_drips_its_answer_ends_at_the_time_out_of_the_request(faulty: Any) -> None:
    async def drip(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        writer.write(b"HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nContent-Length: 1000000\r\n\r\n")
        while not reader.at_eof():
            writer.write(b" ")
            await writer.drain()
            await asyncio.sleep(0.01)

    faulty.answers = [drip]
    assert "did not answer within 0.3 s" in str(await error_of(endpoint(faulty.url), asking(0.3)))


async def test_a_cancelled_request_is_cancelled_and_not_an_endpoint_error(faulty: Any, until: Any) -> None:
    async def silent(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.read()

    faulty.answers = [silent]
    asked = endpoint(faulty.url)
    task = asyncio.ensure_future(asked.complete(asking(60.0)))
    await until(lambda: faulty.heads)
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task
    await asked.close()


# -- connections that break ------------------------------------------------------------------------------------------


async def reset(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    raw = writer.get_extra_info("socket")
    raw.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, b"\x01\x00\x00\x00\x00\x00\x00\x00")
    writer.transport.abort()


async def hang_up(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    writer.close()


@pytest.mark.parametrize("behave", [reset, hang_up])
async def test_a_connection_that_ends_before_the_answer_is_unavailable(faulty: Any, behave: Any) -> None:
    faulty.answers = [behave]
    assert isinstance(await error_of(keyed(faulty.url)), EndpointUnavailable)


@pytest.mark.parametrize(
    "raw",
    [
        b"HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nContent-Length: 500\r\nConnection: close\r\n\r\n{",
        CHUNKED + b"5\r\n{",
        b"HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nContent-Encoding: gzip\r\nContent-Length: 4\r\n\r\njunk",
        b"HTTP/9 what\r\nConnection: close\r\n\r\n",
        b"SSH-2.0-OpenSSH_9.2p1\r\nConnection: close\r\n\r\n",
        b"\x00\x01\x02\x03Connection: close",
        b"HTTP/1.1 200 OK\r\nX: " + b"a" * 100_000 + b"\r\nConnection: close\r\n\r\n",
        CHUNKED + b"zz\r\n{",
    ],
    ids=["short", "chunk-cut", "bad-gzip", "bad-version", "ssh", "binary", "long-header", "bad-chunk"],
)
async def test_an_answer_that_breaks_off_or_is_no_http_is_unavailable(faulty: Any, raw: bytes) -> None:
    faulty.answers = [raw]
    assert isinstance(await error_of(keyed(faulty.url)), EndpointUnavailable)


# -- answers that are none -------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("body", "says"),
    [
        (b"{", "no chat completion"),
        (b"", "no chat completion"),
        (b"null", "no chat completion"),
        (b"\xff\xfe", "no chat completion"),
        (b"[" * 200_000, "no chat completion"),
        ({"object": "x"}, "choices"),
        ({"choices": "x"}, "choices"),
        ({"choices": []}, "no choices"),
        ({"choices": [{}]}, "message"),
        ({"choices": [{"message": {"content": 3}}]}, "content"),
        ({"choices": [{"message": {"content": None}, "finish_reason": "tool_calls"}]}, "tool_calls"),
    ],
)
async def test_a_body_that_is_no_completion_is_unavailable_and_says_what_is_missing(
    faulty: Any, http: Http, body: Any, says: str
) -> None:
    faulty.answers = [http(200, body)]
    error = await error_of(endpoint(faulty.url))
    assert isinstance(error, EndpointUnavailable)
    assert says in str(error)


async def test_usage_may_be_missing_and_content_may_come_in_parts(faulty: Any, http: Http) -> None:
    parts = [{"type": "text", "text": "hel"}, {"type": "text", "text": "lo"}]
    faulty.answers = [http(200, {"choices": [{"message": {"content": parts}}], "usage": None})]
    asked = endpoint(faulty.url)
    assert await asked.complete(asking()) == Completion("hello", "m", Usage(0, 0), "stop")
    await asked.close()


async def test_a_refusal_of_the_model_is_refused(faulty: Any, http: Http) -> None:
    faulty.answers = [http(200, {"choices": [{"message": {"content": None, "refusal": "I will not"}}]})]
    assert "I will not" in str(await error_of(endpoint(faulty.url)))


async def test_another_content_type_is_unavailable(faulty: Any, http: Http) -> None:
    faulty.answers = [http(200, b"<html>login</html>", "text/html; charset=utf-8")]
    error = await error_of(endpoint(faulty.url))
    assert isinstance(error, EndpointUnavailable)
    assert "text/html" in str(error)


@pytest.mark.parametrize("packed", [False, True])
async def test_an_oversized_answer_is_refused_also_when_it_was_small_on_the_wire(
    faulty: Any, http: Http, packed: bool
) -> None:
    body = b" " * 200_000
    faulty.answers = [http(200, gzip.compress(body), Content_Encoding="gzip") if packed else http(200, body)]
    error = await error_of(endpoint(faulty.url, response_bytes_max=100_000))
    assert isinstance(error, EndpointRefused)
    assert "response_bytes_max" in str(error)


async def test_an_answer_without_end_is_stopped_at_the_bound(faulty: Any) -> None:
    async def endless(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        writer.write(b"HTTP/1.1 200 OK\r\nContent-Type: application/json\r\n\r\n")
        while not writer.transport.is_closing():
            writer.write(b" " * 65536)
            await writer.drain()

    faulty.answers = [endless]
    assert isinstance(await error_of(endpoint(faulty.url)), EndpointRefused)


# -- statuses --------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("status", "kind", "says"),
    [
        (400, EndpointRefused, "bad thing"),
        (401, EndpointRefused, "check its API key"),
        (403, EndpointRefused, "API key"),
        (404, EndpointRefused, "model's name"),
        (413, EndpointRefused, "shorter"),
        (422, EndpointRefused, "bad thing"),
        (408, EndpointUnavailable, "408"),
        (409, EndpointUnavailable, "409"),
        (429, EndpointOverloaded, "429"),
        (529, EndpointOverloaded, "529"),
        (500, EndpointUnavailable, "500"),
        (502, EndpointUnavailable, "502"),
        (503, EndpointUnavailable, "503"),
        (201, EndpointUnavailable, "expected 200"),
        (302, EndpointRefused, "redirect"),
        (307, EndpointRefused, "redirect"),
    ],
)
async def test_every_status_is_the_right_error(faulty: Any, http: Http, status: int, kind: type, says: str) -> None:
    faulty.answers = [http(status, {"error": {"message": "bad thing"}}, Location="http://127.0.0.1:1/elsewhere")]
    error = await error_of(keyed(faulty.url))
    assert type(error) is kind
    assert says in str(error)
    assert len(faulty.heads) == 1


@pytest.mark.parametrize(
    ("headers", "expected"),
    [
        ({"Retry_After": "7"}, 7.0),
        ({"Retry_After": "1.5"}, 1.5),
        ({"Retry_After": "Wed, 21 Oct 2026 07:28:30 GMT", "Date": "Wed, 21 Oct 2026 07:28:00 GMT"}, 30.0),
        ({"Retry_After": "Wed, 21 Oct 2026 07:27:00 GMT", "Date": "Wed, 21 Oct 2026 07:28:00 GMT"}, 0.0),
        ({"Retry_After": "Wed, 21 Oct 2026 07:28:30 GMT"}, None),
        ({"retry_after_ms": "250", "Retry_After": "1"}, 0.25),
        ({"Retry_After": "999999999"}, 3600.0),
        ({"Retry_After": "-3"}, None),
        ({"Retry_After": "nan"}, None),
        ({"Retry_After": "soon"}, None),
        ({}, None),
    ],
)
@pytest.mark.parametrize("status", [429, 529, 503])
async def test_retry_after_is_read_in_all_its_forms(
    faulty: Any, http: Http, status: int, headers: dict[str, str], expected: float | None
) -> None:
    faulty.answers = [http(status, b"", **headers)]
    assert (await error_of(endpoint(faulty.url))).retry_after_s == expected


async def test_a_spent_quota_is_not_asked_again(faulty: Any, http: Http) -> None:
    faulty.answers = [http(429, {"error": {"message": "You exceeded", "code": "insufficient_quota"}})]
    assert isinstance(await error_of(endpoint(faulty.url)), EndpointRefused)


@pytest.mark.parametrize(
    "body", [b"<html>Bad gateway</html>", b"", b"\xff\x00\x1b[31m", {"detail": "x"}, ["x"], {"error": 3}]
)
async def test_error_bodies_of_any_shape_are_survived(faulty: Any, http: Http, body: Any) -> None:
    faulty.answers = [http(502, body)]
    error = await error_of(endpoint(faulty.url))
    assert isinstance(error, EndpointUnavailable)
    assert str(error).isprintable()


async def test_a_huge_error_body_is_not_read_whole(faulty: Any, http: Http) -> None:
    faulty.answers = [http(500, b"x" * 5_000_000)]
    assert len(str(await error_of(endpoint(faulty.url)))) < 600


# -- secrets ---------------------------------------------------------------------------------------------------------


async def test_a_server_that_repeats_the_key_does_not_bring_it_into_the_error(faulty: Any, http: Http) -> None:
    faulty.answers = [http(401, {"error": {"message": f"Incorrect API key provided: {SECRET}"}})]
    error = await error_of(keyed(faulty.url))
    assert "[secret]" in str(error)


async def test_the_key_is_read_anew_after_a_401(faulty: Any, http: Http) -> None:
    environ = {"MY_KEY": "old"}
    faulty.answers = [http(401, b"{}"), http(200, GOOD)]
    asked = endpoint(faulty.url, key=Secret.parse("env:MY_KEY"), environ=environ)
    with pytest.raises(EndpointRefused):
        await asked.complete(asking())
    environ["MY_KEY"] = "new"
    await asked.complete(asking())
    await asked.close()
    assert [faulty.header("authorization", number) for number in (0, 1)] == ["Bearer old", "Bearer new"]


async def test_a_key_from_a_file_is_used_and_a_missing_one_is_refused(faulty: Any, http: Http, tmp_path: Path) -> None:
    (tmp_path / "key").write_text(f"{SECRET}\n")
    faulty.answers = [http(200, GOOD)]
    asked = endpoint(faulty.url, key=Secret.parse("file:key"), home=tmp_path)
    await asked.complete(asking())
    await asked.close()
    assert faulty.header("authorization") == f"Bearer {SECRET}"
    error = await error_of(endpoint(faulty.url, key=Secret.parse("file:other"), home=tmp_path))
    assert isinstance(error, EndpointRefused)
    assert "file:other" in str(error)


async def test_the_key_is_in_no_repr() -> None:
    shown = repr(keyed("http://127.0.0.1:1"))
    assert SECRET not in shown
    assert "env:MY_KEY" in shown


# -- addresses -------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "url",
    ["", "127.0.0.1:80", "ftp://host", "http://", "http://user:pw@host/v1", "http://host/v1?key=1", "http://h:99999/"],
)
def test_urls_that_are_none_or_hold_secrets_are_refused(url: str) -> None:
    with pytest.raises(ConfigurationError) as caught:
        endpoint(url)
    assert "pw" not in str(caught.value)


def test_a_key_does_not_travel_over_plain_http_unless_permitted() -> None:
    with pytest.raises(ConfigurationError, match="plain http"):
        keyed("http://models.example/v1")
    keyed("http://models.example/v1", plain_http=True)
    keyed("https://models.example/v1")
    keyed("http://127.0.0.1:8000")
    keyed("http://localhost:8000")
    keyed("http://[::1]:8000")
    endpoint("http://models.example/v1")


@pytest.mark.parametrize(
    ("url", "shown"),
    [("http://h:1", "http://h:1/v1"), ("http://h:1/v1/", "http://h:1/v1"), ("https://h/api/v3", "https://h/api/v3")],
)
def test_a_url_without_a_path_gets_v1(url: str, shown: str) -> None:
    assert f"url='{shown}'" in repr(endpoint(url))


# -- loops and ends --------------------------------------------------------------------------------------------------


async def test_a_closed_endpoint_refuses(faulty: Any, http: Http) -> None:
    faulty.answers = [http(200, GOOD)]
    asked = endpoint(faulty.url)
    await asked.complete(asking())
    await asked.close()
    with pytest.raises(EndpointRefused, match="closed"):
        await asked.complete(asking())


async def test_it_serves_several_event_loops_and_closes_all(faulty: Any, http: Http, until: Any) -> None:
    faulty.answers = [http(200, GOOD)]
    asked = endpoint(faulty.url)
    other = asyncio.new_event_loop()
    thread = threading.Thread(target=other.run_forever)
    thread.start()
    try:
        await asked.complete(asking())
        there = asyncio.run_coroutine_threadsafe(asked.complete(asking()), other)
        assert (await asyncio.wrap_future(there)).text == "hello"
        await asked.close()
        await until(lambda: not faulty._open)
    finally:
        other.call_soon_threadsafe(other.stop)
        await asyncio.to_thread(thread.join)
        other.close()


async def test_a_request_that_json_cannot_hold_is_refused() -> None:
    with pytest.raises(EndpointRefused, match="JSON"):
        await endpoint("http://127.0.0.1:1").complete(ModelRequest([Message("user", "\ud800")], 5.0))
