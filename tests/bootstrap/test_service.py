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


def test_only_services_are_not_probed_over_http(tmp_path: Path) -> None:
    model = parse(
        MODELS.replace(b"bedrock: eu.amazon.nova-lite-v1:0, region: eu-central-1", b"url: 'http://h/v1', model: m")
    )
    pool = pooled_endpoint("w", model.models["writer"], tmp_path, SystemClock(), OsRandomness()).pool
    assert {member.name: is_service(member) for member in pool.everybody} == {"nova": False, "ours": True}
