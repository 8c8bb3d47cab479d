"""Streams of chat completions: the events, however they are cut, and real sockets."""

from __future__ import annotations

import asyncio
import itertools
import json
import re
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from outlast.adapters.host.clock import SystemClock
from outlast.adapters.openai.endpoint import OpenAIEndpoint
from outlast.adapters.openai.stream import Events, event_bytes_max
from outlast.adapters.scripted.server import ScriptedServer
from outlast.model.endpoint import EndpointError, EndpointOverloaded, EndpointUnavailable, Message, ModelRequest, Usage
from outlast.model.stream import Delta, StreamingEndpoint, ToolDelta
from tests.adapters.openai.conftest import FaultyServer


def event(**fields: Any) -> bytes:
    return b"data: " + json.dumps(fields).encode() + b"\n\n"


def choice(finish: str | None = None, **delta: Any) -> bytes:
    return event(choices=[{"index": 0, "delta": delta, "finish_reason": finish}])


WHOLE = (
    choice(role="assistant", content="")
    + b": keep-alive\r\n\r\n"
    + choice(content="Hel")
    + choice(content="lo é")
    + choice(tool_calls=[{"index": 0, "id": "call_1", "function": {"name": "refund", "arguments": ""}}])
    + choice(tool_calls=[{"index": 0, "function": {"arguments": '{"order": 7}'}}])
    + choice("stop")
    + event(choices=[], usage={"prompt_tokens": 3, "completion_tokens": 5})
    + b"data: [DONE]\n\n"
)
DELTAS = [
    Delta("Hel"),
    Delta("lo é"),
    Delta(tools=(ToolDelta(0, "call_1", "refund"),)),
    Delta(tools=(ToolDelta(0, arguments='{"order": 7}'),)),
    Delta(finish="stop"),
    Delta(usage=Usage(3, 5)),
]


@given(st.lists(st.integers(1, len(WHOLE) - 1), max_size=20))
def test_events_are_the_same_however_the_bytes_are_cut(cuts: list[int]) -> None:
    events = Events("it")
    places = [0, *sorted(set(cuts)), len(WHOLE)]
    found = [
        delta for start, end in itertools.pairwise(places) for delta in events.feed(WHOLE[start:end])
    ]
    assert found == DELTAS
    assert events.ended


def test_what_ends_lines_differently_is_read_the_same() -> None:
    assert Events("it").feed(WHOLE.replace(b"\r\n", b"\n").replace(b"\n", b"\r\n")) == DELTAS


@pytest.mark.parametrize(
    ("data", "problem"),
    [
        (b'data: {"error": {"message": "out of memory"}}\n\n', "it sent an error in its stream: .*out of memory"),
        (b"data: {]\n\n", "it sent an event that is no chat completion"),
        (b'data: {"choices": 7}\n\n', "it sent an event that is no chat completion"),
        (b"data: " + b"x" * event_bytes_max, "above event_bytes_max"),
    ],
)
def test_what_is_no_event_is_refused(data: bytes, problem: str) -> None:
    events = Events("it")
    assert events.feed(choice(content="a") + data) == [Delta("a")]
    assert re.search(problem, str(events.trouble))
    assert events.feed(choice(content="b")) == []


def asking(timeout_s: float = 20.0) -> ModelRequest:
    return ModelRequest([Message("user", "Say hello to all of us.")], timeout_s, max_tokens=16)


async def read(endpoint: StreamingEndpoint, request: ModelRequest) -> list[Delta]:
    return [delta async for delta in endpoint.stream(request)]


async def test_a_real_server_streams_what_it_also_answers_whole() -> None:
    async with ScriptedServer(clock=SystemClock()) as server:
        endpoint = OpenAIEndpoint("own", url=server.url, model="m")
        deltas = await read(endpoint, asking())
        whole = await endpoint.complete(asking())
        assert "".join(delta.text for delta in deltas) == whole.text
        assert [delta.usage for delta in deltas if delta.usage] == [whole.usage]
        assert [delta.finish for delta in deltas if delta.finish] == [whole.finish]
        await endpoint.close()


def _streamed(data: bytes) -> bytes:
    return b"HTTP/1.1 200 OK\r\nContent-Type: text/event-stream\r\nConnection: close\r\n\r\n" + data


@pytest.mark.parametrize(
    ("answer", "given_before", "problem"),
    [
        (_streamed(WHOLE[: WHOLE.index(b'lo')]), ["Hel"], "broke off before its end"),
        (_streamed(b""), [], "broke off before its end"),
        (_streamed(choice(content="a") + b'data: {"error": {"message": "gone"}}\n\n'), ["a"], "gone"),
        (b"HTTP/1.1 200 OK\r\nContent-Type: text/html\r\nContent-Length: 0\r\n\r\n", [], "expected text/event-stream"),
    ],
)
async def test_a_stream_that_does_not_end_well_raises_after_what_came(
    faulty: FaultyServer, answer: bytes, given_before: list[str], problem: str
) -> None:
    faulty.answers = [answer]
    endpoint = OpenAIEndpoint("own", url=faulty.url, model="m")
    deltas = endpoint.stream(asking())
    assert [(await anext(deltas)).text for _ in given_before] == given_before
    with pytest.raises(EndpointUnavailable, match=problem):
        await anext(deltas)
    assert faulty.bodies[0]["stream"] is True
    await endpoint.close()


async def test_a_stream_that_is_refused_or_silent_is_an_error_in_time(faulty: FaultyServer) -> None:
    async def silent(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        writer.write(_streamed(choice(content="a")))
        await reader.read()

    faulty.answers = [b"HTTP/1.1 429 Busy\r\nRetry-After: 7\r\nContent-Length: 0\r\n\r\n", silent]
    endpoint = OpenAIEndpoint("own", url=faulty.url, model="m")
    with pytest.raises(EndpointOverloaded) as caught:
        await read(endpoint, asking())
    assert caught.value.retry_after_s == 7.0
    with pytest.raises(EndpointError, match=r"did not answer within 0\.2 s"):
        await read(endpoint, asking(0.2))
    await endpoint.close()


async def test_a_reader_that_stops_early_closes_the_connection(faulty: FaultyServer) -> None:
    closed = asyncio.Event()

    async def endless(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        writer.write(_streamed(choice(content="a")))
        await reader.read()
        closed.set()

    faulty.answers = [endless]
    endpoint = OpenAIEndpoint("own", url=faulty.url, model="m")
    deltas = endpoint.stream(asking())
    assert (await anext(deltas)).text == "a"
    await deltas.aclose()  # type: ignore[attr-defined] # it is a generator
    await asyncio.wait_for(closed.wait(), 20)
    await endpoint.close()
