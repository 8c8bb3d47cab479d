"""What operators see and say: pools, commands, the admin token."""

from __future__ import annotations

import json

import pytest

from outlast.blueprint.model import Model, ModelEndpoint
from outlast.blueprint.schema import Gateway, Listen
from outlast.blueprint.secret import Secret
from outlast.server.gateway.refusal import Refusal
from outlast.server.gateway.request import Request
from tests.server.gateway.conftest import Start
from tests.server.gateway.upstream import ModelServer, says, whole

CHAT = "/v1/chat/completions"
ASK = {"model": "writer", "messages": [{"role": "user", "content": "hi"}]}
TOKEN = "an-admin-token-of-some-length"


async def test_a_drained_endpoint_gets_nothing_new_until_it_is_undrained(gateway: Start) -> None:
    async with ModelServer() as one, ModelServer() as two:
        site = await gateway(one.url, two.url)
        status, _, said = await site.post("/v1/pools/drain", {"endpoint": "e1"})
        assert (status, said["state"], said["model"]) == (200, "drained", "writer")
        for _ in range(10):
            assert (await site.post(CHAT, ASK))[0] == 200
        assert (len(one.asked), len(two.asked)) == (0, 10)
        assert (await site.post("/v1/pools/undrain", {"endpoint": "e1"}))[0] == 200
        await site.post("/v1/pools/drain", {"endpoint": "e2"})
        assert (await site.post(CHAT, ASK))[1]["x-outlast-endpoint"] == "e1"


async def test_an_ejected_endpoint_is_out_and_the_state_says_for_how_long(gateway: Start) -> None:
    async with ModelServer() as one, ModelServer() as two:
        site = await gateway(one.url, two.url)
        await site.post("/v1/pools/eject", {"endpoint": "e2", "for_s": 600, "model": "writer"})
        for _ in range(10):
            await site.post(CHAT, ASK)
        assert (len(one.asked), len(two.asked)) == (10, 0)
        status, _, text = await site.get("/v1/pools")
        assert status == 200
        (pool,) = json.loads(text)["pools"]
        states = {member["name"]: member["state"] for member in pool["members"]}
        assert states["e2"] == "ejected"
        out = next(member["out_for_s"] for member in pool["members"] if member["name"] == "e2")
        assert 500 < out <= 600


async def test_a_weight_of_zero_leaves_an_endpoint_without_requests(gateway: Start) -> None:
    async with ModelServer() as one, ModelServer() as two:
        site = await gateway(one.url, two.url)
        status, _, said = await site.post("/v1/pools/weight", {"endpoint": "e1", "weight": 0})
        assert (status, said["weight"]) == (200, 0)
        for _ in range(10):
            await site.post(CHAT, ASK)
        assert (len(one.asked), len(two.asked)) == (0, 10)


async def test_commands_that_are_not_understood_say_why(gateway: Start) -> None:
    async with ModelServer() as one:
        model = Model((ModelEndpoint("e1", one.url, model="m"),))
        site = await gateway(models={"a": model, "b": model})
        for body, status, word in (
            ({"endpoint": "nobody"}, 404, "a/e1, b/e1"),
            ({"endpoint": "e1"}, 400, "say which of a, b"),
            ({"endpoint": "e1", "wait": 3}, 400, "wait"),
            ({"endpoint": "e1", "model": "a", "for_s": 0}, 400, "for_s"),
            ({"endpoint": "e1", "model": "a", "for_s": 1e9}, 400, "for_s"),
        ):
            found, _, said = await site.post("/v1/pools/eject", body)
            assert found == status
            assert word in said["error"]["message"]
        found, _, said = await site.post("/v1/pools/weight", {"endpoint": "e1", "model": "a", "weight": -1})
        assert (found, said["error"]["code"]) == (400, "usage")
        assert (await site.get("/v1/pools/drain"))[0] == 405


async def test_with_an_admin_token_only_who_has_it_may_command(gateway: Start) -> None:
    section = Gateway(
        listen=Listen(port=0), admin=Secret("env", "ADMIN"),
    )  # fmt: skip
    async with ModelServer() as one:
        site = await gateway(one.url, section=section, environ={"ADMIN": TOKEN})
        for path in ("/v1/pools", "/metrics"):
            assert (await site.get(path))[0] == 401
            assert (await site.get(path, {"Authorization": f"Bearer {TOKEN}x"}))[0] == 401
            assert (await site.get(path, {"Authorization": f"Bearer {TOKEN}"}))[0] == 200
        assert (await site.post("/v1/pools/reload", {}))[0] == 401


async def test_without_an_admin_token_no_web_page_may_command(gateway: Start) -> None:
    async with ModelServer() as one:
        site = await gateway(one.url)
        for headers in (
            {"Host": "evil.example"},
            {"Host": f"evil.example:{site.port}"},
            {"Origin": "http://evil.example"},
            {"Sec-Fetch-Site": "cross-site"},
        ):
            assert (await site.post("/v1/pools/drain", {"endpoint": "e1"}, headers))[0] == 403
        assert (await site.get("/v1/pools", {"Host": f"[::1]:{site.port}"}))[0] == 200


async def test_metrics_tell_of_pools_and_requests(gateway: Start) -> None:
    async with ModelServer() as one, ModelServer(says(whole({}, 500))) as bad:
        site = await gateway(one.url, bad.url)
        for _ in range(20):
            await site.post(CHAT, ASK)
        assert bad.asked
        text = await site.metrics()
        chat = 'gen_ai_operation_name="chat",gen_ai_request_model="writer"'
        for line in (
            'outlast_pool_requests_total{model="writer"} 20',
            'outlast_pool_attempts_total{model="writer",endpoint="e1",outcome="answered"} 20',
            'outlast_pool_in_flight{model="writer",endpoint="e1"} 0',
            'outlast_pool_breaker_state{model="writer",endpoint="e1",state="closed"} 1',
            'outlast_pool_queue_depth{model="writer"} 0',
            'outlast_pool_tokens_total{model="writer",endpoint="e1",type="input"} 60',
            f'gen_ai_client_operation_duration_seconds_count{{{chat},error_type=""}} 20',
            f"gen_ai_server_time_to_first_token_seconds_count{{{chat}}} 20",
            'outlast_gateway_requests_total{path="/v1/chat/completions",status="200"} 20',
        ):
            assert line in text.splitlines()
        assert float(next(line for line in text.splitlines() if "pool_amplification{" in line).split()[1]) > 1


async def test_without_an_admin_token_nobody_from_elsewhere_may_command(gateway: Start) -> None:
    class Elsewhere:
        peer = "192.0.2.7"

    async with ModelServer() as one:
        site = await gateway(one.url)
        request = Request()
        request.headers = {b"host": b"localhost"}
        with pytest.raises(Refusal) as caught:
            site.assembly.gateway.command(request, Elsewhere())  # type: ignore[arg-type] # only its address counts
        assert caught.value.status == 403
