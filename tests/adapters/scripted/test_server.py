"""The scripted model behind real HTTP."""

from __future__ import annotations

import json
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

import aiohttp
import pytest

from outlast.adapters.openai.endpoint import OpenAIEndpoint
from outlast.adapters.scripted.server import ScriptedServer
from outlast.kernel.error import ConfigurationError
from outlast.model.endpoint import Endpoint, EndpointRefused
from tests.contracts.endpoint import EndpointContract, asking

TOOLS = [
    {"type": "function", "function": {"name": "lookup", "parameters": {"type": "object", "properties": {}}}},
    {
        "type": "function",
        "function": {
            "name": "refund",
            "parameters": {
                "type": "object",
                "properties": {"order": {"type": "integer"}, "reason": {"type": "string"}},
                "required": ["order", "reason"],
            },
        },
    },
]


class TestOpenAIEndpointOnScriptedServer(EndpointContract):
    @asynccontextmanager
    async def opened(self) -> AsyncIterator[Endpoint]:
        async with ScriptedServer() as server:
            yield OpenAIEndpoint("own", url=server.url, model="scripted")


async def post(server: ScriptedServer, document: Any) -> tuple[int, Any]:
    async with aiohttp.ClientSession() as session:
        data = document if isinstance(document, bytes) else json.dumps(document).encode()
        async with session.post(f"{server.url}/chat/completions", data=data) as response:
            return response.status, await response.json()


def said(text: str) -> list[dict[str, str]]:
    return [{"role": "user", "content": text}]


async def test_models_and_health_answer_and_name_the_stand_in() -> None:
    async with ScriptedServer() as server, aiohttp.ClientSession() as session:
        async with session.get(f"{server.url}/models") as response:
            assert [model["id"] for model in (await response.json())["data"]] == ["scripted"]
        async with session.get(f"{server.url.removesuffix('/v1')}/health") as response:
            assert await response.json() == {"status": "ok"}


async def test_tools_get_one_call_of_the_tool_that_the_prompt_names_and_then_text() -> None:
    async with ScriptedServer() as server:
        status, document = await post(server, {"messages": said("please refund order 1043"), "tools": TOOLS})
        assert status == 200
        choice = document["choices"][0]
        assert choice["finish_reason"] == "tool_calls"
        call = choice["message"]["tool_calls"][0]
        assert call["function"]["name"] == "refund"
        assert json.loads(call["function"]["arguments"])["order"] == 1043
        again = await post(server, {"messages": said("please refund order 1043"), "tools": TOOLS})
        assert again[1] == document
        history = [*said("please refund order 1043"), choice["message"], {"role": "tool", "content": "done"}]
        _, document = await post(server, {"messages": history, "tools": TOOLS})
        assert document["choices"][0]["finish_reason"] == "stop"


async def test_tool_choice_is_honoured() -> None:
    async with ScriptedServer() as server:
        forced = {"type": "function", "function": {"name": "lookup"}}
        asked = {"messages": said("please refund"), "tools": TOOLS}
        _, document = await post(server, {**asked, "tool_choice": forced})
        assert document["choices"][0]["message"]["tool_calls"][0]["function"]["name"] == "lookup"
        _, document = await post(server, {**asked, "tool_choice": "none"})
        assert "scripted" in document["choices"][0]["message"]["content"]


async def test_a_stream_holds_the_same_text_as_the_plain_answer() -> None:
    async with ScriptedServer() as server, aiohttp.ClientSession() as session:
        _, plain = await post(server, {"messages": said("hello there")})
        asked = {"messages": said("hello there"), "stream": True, "stream_options": {"include_usage": True}}
        async with session.post(f"{server.url}/chat/completions", json=asked) as response:
            assert response.content_type == "text/event-stream"
            lines = [line.removeprefix("data: ") for line in (await response.text()).split("\n\n") if line]
        assert lines[-1] == "[DONE]"
        chunks = [json.loads(line) for line in lines[:-1]]
        text = "".join(chunk["choices"][0]["delta"].get("content", "") for chunk in chunks if chunk["choices"])
        assert text == plain["choices"][0]["message"]["content"]
        assert chunks[-1]["usage"] == plain["usage"]


@pytest.mark.parametrize("document", [b"junk", b"\xff", {}, {"messages": []}, {"messages": 3}, b"[" * 100_000])
async def test_what_is_no_request_is_refused_in_the_shape_of_the_protocol(document: Any) -> None:
    async with ScriptedServer() as server:
        status, body = await post(server, document)
        assert status == 400
        assert body["error"]["message"]


async def test_a_schema_that_it_cannot_serve_is_refused_over_the_wire() -> None:
    async with ScriptedServer() as server:
        endpoint = OpenAIEndpoint("own", url=server.url, model="scripted", structured="native")
        with pytest.raises(EndpointRefused, match="widget"):
            await endpoint.complete(asking("hello", schema={"type": "widget"}))
        await endpoint.close()


async def test_other_paths_are_not_found() -> None:
    async with (
        ScriptedServer() as server,
        aiohttp.ClientSession() as session,
        session.get(f"{server.url}/nothing") as response,
    ):
        assert response.status == 404
        assert (await response.json())["error"]["type"] == "not_found_error"


async def test_a_port_in_use_and_an_open_address_are_refused() -> None:
    async with ScriptedServer() as server:
        port = int(server.url.rsplit(":", 1)[1].split("/")[0])
        with pytest.raises(ConfigurationError, match="in use"):
            await ScriptedServer(port=port).start()
    with pytest.raises(ConfigurationError, match="loopback"):
        ScriptedServer("0.0.0.0")


class SlowClock:
    """Notes how long it was asked to sleep, and does not."""

    def __init__(self) -> None:
        self.slept: list[float] = []

    def now(self) -> float:
        return 0.0

    def monotonic(self) -> float:
        return 0.0

    async def sleep(self, seconds: float) -> None:
        self.slept.append(seconds)


async def test_a_completion_takes_as_long_as_it_is_told_to() -> None:
    clock = SlowClock()
    async with ScriptedServer(clock=clock, delay_s=0.4) as server:
        status, answer = await post(server, {"messages": said("hello")})
    assert (status, answer["model"], clock.slept) == (200, "scripted", [0.4])
