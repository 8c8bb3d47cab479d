"""Who gets how much: a real gateway process in front of real endpoint processes, asked over sockets.

Weights, the ramp of a cold endpoint, sessions that stick and move, a worse model that is swapped in behind the same
port, and what endpoints say of their own load. `-s` prints what was measured.
"""

from __future__ import annotations

import asyncio
import contextlib
import json
import subprocess
import sys
from collections import Counter
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import aiohttp
import pytest

from tests.server.gateway.test_pool_metric import samples

ROOT = Path(__file__).parents[3]
ADDS = 10
"""The skill of an endpoint that is always right."""
GOLDEN = "".join(json.dumps({"prompt": f"{n} + 70", "expect": str(n + 70)}) + "\n" for n in range(10))

Until = Callable[..., Awaitable[None]]


class Process:
    """A child of this test, ended by its own id."""

    def __init__(self, *command: str, cwd: Path) -> None:
        self.process = subprocess.Popen(command, cwd=cwd, stdout=subprocess.PIPE, text=True)

    def line(self) -> str:
        assert self.process.stdout is not None
        found = self.process.stdout.readline()
        assert found, f"{self.process.args} ended before it was ready"
        return found

    def end(self) -> None:
        self.process.kill()
        self.process.wait(10)
        if self.process.stdout is not None:
            self.process.stdout.close()


class Endpoint(Process):
    def __init__(self, port: int = 0, skill: int = ADDS) -> None:
        module = "tests.server.gateway.skilled_endpoint"
        super().__init__(sys.executable, "-m", module, str(port), str(skill), cwd=ROOT)
        self.port = int(self.line())

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.port}/v1"


@contextlib.contextmanager
def endpoints(*names: str) -> Iterator[dict[str, Endpoint]]:
    """Processes by name; a test may end one and put another in its place."""
    found: dict[str, Endpoint] = {}
    try:
        for name in names:
            found[name] = Endpoint()
        yield found
    finally:
        for one in found.values():
            one.end()


@dataclass
class Gateway:
    url: str
    session: aiohttp.ClientSession

    async def ask(self, headers: dict[str, str] | None = None, question: str = "3 + 4", **more: Any) -> str:
        """Who answered; the answer is right."""
        body = {"model": "m", "messages": [{"role": "user", "content": question}], **more}
        async with self.session.post(f"{self.url}/v1/chat/completions", json=body, headers=headers) as response:
            told = await response.json()
            assert response.status == 200, told
            first, _, second = question.partition("+")
            assert told["choices"][0]["message"]["content"] == str(int(first) + int(second))
            return response.headers["x-outlast-endpoint"]

    async def asks(self, count: int, at_once: int) -> Counter[str]:
        """So many requests, so many of them at a time: who answered how many."""
        seen: Counter[str] = Counter()

        async def client(share: int) -> None:
            for _ in range(share):
                seen[await self.ask()] += 1

        await asyncio.gather(*(client(count // at_once) for _ in range(at_once)))
        return seen

    async def member(self, name: str) -> dict[str, Any]:
        async with self.session.get(f"{self.url}/v1/pools") as response:
            (pool,) = (await response.json())["pools"]
        return next(one for one in pool["members"] if one["name"] == name)

    async def metrics(self) -> str:
        async with self.session.get(f"{self.url}/metrics") as response:
            return await response.text()

    async def command(self, verb: str, **body: Any) -> None:
        async with self.session.post(f"{self.url}/v1/pools/{verb}", json=body) as response:
            assert response.status == 200, await response.text()


@contextlib.asynccontextmanager
async def gateway(home: Path, members: dict[str, Endpoint], more: str = "", **options: str) -> AsyncIterator[Gateway]:
    """``outlast gateway`` in a project of its own; `options` are more keys of single endpoints, `more` of the model."""
    listed = "".join(
        f"      - {{name: {name}, url: '{one.url}', model: m{options.get(name, '')}}}\n"
        for name, one in members.items()
    )
    guard = "    guard: {hedge_after: never}\n"  # a hedge on a loaded machine would be answered by somebody else
    text = f"gateway: {{listen: '127.0.0.1:0'}}\nmodels:\n  m:\n    endpoints:\n{listed}{guard}{more}"
    (home / "outlast.yaml").write_text(text)
    (home / "golden.jsonl").write_text(GOLDEN)
    process = Process(sys.executable, "-m", "outlast", "gateway", "--json", cwd=home)
    try:
        shown = ""
        while not shown.rstrip().endswith("}"):
            shown += await asyncio.to_thread(process.line)
        timeout = aiohttp.ClientTimeout(total=60)
        async with aiohttp.ClientSession(timeout=timeout) as session:
            yield Gateway(json.loads(shown)["address"], session)
        assert process.process.poll() is None, "the gateway died"
    finally:
        process.end()


@pytest.mark.parametrize("at_once", [1, 16])
async def test_shares_follow_the_weights_within_five_points(short_dir: Path, at_once: int) -> None:
    count = 3200  # the standard deviation of a share of 3/4 is then 0.8 points: 5 points are six of them
    with endpoints("light", "heavy") as members:
        async with gateway(short_dir, members, heavy=", weight: 3") as site:
            # where several are under way, a process that the machine lets wait gets less, as it should: on a loaded
            # machine one measurement may show that, but not each of four
            for _ in range(1 if at_once == 1 else 4):
                seen = await site.asks(count, at_once)
                share = seen["heavy"] / count
                sys.stdout.write(f"weights 1:3, {at_once} at once: {dict(seen)}, share of the heavy one {share:.3f}\n")
                if abs(share - 0.75) < 0.05:
                    break
            weights = samples(await site.metrics(), "outlast_pool_weight")
    assert weights == {'model="m",endpoint="light"': 1, 'model="m",endpoint="heavy"': 3}
    assert abs(share - 0.75) < 0.05


async def test_a_weight_set_by_command_counts_from_then_on(short_dir: Path) -> None:
    with endpoints("light", "heavy") as members:
        async with gateway(short_dir, members) as site:
            await site.command("weight", endpoint="heavy", weight=4)
            seen = await site.asks(2400, 1)
    assert abs(seen["heavy"] / 2400 - 0.8) < 0.05, seen


async def test_the_share_of_a_cold_endpoint_rises_while_it_warms_up(short_dir: Path) -> None:
    warm_up_s = 6.0
    with endpoints("warm", "cold") as members:
        async with gateway(short_dir, members, cold=f", warm_up: {warm_up_s:g}s") as site:
            await site.command("drain", endpoint="cold")
            assert await site.asks(200, 4) == {"warm": 200}
            await site.command("undrain", endpoint="cold")
            assert (await site.member("cold"))["state"] == "warming"
            now = asyncio.get_running_loop().time
            began = now()
            seen: list[tuple[float, str]] = []

            async with asyncio.timeout(60):
                warm = 0
                while warm < 600:
                    asked = now() - began
                    seen.append((asked, await site.ask()))
                    warm += asked > warm_up_s
            assert (await site.member("cold"))["state"] == "in"

    def share(since: float, until: float) -> float:
        chosen = [by == "cold" for at, by in seen if since * warm_up_s <= at < until * warm_up_s]
        return sum(chosen) / len(chosen)

    early, middle, after = share(0, 1 / 3), share(1 / 3, 1), share(1, 1e9)
    sys.stdout.write(f"a cold endpoint's share: {early:.2f} early, {middle:.2f} later, {after:.2f} warm\n")
    assert early < 0.3
    assert early < middle < after
    assert after > 0.42


@pytest.mark.parametrize("way", ["header", "body"])
async def test_a_session_sticks_to_its_endpoint_and_moves_when_that_dies(
    short_dir: Path, until: Until, way: str
) -> None:
    names = [f"session-{number}" for number in range(24)]

    async def ask(site: Gateway, session: str) -> str:
        if way == "body":
            return await site.ask(prompt_cache_key=session)
        return await site.ask({"x-outlast-session": session})

    with endpoints("a", "b", "c") as members:
        async with gateway(short_dir, members) as site:
            homes = {name: await ask(site, name) for name in names}
            assert set(homes.values()) == {"a", "b", "c"}
            for _ in range(5):
                for name in names:
                    assert await ask(site, name) == homes[name]
            gone = homes[names[0]]
            port = members[gone].port
            members[gone].end()
            moved = {name: await ask(site, name) for name in names}
            for name in names:
                assert moved[name] != gone if homes[name] == gone else moved[name] == homes[name]
            assert {name: await ask(site, name) for name in names} == moved
            members[gone] = Endpoint(port)

            async def back() -> bool:
                return {name: await ask(site, name) for name in names} == homes

            await until(back, 40, "sessions are where they were")


@pytest.mark.parametrize("reference", [", min_score: 0.85", ""], ids=["given", "learned"])
async def test_a_worse_model_behind_the_same_port_is_found_within_five_rounds(
    short_dir: Path, until: Until, reference: str
) -> None:
    canary = f"    canary: {{prompts: golden.jsonl, every: 1s{reference}}}\n"
    with endpoints("a", "b") as members:
        async with gateway(short_dir, members, canary) as site:
            await site.ask()

            async def learned() -> bool:
                return (await site.member("b"))["rounds"] >= 6

            await until(learned, 60, "the model is known")
            before = await site.member("b")
            assert (before["state"], before["score"], before["layers"]["model"]) == ("in", 1.0, "up")
            port = members["b"].port
            members["b"].end()
            members["b"] = Endpoint(port, skill=5)

            async def found() -> bool:
                return (await site.member("b"))["layers"]["model"] == "down"

            await until(found, 60, "the worse model is marked")
            worse, text = await site.member("b"), await site.metrics()
            rounds = worse["rounds"] - before["rounds"]
            sys.stdout.write(f"a model with half its answers right: found after {rounds} rounds: {worse['why']}\n")
            assert rounds <= 5
            assert worse["state"] == "sick"
            assert "golden prompts score" in worse["why"]
            b = 'model="m",endpoint="b"'
            assert samples(text, "outlast_pool_canary_score")[b] <= 0.6
            assert samples(text, "outlast_pool_layer_up")[f'{b},layer="model"'] == 0
            a = 'model="m",endpoint="a"'
            assert samples(text, "outlast_pool_member_state") == {f'{a},state="in"': 1, f'{b},state="sick"': 1}
            assert {await site.ask(question=f"{number} + 1") for number in range(20)} == {"a"}
            members["b"].end()
            members["b"] = Endpoint(port)

            async def healed() -> bool:
                return (await site.ask()) == "b"

            await until(healed, 60, "the good model is used again")


async def test_an_endpoint_that_says_its_cache_is_full_gets_little_until_it_says_otherwise(
    short_dir: Path, until: Until
) -> None:
    async def publish(site: Gateway, member: Endpoint, used: float) -> None:
        page = f'vllm:num_requests_running{{engine="0"}} 3\nvllm:kv_cache_usage_perc{{engine="0"}} {used}\n'
        url = f"http://127.0.0.1:{member.port}/_publish/metrics"
        async with site.session.post(url, data=page.encode(), headers={"content-type": "text/plain"}) as response:
            assert response.status == 200

    with endpoints("a", "b", "c") as members:
        loads = {"a": ", load: [metrics, 'nvml:99']", "b": ", load: [metrics]"}
        async with gateway(short_dir, members, **loads) as site:
            for name, used in (("a", 0.97), ("b", 0.1)):
                await publish(site, members[name], used)

            async def says(used: float) -> bool:
                return ((await site.member("a"))["report"] or {}).get("slots") == used

            await site.ask()
            await until(lambda: says(0.97), 40, "the first report is read")
            seen, text, member = await site.asks(900, 1), await site.metrics(), await site.member("a")
            sys.stdout.write(f"a says its KV cache is 97% full: {dict(seen)}\n")
            assert seen["a"] / 900 < 0.2, seen
            labels = 'model="m",endpoint="a"'
            used = samples(text, "outlast_pool_used_ratio")
            assert used[f'{labels},resource="slots",source="vllm"'] == 0.97
            assert samples(text, "outlast_pool_server_requests")[f'{labels},state="running",source="vllm"'] == 3
            assert samples(text, "outlast_pool_reports_total")[f'{labels},outcome="read"'] >= 1
            assert 'endpoint="c"' not in "".join(used)
            assert member["report_problem"].startswith("GPU 99 cannot be read"), "what is missing is said"
            await publish(site, members["a"], 0.0)
            await until(lambda: says(0.0), 40, "the next report is read")
            seen = await site.asks(900, 1)
            sys.stdout.write(f"and then that it is empty: {dict(seen)}\n")
            assert abs(seen["a"] / 900 - 1 / 3) < 0.08, seen
