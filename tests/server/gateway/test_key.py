"""Keys: who may ask, for what, how much."""

from __future__ import annotations

import json

import pytest

from outlast.blueprint.model import Model, ModelEndpoint
from outlast.blueprint.schema import Gateway, GatewayKey, Listen
from outlast.blueprint.secret import Secret
from outlast.kernel.error import ConfigurationError
from outlast.server.gateway.key import Account, Keys, key_in
from outlast.server.gateway.serve import bind
from tests.server.gateway.conftest import Start
from tests.server.gateway.upstream import ModelServer

CHAT = "/v1/chat/completions"
ASK = {"model": "writer", "messages": [{"role": "user", "content": "hi"}]}
KEY, OTHER = "key-of-the-team-1234", "key-of-others-123456"
ENVIRON = {"TEAM": KEY, "OTHERS": OTHER}


def section(**limits: object) -> Gateway:
    team = GatewayKey(Secret("env", "TEAM"), **limits)  # type: ignore[arg-type]
    return Gateway(listen=Listen(port=0), keys={"team": team, "others": GatewayKey(Secret("env", "OTHERS"))})


def bearer(key: str = KEY) -> dict[str, str]:
    return {"Authorization": f"Bearer {key}"}


async def test_without_a_known_key_nobody_gets_an_answer(gateway: Start) -> None:
    async with ModelServer() as server:
        site = await gateway(server.url, section=section(), environ=ENVIRON)
        for headers in ({}, bearer("wrong"), bearer(KEY + "x"), bearer(""), {"Authorization": f"Basic {KEY}"}):
            status, _, said = await site.post(CHAT, ASK, headers)
            assert status == 401
            assert said["error"]["type"] == "authentication_error"
            assert KEY not in json.dumps(said)
        assert (await site.get("/v1/models"))[0] == 401
        assert not server.asked
        for headers in (bearer(), {"x-api-key": KEY}, {"authorization": f"bearer {OTHER}"}):
            assert (await site.post(CHAT, ASK, headers))[0] == 200
        assert (await site.get("/livez"))[0] == 200
        assert all("authorization" not in asked.headers and "x-api-key" not in asked.headers for asked in server.asked)


async def test_an_unknown_key_is_refused_before_its_body_is_read(gateway: Start) -> None:
    async with ModelServer() as server:
        site = await gateway(server.url, section=section(), environ=ENVIRON)
        answer = await site.raw(b"POST /v1/chat/completions HTTP/1.1\r\nHost: x\r\nContent-Length: 1000000\r\n\r\n")
        assert answer.startswith(b"HTTP/1.1 401")


async def test_a_key_asks_only_for_its_models(gateway: Start) -> None:
    async with ModelServer() as server:
        model = Model((ModelEndpoint("e1", server.url, model="m"),))
        site = await gateway(
            section=section(models=("writer",)), environ=ENVIRON, models={"writer": model, "secret": model}
        )
        assert (await site.post(CHAT, ASK, bearer()))[0] == 200
        status, _, said = await site.post(CHAT, {**ASK, "model": "secret"}, bearer())
        assert status == 404
        assert said["error"]["message"].endswith("expected one of writer")
        assert (await site.post(CHAT, {**ASK, "model": "secret"}, bearer(OTHER)))[0] == 200
        listed = json.loads((await site.get("/v1/models", bearer()))[2])["data"]
        assert [one["id"] for one in listed] == ["writer"]
        assert (await site.get("/v1/models/secret", bearer()))[0] == 404


async def test_requests_a_minute_are_bounded_and_retry_after_says_when(gateway: Start) -> None:
    async with ModelServer() as server:
        site = await gateway(server.url, section=section(requests_per_minute=3), environ=ENVIRON)
        assert [(await site.post(CHAT, ASK, bearer()))[0] for _ in range(3)] == [200] * 3
        status, headers, said = await site.post(CHAT, ASK, bearer())
        assert (status, said["error"]["code"]) == (429, "rate_limit_exceeded")
        assert 1 <= int(headers["Retry-After"]) <= 20
        assert (await site.post(CHAT, ASK, bearer(OTHER)))[0] == 200
        assert 'outlast_pool_refused_total{model="writer",reason="requests_per_minute"} 1' in await site.metrics()


async def test_tokens_a_minute_are_settled_with_what_was_used(gateway: Start) -> None:
    async with ModelServer() as server:
        site = await gateway(server.url, section=section(tokens_per_minute=1000), environ=ENVIRON)
        asked = {**ASK, "max_tokens": 800}
        for _ in range(5):  # each reserves more than 800 and gives back what it did not use
            assert (await site.post(CHAT, asked, bearer()))[0] == 200
        status, _, said = await site.post(CHAT, {**ASK, "max_tokens": 5000}, bearer())
        assert (status, said["error"]["code"]) == (429, "rate_limit_exceeded")


async def test_what_a_key_has_used_outlives_a_reload(gateway: Start) -> None:
    async with ModelServer() as server:
        site = await gateway(server.url, section=section(requests_per_minute=2), environ=ENVIRON)
        for _ in range(2):
            assert (await site.post(CHAT, ASK, bearer()))[0] == 200
        site.assembly.reload()
        assert (await site.post(CHAT, ASK, bearer()))[0] == 429


def test_beyond_loopback_keys_are_demanded() -> None:
    with pytest.raises(ConfigurationError, match="no keys are set"):
        bind(Listen("0.0.0.0", 0), keys=False)
    bind(Listen("0.0.0.0", 0), keys=True).close()


def test_keys_that_can_be_guessed_or_are_there_twice_are_refused_and_not_shown() -> None:
    with pytest.raises(ConfigurationError, match="16 or more") as caught:
        Keys([("short", Account("a"))])
    assert "short" not in str(caught.value)
    with pytest.raises(ConfigurationError, match="same as another's"):
        Keys([(KEY, Account("a")), (KEY, Account("b"))])


def test_a_key_is_found_in_either_header() -> None:
    assert key_in({b"authorization": b"Bearer  abc "}) == b"abc"
    assert key_in({b"x-api-key": b"abc"}) == b"abc"
    assert key_in({b"authorization": b"Basic abc"}) == b""
    assert key_in({}) == b""
