"""The official clients of OpenAI and Anthropic, as their users use them, with their own retries off."""

from __future__ import annotations

import asyncio
import json
import shutil
import subprocess
from typing import Any

import anthropic
import openai
import pytest

from tests.server.gateway.conftest import Site, Start
from tests.server.gateway.upstream import (
    DONE,
    LAST,
    ROLE,
    STREAM,
    Asked,
    ModelServer,
    chat_answer,
    chat_delta,
    event,
    piece,
    says,
    whole,
    words,
)

HI: list[Any] = [{"role": "user", "content": "hi"}]
TOOLS: list[Any] = [{"type": "function", "function": {"name": "look", "parameters": {"type": "object"}}}]


def openai_client(site: Site, **options: Any) -> Any:
    return openai.AsyncOpenAI(base_url=f"{site.address}/v1", api_key="sk-of-the-client", max_retries=0, **options)


def anthropic_client(site: Site, **options: Any) -> Any:
    return anthropic.AsyncAnthropic(base_url=site.address, api_key="sk-of-the-client", max_retries=0, **options)


async def test_openai_completes(gateway: Start) -> None:
    async with ModelServer() as server:
        site = await gateway(server.url)
        async with openai_client(site) as client:
            answer = await client.chat.completions.create(model="writer", messages=HI)
            assert answer.choices[0].message.content == "hello"
            assert answer.usage.total_tokens == 5
            assert [model.id async for model in client.models.list()] == ["writer"]
            assert (await client.models.retrieve("writer")).id == "writer"
        assert "authorization" not in server.asked[0].headers  # the client's key is the gateway's business


async def test_openai_streams(gateway: Start) -> None:
    async with ModelServer() as server:
        site = await gateway(server.url)
        async with openai_client(site) as client:
            stream = await client.chat.completions.create(model="writer", messages=HI, stream=True)
            texts = [chunk.choices[0].delta.content async for chunk in stream]
            assert "".join(text or "" for text in texts) == "hello"


async def test_openai_calls_tools_and_fragments_come_once_and_in_order(gateway: Start) -> None:
    call = {"index": 0, "id": "call_1", "type": "function", "function": {"name": "look", "arguments": ""}}
    fragments = [
        chat_delta({"tool_calls": [call]}),
        *(
            chat_delta({"tool_calls": [{"index": 0, "function": {"arguments": text}}]})
            for text in ('{"ord', 'er": 10', "43}")
        ),
        chat_delta({}, "tool_calls"),
    ]
    good = says(STREAM, piece(ROLE), *map(piece, fragments), piece(DONE), LAST)
    async with ModelServer(says(STREAM, piece(ROLE), then="reset")) as broken, ModelServer(good) as server:
        site = await gateway(broken.url, server.url)
        for _ in range(4):
            async with openai_client(site) as client:
                stream = await client.chat.completions.create(model="writer", messages=HI, tools=TOOLS, stream=True)
                arguments = ""
                async for chunk in stream:
                    for part in chunk.choices[0].delta.tool_calls or []:
                        arguments += part.function.arguments or ""
                assert json.loads(arguments) == {"order": 1043}
        assert server.asked[0].json["tools"] == TOOLS


async def test_openai_gets_embeddings(gateway: Start) -> None:
    document = {
        "object": "list",
        "data": [{"object": "embedding", "index": 0, "embedding": [0.25, 0.5]}],
        "model": "m",
        "usage": {"prompt_tokens": 1, "total_tokens": 1},
    }
    async with ModelServer(says(whole(document))) as server:
        site = await gateway(server.url)
        async with openai_client(site) as client:
            answer = await client.embeddings.create(model="writer", input="hi", encoding_format="float")
            assert answer.data[0].embedding == [0.25, 0.5]
        assert server.asked[0].target == "/v1/embeddings"


def response_document(status: str, text: str) -> dict[str, Any]:
    return {
        "id": "resp_1",
        "object": "response",
        "created_at": 1,
        "status": status,
        "model": "m",
        "error": None,
        "output": [
            {"type": "reasoning", "id": "rs_1", "summary": [], "encrypted_content": "opaque=="},
            {
                "type": "message",
                "id": "msg_1",
                "status": "completed",
                "role": "assistant",
                "content": [{"type": "output_text", "text": text, "annotations": []}],
            },
        ],
        "parallel_tool_calls": True,
        "tool_choice": "auto",
        "tools": [],
        "usage": {
            "input_tokens": 3,
            "output_tokens": 2,
            "total_tokens": 5,
            "input_tokens_details": {"cached_tokens": 0, "cache_write_tokens": 0},
            "output_tokens_details": {"reasoning_tokens": 0},
        },
    }


def typed(kind: str, **fields: Any) -> bytes:
    return f"event: {kind}\n".encode() + event({"type": kind, **fields})


async def test_openai_gets_responses_and_a_providers_items_byte_for_byte(gateway: Start) -> None:
    raw = json.dumps(response_document("completed", "hello"), indent=1).encode()
    async with ModelServer(says(whole(raw))) as server:
        site = await gateway(server.url)
        async with openai_client(site) as client:
            answer = await client.responses.with_raw_response.create(model="writer", input="hi")
            assert answer.content == raw
            assert answer.parse().output_text == "hello"
        assert server.asked[0].target == "/v1/responses"


async def test_openai_streams_responses_and_fails_over_before_the_first_content(gateway: Start) -> None:
    created = typed("response.created", sequence_number=0, response=response_document("in_progress", ""))
    delta = {"item_id": "msg_1", "output_index": 1, "content_index": 0, "logprobs": []}
    good = [
        created,
        typed("response.output_text.delta", sequence_number=1, delta="hel", **delta),
        typed("response.output_text.delta", sequence_number=2, delta="lo", **delta),
        typed("response.completed", sequence_number=3, response=response_document("completed", "hello")),
    ]
    failed = {**response_document("failed", ""), "error": {"code": "server_error", "message": "no memory"}}
    bad = [created, typed("response.failed", sequence_number=1, response=failed)]
    async with (
        ModelServer(says(STREAM, *map(piece, bad), LAST)) as broken,
        ModelServer(says(STREAM, *map(piece, good), LAST)) as server,
    ):
        site = await gateway(broken.url, server.url)
        for _ in range(4):
            async with openai_client(site) as client:
                stream = await client.responses.create(model="writer", input="hi", stream=True)
                events = [one async for one in stream]
                assert [one.type for one in events].count("response.created") == 1
                assert events[-1].response.output_text == "hello"


MESSAGE = {
    "id": "msg_1",
    "type": "message",
    "role": "assistant",
    "model": "m",
    "content": [{"type": "text", "text": "hello"}],
    "stop_reason": "end_turn",
    "stop_sequence": None,
    "usage": {"input_tokens": 3, "output_tokens": 2},
}


def message_stream(*texts: str) -> list[bytes]:
    return [
        typed("message_start", message={**MESSAGE, "content": [], "stop_reason": None}),
        typed("content_block_start", index=0, content_block={"type": "text", "text": ""}),
        typed("ping"),
        *(typed("content_block_delta", index=0, delta={"type": "text_delta", "text": text}) for text in texts),
        typed("content_block_stop", index=0),
        typed("message_delta", delta={"stop_reason": "end_turn", "stop_sequence": None}, usage={"output_tokens": 2}),
        typed("message_stop"),
    ]


async def test_anthropic_completes(gateway: Start) -> None:
    async with ModelServer(says(whole(MESSAGE))) as server:
        site = await gateway(server.url)
        async with anthropic_client(site) as client:
            answer = await client.messages.create(model="writer", messages=HI, max_tokens=9)
            assert answer.content[0].text == "hello"
            assert [model.id async for model in client.models.list()] == ["writer"]
        asked = server.asked[0]
        assert asked.target == "/v1/messages"
        assert asked.headers["anthropic-version"]
        assert "x-api-key" not in asked.headers


async def test_anthropic_streams_and_fails_over_before_the_first_content(gateway: Start) -> None:
    error = typed("error", error={"type": "overloaded_error", "message": "Overloaded"})
    async with (
        ModelServer(says(STREAM, *map(piece, [*message_stream()[:3], error]), LAST)) as broken,
        ModelServer(says(STREAM, *map(piece, message_stream("hel", "lo")), LAST)) as server,
    ):
        site = await gateway(broken.url, server.url)
        for _ in range(4):
            async with (
                anthropic_client(site) as client,
                client.messages.stream(model="writer", messages=HI, max_tokens=9) as stream,
            ):
                assert await stream.get_final_text() == "hello"
        assert len(broken.asked) >= 1


async def test_anthropic_raises_when_a_stream_breaks_off(gateway: Start) -> None:
    async with ModelServer(says(STREAM, *map(piece, message_stream("hel")[:4]), then="reset")) as server:
        site = await gateway(server.url)
        async with anthropic_client(site) as client:
            with pytest.raises(anthropic.APIStatusError, match="broke off"):
                async with client.messages.stream(model="writer", messages=HI, max_tokens=9) as stream:
                    await stream.get_final_text()


async def test_openai_raises_when_a_stream_breaks_off(gateway: Start) -> None:
    async with ModelServer(says(STREAM, piece(ROLE + words("hel")), then="reset")) as server:
        site = await gateway(server.url)
        async with openai_client(site) as client:
            stream = await client.chat.completions.create(model="writer", messages=HI, stream=True)
            with pytest.raises(openai.APIError, match="broke off"):
                async for _ in stream:
                    pass


async def test_errors_are_the_exceptions_that_users_catch(gateway: Start) -> None:
    refusal = {"error": {"message": "too long", "type": "invalid_request_error", "code": "c", "param": None}}
    async with ModelServer(says(whole(refusal, 400))) as server:
        site = await gateway(server.url)
        async with openai_client(site) as client:
            with pytest.raises(openai.BadRequestError, match="too long"):
                await client.chat.completions.create(model="writer", messages=HI)
            with pytest.raises(openai.NotFoundError, match="expected one of writer"):
                await client.chat.completions.create(model="nobody", messages=HI)
        async with anthropic_client(site) as client:
            with pytest.raises(anthropic.NotFoundError, match="expected one of writer"):
                await client.messages.create(model="nobody", messages=HI, max_tokens=9)


async def test_a_deadline_is_kept_and_is_an_error_of_the_server(gateway: Start) -> None:
    async def silent(asked: Asked, writer: asyncio.StreamWriter) -> None:
        await asked.reader.read()

    async with ModelServer(silent) as server:
        site = await gateway(server.url)
        async with openai_client(site) as client:
            with pytest.raises(openai.InternalServerError) as caught:
                await client.chat.completions.create(
                    model="writer", messages=HI, extra_headers={"x-outlast-deadline": "0.5"}
                )
            assert caught.value.status_code in (503, 504)


async def test_a_clients_own_time_out_ends_the_request_at_the_endpoint(gateway: Start, until: Any) -> None:
    async def silent(asked: Asked, writer: asyncio.StreamWriter) -> None:
        await asked.reader.read()

    async with ModelServer(silent) as server:
        site = await gateway(server.url)
        async with openai_client(site, timeout=0.5) as client:
            with pytest.raises(openai.APITimeoutError):
                await client.chat.completions.create(model="writer", messages=HI)
        await until(lambda: server.open == 0, 20, "the endpoint's connection was closed")


@pytest.mark.skipif(shutil.which("curl") is None, reason="curl is not installed")
async def test_curl_gets_json_and_streams(gateway: Start) -> None:
    async with ModelServer() as server:
        site = await gateway(server.url)
        url = f"{site.address}/v1/chat/completions"

        def curl(*arguments: str) -> str:
            done = subprocess.run(["curl", "-sS", "-m", "20", *arguments], capture_output=True, timeout=60, check=True)
            return done.stdout.decode()

        body = {"model": "writer", "messages": HI}
        said = await asyncio.to_thread(curl, url, "--json", json.dumps(body))
        assert json.loads(said) == chat_answer()
        said = await asyncio.to_thread(curl, "-N", url, "-d", json.dumps({**body, "stream": True}))
        assert said.endswith("data: [DONE]\n\n")
        said = await asyncio.to_thread(curl, "--http2", "-i", f"{site.address}/livez")
        assert said.startswith("HTTP/1.1 200")
        big = json.dumps({**body, "messages": [{"role": "user", "content": "x" * 300_000}]})
        done = subprocess.Popen(
            ["curl", "-sS", "-m", "20", url, "-d", "@-"], stdin=subprocess.PIPE, stdout=subprocess.PIPE
        )
        out, _ = await asyncio.to_thread(done.communicate, big.encode())
        assert json.loads(out) == chat_answer()
        assert len(server.asked[-1].json["messages"][0]["content"]) == 300_000
