"""Every fault that a model endpoint can have, on live sockets: what the client sees, how long, what metrics say.

One of two endpoints misbehaves (a real process, `fault_endpoint.py`) behind a real gateway process, or both do. What
happens before the first content is invisible; after it the client is told, never lied to, and never waits past its
deadline. `-s` prints the matrix.
"""

from __future__ import annotations

import asyncio
import contextlib
import json
import os
import re
import signal
import socket
import subprocess
import sys
from collections.abc import AsyncIterator, Iterator
from dataclasses import dataclass, field
from pathlib import Path

import aiohttp
import pytest

from tests.server.gateway.fault_endpoint import SLOW_S, WORDS

ROOT = Path(__file__).parents[3]
DEADLINE_S = 8.0
SLACK_S = 4.0  # machines that run tests are loaded; a hang is another order
GOOD = "".join(WORDS)


@dataclass
class Endpoint:
    process: subprocess.Popen[str]
    name: str
    port: int

    def end(self) -> None:
        with contextlib.suppress(ProcessLookupError):
            self.process.send_signal(signal.SIGCONT)
        self.process.kill()
        self.process.wait(10)
        if self.process.stdout is not None:
            self.process.stdout.close()

    async def told(self, path: str) -> dict[str, int]:
        async with aiohttp.ClientSession() as session, session.get(f"http://127.0.0.1:{self.port}{path}") as response:
            return await response.json()


def start_endpoint(name: str, port: int = 0) -> Endpoint:
    command = [sys.executable, "-m", "tests.server.gateway.fault_endpoint", name, str(port)]
    process = subprocess.Popen(command, cwd=ROOT, stdout=subprocess.PIPE, text=True)
    assert process.stdout is not None
    return Endpoint(process, name, int(process.stdout.readline()))


@dataclass
class Seen:
    """What one request came to."""

    status: int = 0
    text: str = ""
    by: str = ""
    error: str = ""
    """The error's message, in the body or in the stream."""
    kind: str = ""
    """The error's type or code."""
    retry_after: str = ""
    took_s: float = 0.0


@dataclass
class Bench:
    """Two endpoints and the gateway."""

    endpoints: list[Endpoint]
    gateway: subprocess.Popen[str]
    url: str
    seen: list[Seen] = field(default_factory=list)

    async def ask(self, *, stream: bool, deadline_s: float = DEADLINE_S) -> Seen:
        seen = Seen()
        begun = asyncio.get_running_loop().time()
        body = {"model": "m", "messages": [{"role": "user", "content": "hello"}], "stream": stream}
        headers = {"x-outlast-deadline": str(deadline_s)}
        timeout = aiohttp.ClientTimeout(total=deadline_s + SLACK_S)
        async with (
            aiohttp.ClientSession(timeout=timeout) as session,
            session.post(f"{self.url}/v1/chat/completions", json=body, headers=headers) as response,
        ):
            seen.status = response.status
            seen.by = response.headers.get("x-outlast-endpoint", "")
            seen.retry_after = response.headers.get("retry-after", "")
            raw = await response.read()
        seen.took_s = asyncio.get_running_loop().time() - begun
        self.read(seen, raw, stream and seen.status == 200)
        self.seen.append(seen)
        return seen

    def read(self, seen: Seen, raw: bytes, stream: bool) -> None:
        if not stream:
            told = json.loads(raw)
            if seen.status == 200:
                seen.text = told["choices"][0]["message"]["content"]
            else:
                seen.error, seen.kind = told["error"]["message"], told["error"].get("code") or told["error"]["type"]
            return
        for line in raw.split(b"\n"):
            if line.startswith(b"data: {"):
                told = json.loads(line[6:])
                if "error" in told:
                    seen.error, seen.kind = told["error"]["message"], told["error"].get("code") or told["error"]["type"]
                else:
                    seen.text += told["choices"][0]["delta"].get("content", "") if told["choices"] else ""
        if not seen.error:
            assert raw.rstrip().endswith(b"data: [DONE]")

    async def metrics(self) -> str:
        async with aiohttp.ClientSession() as session, session.get(f"{self.url}/metrics") as response:
            return await response.text()

    async def counted(self, name: str) -> float:
        """The sum of one metric over its labels."""
        found = re.findall(rf"^{name}(?:{{[^}}]*}})? ([0-9.e+-]+)$", await self.metrics(), re.MULTILINE)
        return sum(map(float, found))


@contextlib.contextmanager
def gateway(to: list[str]) -> Iterator[tuple[subprocess.Popen[str], str]]:
    urls = [part for url in to for part in ("--to", url)]
    command = [sys.executable, "-m", "outlast", "gateway", *urls, "--model", "m", "--listen", "127.0.0.1:0", "--json"]
    process = subprocess.Popen(command, stdout=subprocess.PIPE, text=True)
    try:
        assert process.stdout is not None
        shown = ""
        while not shown.rstrip().endswith("}"):
            line = process.stdout.readline()
            assert line, "the gateway did not start"
            shown += line
        yield process, json.loads(shown)["address"]
        assert process.poll() is None, "the gateway died"
    finally:
        process.kill()
        process.wait(10)
        if process.stdout is not None:
            process.stdout.close()


@pytest.fixture
async def bench() -> AsyncIterator[Bench]:
    endpoints = [start_endpoint("a"), start_endpoint("b")]
    try:
        with gateway([f"http://127.0.0.1:{endpoint.port}/v1" for endpoint in endpoints]) as (process, url):
            yield Bench(endpoints, process, url)
    finally:
        for endpoint in endpoints:
            endpoint.end()


def shown(fault: str, stream: bool, seen: list[Seen], remark: str = "") -> None:
    statuses = sorted({str(one.status) + (f" {one.kind}" if one.kind else "") for one in seen})
    slowest = max(one.took_s for one in seen)
    kind = "stream" if stream else "JSON"
    sys.stdout.write(f"| {fault} | {kind} | {', '.join(statuses)} | {slowest:.2f} s | {remark} |\n")


BEFORE_CONTENT = [
    "reset_before_headers", "reset_after_headers", "cut_before_content", "cut_in_body", "silence", "429",
    "429_retry_after", "500", "502", "503", "529", "error_in_200", "malformed", "wrong_content_type", "empty",
    "no_content", "drip", "oversized",
]  # fmt: skip


@pytest.mark.parametrize("stream", [False, True], ids=["json", "stream"])
@pytest.mark.parametrize("fault", BEFORE_CONTENT)
async def test_a_fault_before_the_first_content_is_not_seen_by_the_client(
    bench: Bench, fault: str, stream: bool
) -> None:
    bad, _ = bench.endpoints
    await bad.told(f"/_do/{fault}")
    seen = [one for _ in range(4) for one in await asyncio.gather(*(bench.ask(stream=stream) for _ in range(4)))]
    assert [one.status for one in seen] == [200] * 16, seen
    assert {one.text for one in seen} == {GOOD}, "every token, once, in order"
    assert max(one.took_s for one in seen) < DEADLINE_S
    assert (await bad.told("/_asked"))["asked"] >= 1, "the fault never bit"
    extra = {name: await bench.counted(f"outlast_pool_{name}_total") for name in ("retries", "hedges", "moved")}
    assert sum(extra.values()) >= 1, "what was asked again is counted"
    shown(fault, stream, seen, ", ".join(f"{count:g} {name}" for name, count in extra.items() if count))


@pytest.mark.parametrize(
    "fault", ["cut_after_content", "reset_after_content", "error_after_content", "silence_after_content"]
)
async def test_a_stream_that_breaks_off_after_content_says_so_and_repeats_nothing(bench: Bench, fault: str) -> None:
    for endpoint in bench.endpoints:
        await endpoint.told(f"/_do/{fault}")
    seen = [await bench.ask(stream=True) for _ in range(2)]
    for one in seen:
        assert one.status == 200
        assert one.text == "".join(WORDS[:4]), "what was said before, once"
        assert one.kind == "interrupted", one
        assert one.took_s < DEADLINE_S + SLACK_S
    assert await bench.counted("outlast_pool_interrupted_total") == 2
    shown(fault, True, seen)


@pytest.mark.parametrize("stream", [False, True], ids=["json", "stream"])
@pytest.mark.parametrize("fault", ["refused", "silence", "drip", "429_retry_after", "503", "malformed"])
async def test_when_all_endpoints_are_down_the_client_is_told_within_its_deadline(
    bench: Bench, fault: str, stream: bool
) -> None:
    for endpoint in bench.endpoints:
        if fault == "refused":
            endpoint.end()
        else:
            await endpoint.told(f"/_do/{fault}")
    seen = await asyncio.gather(*(bench.ask(stream=stream, deadline_s=2.0) for _ in range(6)))
    for one in seen:
        assert one.status in (429, 502, 503, 504), one
        assert one.error
        assert one.kind
        assert one.took_s < 2.0 + SLACK_S
        if one.status in (429, 503):
            assert int(one.retry_after) >= 1
    shown(f"all: {fault}", stream, list(seen))


@pytest.mark.parametrize("number", [signal.SIGKILL, signal.SIGSTOP], ids=["killed", "stopped"])
@pytest.mark.parametrize("stream", [False, True], ids=["json", "stream"])
async def test_an_endpoint_that_is_killed_or_stopped_under_load_costs_no_request(
    bench: Bench, number: signal.Signals, stream: bool
) -> None:
    stop = asyncio.Event()

    async def client() -> None:
        while not stop.is_set():
            one = await bench.ask(stream=stream)
            assert one.status == 200, one
            if one.kind != "interrupted":  # else its endpoint was stopped after the first content
                assert one.text == GOOD, one

    async with asyncio.TaskGroup() as group:
        for _ in range(6):
            group.create_task(client())
        await reached(bench, 40)
        os.kill(bench.endpoints[0].process.pid, number)
        await reached(bench, len(bench.seen) + 60)
        stop.set()
    broken = [one for one in bench.seen if one.kind]
    cut_max = (6 if number is signal.SIGKILL else 1) if stream else 0  # what was written when it stopped arrives
    assert len(broken) <= cut_max, broken
    assert all(one.text and GOOD.startswith(one.text) for one in broken), "what was said before, once"
    assert await bench.counted("outlast_pool_interrupted_total") == len(broken)
    shown(f"{number.name} under load", stream, bench.seen, f"{len(broken)} broke off after content" if broken else "")


async def reached(bench: Bench, count: int) -> None:
    async with asyncio.timeout(60):
        while len(bench.seen) < count:  # noqa: ASYNC110 (clients count, nobody is told)
            await asyncio.sleep(0.02)


@pytest.mark.parametrize("stream", [False, True], ids=["json", "stream"])
async def test_a_killed_endpoint_that_comes_back_is_used_again(bench: Bench, stream: bool) -> None:
    bad = bench.endpoints[0]
    bad.end()
    for _ in range(6):
        assert (await bench.ask(stream=stream)).status == 200
    again = start_endpoint("a", bad.port)
    try:
        async with asyncio.timeout(30):
            while not (await again.told("/_asked"))["asked"]:
                assert (await bench.ask(stream=stream)).status == 200
    finally:
        again.end()
    shown("killed and back", stream, bench.seen)


async def test_an_endpoint_a_hundred_times_slower_than_its_peer_gets_little(bench: Bench) -> None:
    slow, quick = bench.endpoints
    await slow.told("/_do/slow")

    async def client() -> None:
        for _ in range(20):
            one = await bench.ask(stream=False)
            assert (one.status, one.text) == (200, GOOD)

    await asyncio.gather(*(client() for _ in range(6)))
    told = (await slow.told("/_asked"))["asked"], (await quick.told("/_asked"))["asked"]
    assert told[0] < told[1] / 4, told
    shown(f"one answers after {SLOW_S:g} s", False, bench.seen, f"{told[0]} of {sum(told)} attempts went to it")


async def test_an_endpoint_that_flaps_costs_no_request(bench: Bench) -> None:
    bad = bench.endpoints[0]
    for round_ in range(6):
        await bad.told("/_do/" + ("503" if round_ % 2 == 0 else "none"))
        for one in await asyncio.gather(*(bench.ask(stream=bool(round_ & 2)) for _ in range(6))):
            assert (one.status, one.text) == (200, GOOD)
    shown("flapping", True, bench.seen)


async def test_an_upstream_whose_client_has_gone_is_let_go_at_once(bench: Bench) -> None:
    for endpoint in bench.endpoints:
        await endpoint.told("/_do/endless")
    timeout = aiohttp.ClientTimeout(total=10)
    body = {"model": "m", "messages": [{"role": "user", "content": "hello"}], "stream": True}
    async with (
        aiohttp.ClientSession(timeout=timeout) as session,
        session.post(f"{bench.url}/v1/chat/completions", json=body) as response,
    ):
        assert await response.content.readany()
        response.close()
    async with asyncio.timeout(20):
        while sum([(await endpoint.told("/_asked"))["left"] for endpoint in bench.endpoints]) < 1:  # noqa: ASYNC110 (another process)
            await asyncio.sleep(0.02)
        while await bench.counted("outlast_gateway_clients_gone_total") != 1:  # noqa: ASYNC110 (as above)
            await asyncio.sleep(0.02)


@contextlib.contextmanager
def unreachable(how: str) -> Iterator[str]:
    """An address that nobody answers at: nobody listens, the name does not resolve, or the handshake never ends."""
    if how == "no such name":
        yield "http://no-such-host.invalid:9/v1"
        return
    with socket.socket() as listening, contextlib.ExitStack() as stack:
        listening.bind(("127.0.0.1", 0))
        address = listening.getsockname()
        if how == "connect hangs":
            listening.listen(0)
            for _ in range(4):  # its queue is full from now on: further handshakes are not answered
                filler = stack.enter_context(socket.socket())
                filler.setblocking(False)
                filler.connect_ex(address)
        yield f"http://127.0.0.1:{address[1]}/v1"


@pytest.mark.parametrize("stream", [False, True], ids=["json", "stream"])
@pytest.mark.parametrize("how", ["refused", "no such name", "connect hangs"])
async def test_an_address_that_nobody_answers_at_costs_no_request(how: str, stream: bool) -> None:
    good = start_endpoint("b")
    try:
        with unreachable(how) as bad, gateway([bad, f"http://127.0.0.1:{good.port}/v1"]) as (process, url):
            bench = Bench([good], process, url)
            seen = [
                one for _ in range(4) for one in await asyncio.gather(*(bench.ask(stream=stream) for _ in range(4)))
            ]
            assert {(one.status, one.text) for one in seen} == {(200, GOOD)}
            shown(how, stream, seen)
    finally:
        good.end()
