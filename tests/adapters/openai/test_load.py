"""What model servers publish of their load, read from real HTTP servers that publish it."""

from __future__ import annotations

import asyncio
import subprocess
import sys
from collections.abc import AsyncIterator, Awaitable, Callable
from pathlib import Path

import pytest
from aiohttp import web
from hypothesis import given
from hypothesis import strategies as st

from outlast.adapters.host.clock import SystemClock
from outlast.adapters.local.artifact import artifacts_of, smollm2, verified
from outlast.adapters.local.llama import LlamaOptions
from outlast.adapters.local.process import LocalModelServer
from outlast.adapters.openai.load import PageReporter, load_url, page_bytes_max, read_load
from outlast.kernel.error import ConfigurationError
from outlast.model.endpoint import EndpointRefused, EndpointUnavailable
from outlast.model.report import Report
from tests.real_model import need

VLLM = b"""# HELP vllm:num_requests_running Number of requests in model execution batches.
# TYPE vllm:num_requests_running gauge
vllm:num_requests_running{engine="0",model_name="org/Model {1B}"} 3.0
vllm:num_requests_running{engine="1",model_name="org/Model {1B}"} 2.0
vllm:num_requests_waiting{engine="0",model_name="org/Model {1B}"} 4.0
vllm:num_requests_waiting{engine="1",model_name="org/Model {1B}"} 1.0 1767225600000
vllm:kv_cache_usage_perc{engine="0",model_name="org/Model {1B}"} 0.25
vllm:kv_cache_usage_perc{engine="1",model_name="org/Model {1B}"} 0.75
vllm:request_success_total{finished_reason="stop"} 17.0
"""
OLD_VLLM = b'vllm:num_requests_running{model_name="m"} 1.0\nvllm:gpu_cache_usage_perc{model_name="m"} 0.5\n'
SGLANG = b"""sglang:num_running_reqs{model_name="m"} 7.0
sglang:num_queue_reqs{model_name="m"} 2.0
sglang:token_usage{model_name="m"} 0.28
"""
LLAMA = b"llamacpp:requests_processing 2\nllamacpp:requests_deferred 46\nllamacpp:n_decode_total 39303\n"
TGI = b"# TYPE tgi_queue_size gauge\ntgi_queue_size 3\ntgi_batch_current_size 8\n"
SLOTS = b'[{"id": 0, "is_processing": true, "prompt": "x"}, {"id": 1, "is_processing": false}]'

PUBLISHED = [
    (VLLM, Report("vllm", slots=0.75, running=5.0, waiting=5.0)),
    (OLD_VLLM, Report("vllm", slots=0.5, running=1.0)),
    (SGLANG, Report("sglang", slots=0.28, running=7.0, waiting=2.0)),
    (LLAMA, Report("llama.cpp", running=2.0, waiting=46.0)),
    (TGI, Report("tgi", running=8.0, waiting=3.0)),
    (SLOTS, Report("llama.cpp", slots=0.5, running=1.0)),
]

Serve = Callable[[Callable[[web.Request], Awaitable[web.StreamResponse]]], Awaitable[str]]


@pytest.fixture
async def serve() -> AsyncIterator[Serve]:
    """``await serve(handler)``: the base URL of an HTTP server that answers everything with it."""
    runners: list[web.AppRunner] = []

    async def start(handler: Callable[[web.Request], Awaitable[web.StreamResponse]]) -> str:
        app = web.Application()
        app.router.add_get("/{path:.*}", handler)
        runner = web.AppRunner(app, access_log=None)
        runners.append(runner)
        await runner.setup()
        site = web.TCPSite(runner, "127.0.0.1", 0)
        await site.start()
        return f"http://127.0.0.1:{runner.addresses[0][1]}/v1"

    yield start
    for runner in runners:
        await runner.cleanup()


async def read(url: str, secret: Callable[[], str] = str) -> Report:
    reporter = PageReporter(url, SystemClock(), secret)
    try:
        return await asyncio.wait_for(reporter.report(20.0), 20)
    finally:
        await reporter.close()


@pytest.mark.parametrize(("page", "report"), PUBLISHED)
async def test_each_server_tells_its_load_in_its_own_words(serve: Serve, page: bytes, report: Report) -> None:
    asked: list[web.Request] = []

    async def handler(request: web.Request) -> web.Response:
        asked.append(request)
        return web.Response(body=page, content_type="text/plain")

    base = await serve(handler)
    reporter = PageReporter(load_url(base, "metrics"), SystemClock(), lambda: "a key")
    assert [await reporter.report(20.0) for _ in range(3)] == [report] * 3
    await reporter.close()
    assert {request.path for request in asked} == {"/metrics"}
    assert {request.headers["Authorization"] for request in asked} == {"Bearer a key"}
    assert len({request.transport for request in asked}) == 1, "one connection is kept"


@pytest.mark.parametrize(
    "page",
    [
        b"", b"\n\n", b"hello", b"<html></html>", b"\xff\xfe", b"[]", b"[1]", b"{}", b'[{"id": 0}]', b"[[[[[[", b"#",
        b"vllm:num_requests_running", b"vllm:num_requests_running{", b"vllm:num_requests_running{} ",
        b"vllm:num_requests_running NaN", b"vllm:num_requests_running +Inf", b"vllm:num_requests_running -1",
        b"vllm:num_requests_running 1e300", b"vllm:kv_cache_usage_perc 1.5", b"vllm:kv_cache_usage_perc{a=\"b\"} many",
        b"process_cpu_seconds_total 5",
    ],
)  # fmt: skip
async def test_a_page_that_makes_no_sense_says_nothing(serve: Serve, page: bytes) -> None:
    async def handler(request: web.Request) -> web.Response:
        return web.Response(body=page)

    url = load_url(await serve(handler), "metrics")
    with pytest.raises(EndpointUnavailable, match="holds no load that is known here"):
        await read(url)


def test_numbers_that_make_no_sense_do_not_hide_those_that_do() -> None:
    page = b"vllm:kv_cache_usage_perc 7\nvllm:num_requests_running -3\nvllm:num_requests_waiting 2\n" + b"\xff\n" * 9
    assert read_load(page) == Report("vllm", waiting=2.0)


@given(st.binary(max_size=300) | st.text(max_size=100).map(lambda text: b"vllm:kv_cache_usage_perc " + text.encode()))
def test_whatever_a_page_holds_shares_are_shares(page: bytes) -> None:
    report = read_load(page)
    if report is not None:
        assert 0.0 <= report.fullness <= 1.0


@pytest.mark.parametrize("status", [401, 404, 500])
async def test_a_server_without_such_a_page_is_said_to_have_none(serve: Serve, status: int) -> None:
    async def handler(request: web.Request) -> web.Response:
        return web.Response(status=status)

    url = load_url(await serve(handler), "slots")
    with pytest.raises(EndpointUnavailable, match=f"/slots answered {status}"):
        await read(url)


async def test_a_page_without_end_is_not_read_to_the_end(serve: Serve) -> None:
    async def handler(request: web.Request) -> web.StreamResponse:
        response = web.StreamResponse()
        await response.prepare(request)
        for _ in range(2 * page_bytes_max // 65536):
            await response.write(b"x" * 65536)
        return response

    url = load_url(await serve(handler), "metrics")
    with pytest.raises(EndpointRefused, match="response_bytes_max"):
        await read(url)


async def test_a_key_that_is_not_there_is_said_and_nobody_is_asked() -> None:
    def missing() -> str:
        raise ConfigurationError("environment variable KEY is not set")

    with pytest.raises(EndpointUnavailable, match="KEY is not set"):
        await read("http://127.0.0.1:9/metrics", missing)


@pytest.mark.real_model
@pytest.mark.timeout(120)
async def test_a_real_llama_server_publishes_its_metrics() -> None:
    need(smollm2, "xllamacpp")
    server = LocalModelServer(LlamaOptions(port=0, context_tokens=256))
    await asyncio.to_thread(server.start)
    try:
        report = await read(load_url(server.url, "metrics"))
    finally:
        await asyncio.to_thread(server.stop)
    assert report == Report("llama.cpp", running=0.0, waiting=0.0)


_SLOTS_SERVER = """
import sys, xllamacpp
parameters = xllamacpp.CommonParams()
parameters.model.path = sys.argv[1]
parameters.hostnames = ["127.0.0.1"]
parameters.port = 0
parameters.n_parallel = 3
parameters.n_ctx = 768
parameters.cache_ram_mib = 0
parameters.endpoint_slots = True
parameters.verbosity = 0
server = xllamacpp.Server(parameters)
print(server.listening_address, flush=True)
sys.stdin.read()
"""


@pytest.mark.real_model
@pytest.mark.timeout(120)
async def test_a_real_llama_server_publishes_its_slots() -> None:
    need(smollm2, "xllamacpp")
    path: Path = verified(artifacts_of(smollm2)[0])
    command = [sys.executable, "-c", _SLOTS_SERVER, str(path)]
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) as process:
        assert process.stdout is not None
        try:
            report = await read(load_url((await asyncio.to_thread(process.stdout.readline)).strip() + "/v1", "slots"))
        finally:
            process.kill()
    assert report == Report("llama.cpp", slots=0.0, running=0.0)
