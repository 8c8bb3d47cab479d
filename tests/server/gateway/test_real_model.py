"""The gateway in front of two real model servers: llama.cpp, twice, one of them killed in the middle."""

from __future__ import annotations

import asyncio
import json
import os
import signal
from collections.abc import Iterator

import openai
import pytest

from outlast.adapters.local.artifact import smollm2
from outlast.adapters.local.llama import LlamaOptions
from outlast.adapters.local.process import LocalModelServer
from tests.real_model import need
from tests.server.gateway.conftest import Start

pytestmark = [pytest.mark.real_model, pytest.mark.timeout(300)]

PROMPT = [{"role": "user", "content": "Name three colours."}]


@pytest.fixture
def servers() -> Iterator[list[LocalModelServer]]:
    need(smollm2, "xllamacpp")
    found = [LocalModelServer(LlamaOptions(port=0, context_tokens=512)) for _ in range(2)]
    try:
        for server in found:
            server.start()
        yield found
    finally:
        for server in found:
            server.stop()


async def test_two_real_models_answer_as_one_and_the_death_of_one_is_not_seen(
    gateway: Start, servers: list[LocalModelServer]
) -> None:
    site = await gateway(*(server.url for server in servers))
    async with openai.AsyncOpenAI(base_url=f"{site.address}/v1", api_key="unused", max_retries=0) as client:

        async def ask(stream: bool) -> str:
            if not stream:
                answer = await client.chat.completions.create(model="writer", messages=PROMPT, max_tokens=12)  # type: ignore[arg-type] # a plain dict is one
                assert answer.usage is not None
                assert answer.usage.completion_tokens > 0
                return answer.choices[0].message.content or ""
            pieces = await client.chat.completions.create(
                model="writer", messages=PROMPT, max_tokens=12, stream=True  # type: ignore[arg-type] # as above
            )
            return "".join([piece.choices[0].delta.content or "" async for piece in pieces if piece.choices])

        texts = await asyncio.gather(*(ask(number % 2 == 1) for number in range(8)))
        assert all(text.strip() for text in texts)
        views = {member.name: member for member in site.assembly.gateway.catalog.pools["writer"].view().members}
        assert min(view.answered for view in views.values()) > 0

        asking = [asyncio.create_task(ask(False)) for _ in range(4)]
        os.kill(servers[0].pid, signal.SIGKILL)
        assert all(text.strip() for text in await asyncio.gather(*asking))
        for number in range(6):
            assert (await ask(number % 2 == 1)).strip()

        schema = {"type": "object", "properties": {"colour": {"enum": ["red", "blue"]}}, "required": ["colour"]}
        answer = await client.chat.completions.create(
            model="writer",
            messages=PROMPT,  # type: ignore[arg-type] # as above
            max_tokens=40,
            response_format={"type": "json_schema", "json_schema": {"name": "colour", "schema": schema}},
        )
        assert json.loads(answer.choices[0].message.content or "")["colour"] in ("red", "blue")
    assert json.loads((await site.get("/readyz"))[2])["models"] == {"writer": "answers"}
