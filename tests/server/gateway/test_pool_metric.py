"""What /metrics tells of pools: every attempt by its outcome, who answers, for whom."""

from __future__ import annotations

import asyncio
import re
from pathlib import Path

from outlast.blueprint.model import Model, ModelEndpoint, ModelGuard
from outlast.server.gateway.relay import told_bytes_max
from tests.server.gateway.conftest import Site, Start
from tests.server.gateway.test_key import ENVIRON, OTHER, bearer, section
from tests.server.gateway.upstream import Asked, ModelServer, chat_answer, completion, says, whole

CHAT = "/v1/chat/completions"
ASK = {"model": "writer", "messages": [{"role": "user", "content": "hi"}]}


def samples(text: str, name: str) -> dict[str, float]:
    """The values of one metric by its labels, in the order of the exposition."""
    return {labels: float(value) for labels, value in re.findall(rf"^{name}{{(.*)}} (\S+)$", text, re.MULTILINE)}


async def told(site: Site) -> dict[str, tuple[str, str]]:
    """Version and fingerprint, by endpoint."""
    found = samples(await site.metrics(), "outlast_pool_member_info")
    pattern = re.compile(r'endpoint="(.*?)",version="(.*?)",fingerprint="(.*?)"')
    return {match[1]: (match[2], match[3]) for labels in found if (match := pattern.search(labels))}


async def test_every_attempt_that_has_ended_is_counted_once_by_its_outcome(gateway: Start) -> None:
    busy = says(whole({"error": {"message": "busy"}}, 429, "Retry-After: 0\r\n"))
    keyless = says(whole({"error": {"message": "whose key is this"}}, 401))
    async with ModelServer() as good, ModelServer(busy) as full, ModelServer(keyless) as refusing:
        bad = says(whole({}, 500))
        async with ModelServer(bad) as broken:
            urls = (good.url, full.url, refusing.url, broken.url)
            endpoints = tuple(ModelEndpoint(f"e{number}", url, model="m") for number, url in enumerate(urls, 1))
            writer = Model(endpoints, guard=ModelGuard(hedge_after="never"))
            site = await gateway(models={"writer": writer})
            for _ in range(60):
                await site.post(CHAT, ASK)
            text = await site.metrics()
            asked = {f"e{number}": len(one.asked) for number, one in enumerate((good, full, refusing, broken), 1)}
    attempts = samples(text, "outlast_pool_attempts_total")
    for endpoint, count in asked.items():
        assert count > 0
        assert sum(value for labels, value in attempts.items() if f'endpoint="{endpoint}"' in labels) == count
    for endpoint, outcome in (("e1", "answered"), ("e2", "overloaded"), ("e3", "refused"), ("e4", "failed")):
        assert attempts[f'model="writer",endpoint="{endpoint}",outcome="{outcome}"'] == asked[endpoint], outcome
    began = sum(sum(samples(text, f"outlast_pool_{name}_total").values()) for name in ("requests", "retries", "moved"))
    assert sum(attempts.values()) == began


async def test_a_request_that_is_moved_or_given_up_counts_as_that(gateway: Start) -> None:
    async def silent(asked: Asked, writer: asyncio.StreamWriter) -> None:
        await asked.reader.read()

    async with ModelServer(silent) as frozen:
        site = await gateway(frozen.url)
        assert (await site.post(CHAT, ASK, {"x-outlast-deadline": "0.5"}))[0] == 503
        attempts = samples(await site.metrics(), "outlast_pool_attempts_total")
    assert attempts['model="writer",endpoint="e1",outcome="deadline"'] == len(frozen.asked) == 1


async def test_an_endpoint_says_its_version_in_answers_and_in_streams(gateway: Start) -> None:
    version = "smollm2-2026-11"

    async def versioned(asked: Asked, writer: asyncio.StreamWriter) -> None:
        if asked.json.get("stream"):
            await completion(asked, writer)
        else:
            words = 'the "model": "liar" said'
            writer.write(whole({**chat_answer(words, version), "system_fingerprint": "b4711-cafe"}))

    async with ModelServer(versioned) as server:
        site = await gateway(server.url)
        assert await told(site) == {"e1": ("", "")}
        await site.post(CHAT, ASK)
        assert await told(site) == {"e1": (version, "b4711-cafe")}
    async with ModelServer() as server:
        site = await gateway(server.url)
        async with site.session.post(site.address + CHAT, json={**ASK, "stream": True}) as response:
            await response.read()
        assert await told(site) == {"e1": ("m", "")}


async def test_a_version_is_not_looked_for_without_end_nor_shown_without_bound(gateway: Start) -> None:
    far = {"choices": [{"index": 0, "message": {"content": "x" * told_bytes_max}}], "model": "m"}
    for answer in (far, chat_answer(model="n" * 129), {**chat_answer(), "model": {"name": "m"}}):
        async with ModelServer(says(whole(answer))) as server:
            site = await gateway(server.url)
            assert (await site.post(CHAT, ASK))[0] == 200
            assert await told(site) == {"e1": ("", "")}


async def test_requests_and_tokens_are_counted_for_each_key(gateway: Start) -> None:
    async with ModelServer() as server:
        site = await gateway(server.url, section=section(), environ=ENVIRON)
        for key in (bearer(), bearer(), bearer(OTHER)):
            assert (await site.post(CHAT, ASK, key))[0] == 200
        text = await site.metrics()
    team, others = ('key="team",gen_ai_request_model="writer"', 'key="others",gen_ai_request_model="writer"')
    assert samples(text, "outlast_gateway_key_requests_total") == {team: 2, others: 1}
    assert samples(text, "outlast_gateway_key_tokens_total") == {team: 10, others: 5}


async def test_the_documentation_names_every_metric_with_its_kind_and_labels_and_no_other(gateway: Start) -> None:
    page = (Path(__file__).parents[3] / "docs" / "gateway.md").read_text()
    rows = re.findall(r"^\| `(\w+)` \| (counter|gauge|histogram) \| (.*?) \|", page, re.MULTILINE)
    documented = {name: (kind, labels.replace("`", "").split(", ")) for name, kind, labels in rows}
    async with ModelServer() as server:
        site = await gateway(server.url, section=section(), environ=ENVIRON)
        async with site.session.post(site.address + CHAT, json={**ASK, "stream": True}, headers=bearer()) as response:
            await response.read()
        await site.post(CHAT, ASK, bearer())
        text = await site.metrics()
    assert dict(re.findall(r"^# TYPE (\w+) (\w+)$", text, re.MULTILINE)) == {
        name: kind
        for name, (kind, _) in documented.items()
        if name != "outlast_gateway_shared_up"  # only where limits are shared
    }
    for name, labels in re.findall(r"^(\w+)\{(.*)\} \S+$", text, re.MULTILINE):
        known = documented.get(name) or documented[re.sub(r"_(bucket|sum|count)\Z", "", name)]
        assert [label for label in re.findall(r'(\w+)="', labels) if label != "le"] == known[1], name
