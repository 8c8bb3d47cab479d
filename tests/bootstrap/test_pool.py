"""From the blueprint to a pool, and through it to real servers."""

from __future__ import annotations

import asyncio
import os
import signal
import subprocess
import sys
from collections.abc import Awaitable, Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from outlast.adapters.host.clock import SystemClock
from outlast.adapters.host.randomness import OsRandomness
from outlast.blueprint.load import parse
from outlast.blueprint.model import ModelGuard
from outlast.bootstrap.pool import build_pool, pool_policy, pooled_endpoint
from outlast.kernel.error import ConfigurationError
from outlast.model.answer import to_answer
from outlast.model.endpoint import EndpointError, EndpointUnavailable, Message, ModelRequest
from outlast.policy.retry_budget import RetryBudgetPolicy

GUARDED = b"""
models:
  writer:
    endpoints:
      - {name: a, url: "http://h/v1", model: m, weight: 2.5, quota: 1500/m, limit: 8, warm_up: 90s, lacks: [tools]}
      - {name: b, url: "http://i/v1", model: m, key: env:B_KEY, context: 8192}
    fallback: {name: c, url: "http://j/v1", model: n}
    guard: {error_rate: 10%, slower_than_peers: 4x, window: 20s, open_for: 50s, retry_budget: 5%, hedge_after: p99}
"""


def test_what_the_blueprint_says_is_what_the_pool_does() -> None:
    model = parse(GUARDED).models["writer"]
    pool = build_pool("writer", model, SystemClock(), OsRandomness(), probe=None)
    a, b, c = pool.everybody
    assert [member.name for member in pool.members] == ["a", "b"]
    assert (a.load.weight, a.limit_max, a.warm_up_s, a.target.quota_per_s) == (2.5, 8, 90.0, 25.0)
    assert "tools" in a.misfit(frozenset({"tools"}), 0)
    assert "8192 tokens" in b.misfit(frozenset(), 9000)
    assert str(b.secret) == "env:B_KEY"
    assert pool.fallback is not None
    assert (pool.fallback.name, c.model) == ("c", "n")
    traffic = pool_policy(model).traffic
    breaker = traffic.router.member.breaker
    assert (breaker.error_rate, breaker.window_s, breaker.open_s, breaker.open_max_s) == (0.1, 20.0, 50.0, 50.0)
    assert traffic.router.outlier.slower_than_peers == 4.0
    assert traffic.budget.ratio == 0.05
    assert traffic.router.hedge.quantile == 0.99


def test_golden_prompts_are_read_from_the_project_and_a_missing_file_is_said(tmp_path: Path) -> None:
    endpoints = "endpoints: [{name: a, url: 'http://h', model: m}]"
    model = parse(f"models: {{w: {{{endpoints}, canary: {{prompts: golden.jsonl}}}}}}".encode()).models["w"]
    with pytest.raises(ConfigurationError, match=r"canary\.prompts: .*golden\.jsonl cannot be read: no such file"):
        build_pool("w", model, SystemClock(), OsRandomness(), home=tmp_path)
    (tmp_path / "golden.jsonl").write_text("nonsense")
    with pytest.raises(ConfigurationError, match=r"golden\.jsonl:1: "):
        build_pool("w", model, SystemClock(), OsRandomness(), home=tmp_path)


async def test_golden_prompts_are_put_to_real_servers(
    tmp_path: Path, until: Callable[..., Awaitable[None]]
) -> None:
    with servers(1) as (own,):
        (tmp_path / "golden.jsonl").write_text('{"prompt": "Say hello.", "expect": "e"}')
        text = written(own.url).replace(b"}}", b", canary: {prompts: golden.jsonl, every: 1s}}}")
        endpoint = pooled_endpoint("writer", parse(text).models["writer"], tmp_path, SystemClock(), OsRandomness())
        await endpoint.complete(asking())
        await until(lambda: endpoint.pool.members[0].score is not None, 60.0)
        await endpoint.close()


def test_hedging_can_be_forbidden() -> None:
    text = b"models: {w: {endpoints: [{name: a, url: 'http://h', model: m}], guard: {hedge_after: never}}}"
    assert pool_policy(parse(text).models["w"]).traffic.router.hedge.hedges_max == 0


_SERVER = """
import asyncio, sys
from outlast.adapters.scripted.server import ScriptedServer

async def main():
    async with ScriptedServer(port=int(sys.argv[1])) as server:
        print(server.url, flush=True)
        await asyncio.Event().wait()

asyncio.run(main())
"""


class Server:
    """The scripted model in a process of its own, so that it can be killed and frozen."""

    def __init__(self, port: int = 0) -> None:
        command = [sys.executable, "-c", _SERVER, str(port)]
        self.process = subprocess.Popen(command, stdout=subprocess.PIPE, text=True)
        assert self.process.stdout is not None
        self.url = self.process.stdout.readline().strip()
        self.port = int(self.url.split(":")[2].split("/")[0])

    def send(self, number: int) -> None:
        os.kill(self.process.pid, number)
        if number == signal.SIGKILL:
            self.process.wait(20)
            assert self.process.stdout is not None
            self.process.stdout.close()


@contextmanager
def servers(count: int) -> Iterator[list[Server]]:
    started = [Server() for _ in range(count)]
    try:
        yield started
    finally:
        for server in started:
            if server.process.poll() is None:
                server.process.kill()
            server.process.wait(20)
            assert server.process.stdout is not None
            server.process.stdout.close()


def asking(timeout_s: float = 30.0) -> ModelRequest:
    return ModelRequest([Message("user", "Say hello.")], timeout_s, max_tokens=8)


def written(*urls: str, fallback: str = "") -> bytes:
    endpoints = ", ".join(f"{{name: e{number}, url: '{url}', model: m}}" for number, url in enumerate(urls))
    more = f", fallback: {{name: spare, url: '{fallback}', model: other}}" if fallback else ""
    return f"models: {{writer: {{endpoints: [{endpoints}]{more}}}}}".encode()


@pytest.mark.parametrize("number", [signal.SIGKILL, signal.SIGSTOP])
async def test_the_loss_of_one_of_two_servers_is_not_noticed_and_it_comes_back(
    number: int, tmp_path: Path, until: Callable[..., Awaitable[None]]
) -> None:
    with servers(2) as both:
        model = parse(written(*(server.url for server in both))).models["writer"]
        endpoint = pooled_endpoint("writer", model, tmp_path, SystemClock(), OsRandomness())
        lost = endpoint.pool.members[0]
        over = asyncio.Event()

        async def ask() -> None:
            while not over.is_set():
                assert (await endpoint.complete(asking())).text

        async with asyncio.TaskGroup() as group:
            for _ in range(4):
                group.create_task(ask())
            await until(lambda: lost.answered > 20 and endpoint.pool.members[1].answered > 20, 60.0)
            both[0].send(number)
            await until(lambda: lost.sick, 60.0, "checks find it")
            if number == signal.SIGKILL:
                both[0] = await asyncio.to_thread(Server, both[0].port)
            else:
                both[0].send(signal.SIGCONT)
            answered = lost.answered
            await until(lambda: not lost.sick and lost.answered > answered + 20, 60.0, "it is back in rotation")
            over.set()
        await endpoint.close()


async def test_when_no_endpoint_answers_the_fallback_does_and_it_is_said(tmp_path: Path) -> None:
    with servers(2) as (own, spare):
        model = parse(written(own.url, fallback=spare.url)).models["writer"]
        endpoint = pooled_endpoint("writer", model, tmp_path, SystemClock(), OsRandomness())
        assert not to_answer(await endpoint.complete(asking())).degraded
        own.send(signal.SIGKILL)
        for _ in range(5):
            assert to_answer(await endpoint.complete(asking())).degraded
        assert endpoint.pool.view().degraded == 5
        spare.send(signal.SIGKILL)
        with pytest.raises(EndpointUnavailable):
            await endpoint.complete(asking(5.0))
        await endpoint.close()


def test_the_retry_budget_of_the_blueprint_and_of_the_policy_have_one_default() -> None:
    assert ModelGuard().retry_budget == RetryBudgetPolicy().ratio == 0.1


@pytest.mark.parametrize(("lack", "said"), [("lacks: [schema]", "schema"), ("context: 100", "100 tokens")])
async def test_a_question_is_not_put_to_an_endpoint_that_cannot_take_it(tmp_path: Path, lack: str, said: str) -> None:
    raw = f"models: {{w: {{endpoints: [{{name: a, url: 'http://127.0.0.1:1', model: m, {lack}}}]}}}}".encode()
    endpoint = pooled_endpoint("w", parse(raw).models["w"], tmp_path, SystemClock(), OsRandomness())
    try:
        with pytest.raises(EndpointError, match=said):
            await endpoint.complete(ModelRequest([Message("user", "x" * 400)], 5.0, {"type": "object"}, max_tokens=8))
    finally:
        await endpoint.close()
