"""Models of cloud services behind a model name: asked through their own protocol, failed over like any endpoint."""

from __future__ import annotations

from pathlib import Path

import pytest

from outlast.adapters.host.clock import SystemClock
from outlast.adapters.host.randomness import OsRandomness
from outlast.blueprint.load import parse
from outlast.bootstrap.pool import pooled_endpoint
from outlast.bootstrap.service import address_of, is_service
from outlast.model.endpoint import Message, ModelRequest
from tests.adapters.aws.fake import WORDS, fake_aws
from tests.bootstrap import test_gateway
from tests.bootstrap.test_gateway import outlast, session

pytest.importorskip("aiobotocore")

MODELS = b"""
models:
  writer:
    endpoints:
      - {name: nova, bedrock: eu.amazon.nova-lite-v1:0, region: eu-central-1}
    fallback: {name: ours, sagemaker: support-writer, region: eu-central-1, model: own}
"""


async def test_a_model_of_bedrock_answers_and_sagemaker_stands_in(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("AWS_ACCESS_KEY_ID", "test")
    monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", "test")
    model = parse(MODELS).models["writer"]
    assert [address_of(endpoint) for endpoint in (*model.endpoints, model.fallback) if endpoint] == [
        "bedrock://eu-central-1/eu.amazon.nova-lite-v1:0",
        "sagemaker://eu-central-1/support-writer",
    ]
    async with fake_aws() as (fake, url):
        monkeypatch.setenv("AWS_ENDPOINT_URL", url)
        endpoint = pooled_endpoint("writer", model, tmp_path, SystemClock(), OsRandomness())
        try:
            request = ModelRequest([Message("user", "count")], 20.0)
            first = await endpoint.complete(request)
            assert (first.text, first.degraded) == ("".join(WORDS), False)
            assert "model" in fake.asked[-1]
            fake.error = (403, "AccessDeniedException", {})
            fake.invoke_works = True
            second = await endpoint.complete(request)
            assert (second.text, second.degraded) == ("".join(WORDS), True)
            assert fake.asked[-1]["endpoint"] == "support-writer"
        finally:
            await endpoint.close()


async def test_the_gateway_translates_for_bedrock_and_says_what_it_does_not(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "outlast.yaml").write_bytes(MODELS)
    for name in ("AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY"):
        monkeypatch.setenv(name, "test")
    async with fake_aws() as (fake, url), session() as client:
        monkeypatch.setenv("AWS_ENDPOINT_URL", url)
        with outlast("gateway", "--listen", "127.0.0.1:0", "--json", cwd=tmp_path) as process:
            address = await test_gateway.address_of(process)
            asked = {"model": "writer", "messages": [{"role": "user", "content": "count"}]}
            async with client.post(f"{address}/v1/chat/completions", json=asked) as response:
                told = await response.json()
                assert "choices" in told, told
                assert (response.status, told["choices"][0]["message"]["content"]) == (200, "".join(WORDS))
                assert response.headers["x-outlast-endpoint"] == "nova"
            async with client.post(f"{address}/v1/chat/completions", json={**asked, "stream": True}) as response:
                text = await response.text()
                assert [word for word in WORDS if word in text] == WORDS
                assert text.endswith("data: [DONE]\n\n")
            fake.invoke_works, fake.error = True, (503, "ServiceUnavailableException", {})
            async with client.post(f"{address}/v1/chat/completions", json={**asked, "stream": True}) as response:
                assert response.headers["x-outlast-degraded"] == "true"
                assert "data: [DONE]" in await response.text()
            async with client.post(f"{address}/v1/messages", json={**asked, "max_tokens": 9}) as response:
                assert response.status in (400, 404, 502, 503), await response.text()
                assert "does not speak" in await response.text()
            fake.invoke_works, fake.error = False, (429, "ThrottlingException", {"retry-after": "1"})
            async with client.post(f"{address}/v1/chat/completions", json=asked) as response:
                assert response.status == 429, await response.text()
                assert int(response.headers["retry-after"]) >= 1


def test_only_services_are_not_probed_over_http(tmp_path: Path) -> None:
    model = parse(
        MODELS.replace(b"bedrock: eu.amazon.nova-lite-v1:0, region: eu-central-1", b"url: 'http://h/v1', model: m")
    )
    pool = pooled_endpoint("w", model.models["writer"], tmp_path, SystemClock(), OsRandomness()).pool
    assert {member.name: is_service(member) for member in pool.everybody} == {"nova": False, "ours": True}
