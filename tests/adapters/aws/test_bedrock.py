"""Chat completions through Converse, asked of a server that speaks it."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator
from typing import Any

import pytest

from outlast.adapters.aws.bedrock import bedrock
from outlast.adapters.aws.client import Place
from outlast.adapters.aws.endpoint import ServiceEndpoint
from outlast.adapters.aws.sagemaker import sagemaker
from outlast.adapters.aws.service import Service
from outlast.adapters.host.clock import SystemClock
from outlast.model.endpoint import (
    EndpointError,
    EndpointOverloaded,
    EndpointRefused,
    EndpointUnavailable,
    Message,
    ModelRequest,
    Usage,
)
from tests.adapters.aws.fake import WORDS, Fake, fake_aws

pytest.importorskip("aiobotocore")

MODEL = "eu.amazon.nova-lite-v1:0"
TEXT = "".join(WORDS)


@pytest.fixture(autouse=True)
def credentials(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("AWS_ACCESS_KEY_ID", "test")
    monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", "never-shown")
    monkeypatch.setenv("AWS_EC2_METADATA_DISABLED", "true")


@pytest.fixture
async def fake() -> AsyncIterator[tuple[Fake, Place]]:
    async with fake_aws() as (made, url):
        yield made, Place("eu-central-1", url)


@pytest.fixture(params=["bedrock", "sagemaker"])
async def both(request: pytest.FixtureRequest, fake: tuple[Fake, Place]) -> AsyncIterator[tuple[Fake, Service]]:
    made = bedrock(MODEL, fake[1], SystemClock()) if request.param == "bedrock" else sagemaker("own", fake[1])
    yield fake[0], made
    await made._client.closed()


async def asked(service: Service, **body: Any) -> dict[str, Any]:
    raw = json.dumps({"model": "m", "messages": [{"role": "user", "content": "count"}], **body}).encode()
    exchange = service.begin()
    try:
        answer = await exchange.ask(b"", raw)
        whole = await answer.whole(1 << 20)
    finally:
        exchange.abort()
    if not body.get("stream"):
        return json.loads(whole)
    frames = [frame.removeprefix("data: ") for frame in whole.decode().split("\n\n") if frame]
    assert frames[-1] == "[DONE]"
    return {"chunks": [json.loads(frame) for frame in frames[:-1]]}


async def test_an_answer_comes_whole_or_in_pieces(both: tuple[Fake, Service]) -> None:
    _, service = both
    whole = await asked(service)
    assert whole["choices"][0]["message"]["content"] == TEXT
    assert whole["choices"][0]["finish_reason"] == "stop"
    assert whole["usage"]["total_tokens"] == 10
    streamed = await asked(service, stream=True, stream_options={"include_usage": True})
    text = "".join(chunk["choices"][0]["delta"].get("content", "") for chunk in streamed["chunks"] if chunk["choices"])
    assert text == TEXT


async def test_a_worker_asks_it_as_any_endpoint(both: tuple[Fake, Service]) -> None:
    _, service = both
    endpoint = ServiceEndpoint("own", service, MODEL)
    found = await endpoint.complete(ModelRequest([Message("user", "count")], 10.0))
    assert (found.text, found.usage, found.finish) == (TEXT, Usage(7, 3), "stop")
    assert found.model == MODEL


ERRORS: list[tuple[int, str, type[EndpointError], bool | None]] = [
    (429, "ThrottlingException", EndpointOverloaded, None),
    (503, "ServiceUnavailableException", EndpointUnavailable, None),
    (500, "InternalServerException", EndpointUnavailable, None),
    (424, "ModelErrorException", EndpointUnavailable, None),
    (403, "AccessDeniedException", EndpointRefused, True),
    (404, "ResourceNotFoundException", EndpointRefused, True),
    (400, "ValidationException", EndpointRefused, False),
]


@pytest.mark.parametrize("stream", [False, True])
async def test_what_the_service_refuses_is_told_by_whose_fault_it_is(both: tuple[Fake, Service], stream: bool) -> None:
    fake, service = both
    for number, (status, code, kind, elsewhere) in enumerate(ERRORS, 1):
        fake.error = (status, code, {"retry-after": "3"})
        with pytest.raises(EndpointError) as caught:
            await asked(service, stream=stream)
        assert type(caught.value) is kind, code
        assert "never-shown" not in str(caught.value)
        if isinstance(caught.value, EndpointRefused):
            assert caught.value.elsewhere is elsewhere, code
        if isinstance(caught.value, EndpointOverloaded):
            assert caught.value.retry_after_s == 3.0
        assert len(fake.asked) == number, "the SDK does not retry: the pool does"


@pytest.mark.parametrize("cut_after", [0, 1, 2])
async def test_a_stream_that_breaks_off_is_unavailable(both: tuple[Fake, Service], cut_after: int) -> None:
    fake, service = both
    fake.cut_after = cut_after
    exchange = service.begin()
    answer = await exchange.ask(b"", b'{"messages": [{"role": "user", "content": "count"}], "stream": true}')
    with pytest.raises(EndpointUnavailable):
        await answer.whole(1 << 20)
    exchange.abort()


@pytest.mark.parametrize("broken", ["modelStreamErrorException", "throttlingException"])
async def test_an_exception_in_the_stream_is_told(fake: tuple[Fake, Place], broken: str) -> None:
    service = bedrock(MODEL, fake[1], SystemClock())
    fake[0].cut_after, fake[0].broken = 2, broken
    kind = EndpointOverloaded if broken.startswith("throttling") else EndpointUnavailable
    with pytest.raises(kind, match="it broke"):
        await asked(service, stream=True)
    await service._client.closed()


@pytest.mark.parametrize("stream", [False, True])
async def test_whoever_waits_is_let_go_when_the_exchange_is_aborted(fake: tuple[Fake, Place], stream: bool) -> None:
    service = bedrock(MODEL, fake[1], SystemClock())
    fake[0].hang, fake[0].cut_after = True, 1
    exchange = service.begin()

    async def ask() -> None:
        body = {"messages": [{"role": "user", "content": "count"}], "stream": stream}
        answer = await exchange.ask(b"", json.dumps(body).encode())
        while await answer.chunk():
            pass

    async with asyncio.timeout(20):
        task = asyncio.create_task(ask())
        while not fake[0].asked:  # noqa: ASYNC110 (the fake tells nobody)
            await asyncio.sleep(0.01)
        exchange.abort()
        with pytest.raises(EndpointUnavailable, match="given up"):
            await task
    await service._client.closed()


async def test_a_call_that_is_cancelled_stays_cancelled(fake: tuple[Fake, Place]) -> None:
    service = bedrock(MODEL, fake[1], SystemClock())
    fake[0].hang = True
    task = asyncio.create_task(asked(service))
    async with asyncio.timeout(20):
        while not fake[0].asked:  # noqa: ASYNC110 (the fake tells nobody)
            await asyncio.sleep(0.01)
        task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await task
    await service._client.closed()


async def test_a_service_that_is_not_there_is_unavailable() -> None:
    service = bedrock(MODEL, Place("eu-central-1", "http://127.0.0.1:9"), SystemClock())
    with pytest.raises(EndpointUnavailable, match="did not answer"):
        await asked(service)
    await service._client.closed()


async def test_without_credentials_or_region_another_endpoint_is_asked(
    fake: tuple[Fake, Place], monkeypatch: pytest.MonkeyPatch
) -> None:
    for name in ("AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY"):
        monkeypatch.delenv(name)
    monkeypatch.setenv("AWS_SHARED_CREDENTIALS_FILE", "/nonexistent")
    monkeypatch.setenv("AWS_CONFIG_FILE", "/nonexistent")
    service = bedrock(MODEL, fake[1], SystemClock())
    with pytest.raises(EndpointRefused, match="give this process AWS credentials") as caught:
        await asked(service)
    assert caught.value.elsewhere
    await service._client.closed()
    nowhere = bedrock(MODEL, Place(None, fake[1].endpoint_url), SystemClock())
    with pytest.raises(EndpointRefused, match="region") as caught:
        await asked(nowhere)
    assert caught.value.elsewhere
    await nowhere._client.closed()


async def test_tools_and_their_results_are_carried_both_ways(fake: tuple[Fake, Place]) -> None:
    service = bedrock(MODEL, fake[1], SystemClock())
    fake[0].tool, fake[0].stop = True, "tool_use"
    function = {"name": "look", "description": "Look.", "parameters": {"type": "object"}}
    tools = [{"type": "function", "function": function}]
    first = await asked(service, tools=tools, tool_choice="required")
    call = first["choices"][0]["message"]["tool_calls"][0]
    assert first["choices"][0]["finish_reason"] == "tool_calls"
    assert (call["id"], call["function"]["name"]) == ("t1", "look")
    assert json.loads(call["function"]["arguments"]) == {"at": 3}
    streamed = (await asked(service, tools=tools, stream=True))["chunks"]
    deltas = [call for chunk in streamed for call in chunk["choices"][0]["delta"].get("tool_calls", [])]
    assert deltas[0]["id"] == "t1"
    assert json.loads("".join(delta["function"]["arguments"] for delta in deltas)) == {"at": 3}
    assert {delta["index"] for delta in deltas} == {0}
    messages = [
        {"role": "system", "content": "be brief"},
        {"role": "user", "content": "look"},
        first["choices"][0]["message"],
        {"role": "tool", "tool_call_id": "t1", "content": "a cat"},
        {"role": "user", "content": "and?"},
    ]
    await asked(service, messages=messages, tools=tools, max_tokens=9, temperature=0.5, stop="x")
    sent = fake[0].asked[-1]
    assert sent["system"] == [{"text": "be brief"}]
    assert [message["role"] for message in sent["messages"]] == ["user", "assistant", "user"]
    assert sent["messages"][1]["content"] == [{"toolUse": {"toolUseId": "t1", "name": "look", "input": {"at": 3}}}]
    assert sent["messages"][2]["content"][0] == {"toolResult": {"toolUseId": "t1", "content": [{"text": "a cat"}]}}
    assert sent["inferenceConfig"] == {"maxTokens": 9, "temperature": 0.5, "stopSequences": ["x"]}
    await service._client.closed()
