"""The real model server: the contract of endpoints over HTTP, and how it starts and ends."""

from __future__ import annotations

import asyncio
import os
import select
import signal
import socket
import subprocess
import sys
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import aiohttp
import msgspec
import pytest

from outlast.adapters.local.llama import LlamaOptions
from outlast.adapters.local.process import LocalModelServer, ModelServerFailed
from outlast.adapters.openai.endpoint import OpenAIEndpoint
from outlast.kernel.error import ConfigurationError
from outlast.model.endpoint import Endpoint, EndpointRefused, EndpointUnavailable
from tests.contracts.endpoint import EndpointContract, asking

pytestmark = pytest.mark.real_model


def endpoint(server: LocalModelServer) -> OpenAIEndpoint:
    return OpenAIEndpoint("local", url=server.url, model="smollm2-135m-instruct")


class TestOpenAIEndpointOnRealModel(EndpointContract):
    @pytest.fixture(autouse=True)
    def _server(self, model_server: LocalModelServer) -> None:
        self.server = model_server

    @asynccontextmanager
    async def opened(self) -> AsyncIterator[Endpoint]:
        yield endpoint(self.server)


async def test_a_prompt_beyond_the_context_is_refused(model_server: LocalModelServer) -> None:
    asked = endpoint(model_server)
    with pytest.raises(EndpointRefused, match="400"):
        await asked.complete(asking("word " * 6000))
    await asked.close()


async def test_a_request_that_timed_out_leaves_the_server_usable(model_server: LocalModelServer) -> None:
    asked = endpoint(model_server)
    with pytest.raises(EndpointUnavailable, match="within"):
        await asked.complete(asking("Write a very long story.", timeout_s=0.05))
    assert (await asked.complete(asking("Say hello.", max_tokens=4))).text
    await asked.close()


async def test_web_pages_and_neighbours_learn_nothing(model_server: LocalModelServer) -> None:
    root = model_server.url.removesuffix("/v1")
    async with aiohttp.ClientSession() as session:
        async with session.get(f"{root}/health", headers={"Origin": "http://evil.example"}) as response:
            assert not response.headers.get("Access-Control-Allow-Origin")
        async with session.get(f"{root}/slots") as response:
            assert response.status in (404, 501)


async def test_it_ends_at_once_on_sigterm_also_in_the_middle_of_an_answer(model: None, until: Any) -> None:
    server = LocalModelServer()
    await asyncio.to_thread(server.start)
    asked = endpoint(server)
    task = asyncio.ensure_future(asked.complete(asking("Write a very long story.")))
    await until(lambda: asked._sessions)
    process = server._process
    assert process is not None
    os.kill(server.pid, signal.SIGTERM)
    assert await asyncio.to_thread(process.wait, 10) == 0
    with pytest.raises(EndpointUnavailable):
        await task
    await asked.close()
    await asyncio.to_thread(server.stop)


async def test_a_killed_server_is_unavailable_and_can_be_started_again(model: None) -> None:
    server = LocalModelServer()
    await asyncio.to_thread(server.start)
    asked = endpoint(server)
    os.kill(server.pid, signal.SIGKILL)
    with pytest.raises(EndpointUnavailable):
        await asked.complete(asking("hello"))
    await asked.close()
    await asyncio.to_thread(server.stop)
    assert (server.pid, server.url) == (0, "")
    await asyncio.to_thread(server.start)
    assert server.pid
    await asyncio.to_thread(server.stop)
    await asyncio.to_thread(server.stop)


def test_the_child_ends_with_the_process_that_started_it(model: None) -> None:
    code = (
        "import sys; from outlast.adapters.local.process import LocalModelServer; server = LocalModelServer();"
        "server.start(); print(server.pid, flush=True); sys.stdin.read()"
    )
    with subprocess.Popen([sys.executable, "-c", code], stdin=subprocess.PIPE, stdout=subprocess.PIPE) as parent:
        assert parent.stdout is not None
        child = os.pidfd_open(int(parent.stdout.readline()))
        parent.kill()
    try:
        assert select.select([child], [], [], 30.0)[0], "the orphan lives on"
    finally:
        os.close(child)


def test_a_port_in_use_is_said_before_the_model_is_loaded(model: None) -> None:
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        port = taken.getsockname()[1]
        with pytest.raises(ConfigurationError, match=f"port {port} of 127.0.0.1 cannot be used"):
            LocalModelServer(LlamaOptions(port=port)).start()


@pytest.mark.parametrize(
    ("change", "says"),
    [
        ({"host": "0.0.0.0"}, "loopback"),
        ({"model": "gpt"}, "cannot be served"),
        ({"parallel": 0}, "parallel"),
        ({"context_tokens": 10**6}, "context"),
        ({"port": 70000}, "port"),
    ],
)
def test_wrong_options_are_refused(change: dict[str, Any], says: str) -> None:
    with pytest.raises(ConfigurationError, match=says):
        LocalModelServer(msgspec.structs.replace(LlamaOptions(port=0), **change)).start()


def test_a_missing_model_is_said(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("OUTLAST_MODELS", str(tmp_path))
    with pytest.raises(ConfigurationError, match="outlast model pull"):
        LocalModelServer().start()


def test_a_server_that_takes_too_long_is_ended(model: None) -> None:
    server = LocalModelServer(ready_timeout_s=0.001)
    with pytest.raises(ModelServerFailed, match="not ready within"):
        server.start()
    assert server.pid == 0
