"""What a client of the gateway sees, on real sockets."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Awaitable, Callable

from outlast.blueprint.model import Fallback, Model, ModelEndpoint
from outlast.blueprint.schema import Gateway, Listen
from outlast.blueprint.secret import Secret
from outlast.bootstrap.gateway import Plan
from outlast.server.gateway.limit import GatewayLimits
from tests.server.gateway.conftest import Site, Start
from tests.server.gateway.upstream import (
    DONE,
    LAST,
    ROLE,
    STREAM,
    Asked,
    ModelServer,
    chat_answer,
    event,
    piece,
    says,
    whole,
    words,
)

CHAT = "/v1/chat/completions"
ASK: dict[str, object] = {"model": "writer", "messages": [{"role": "user", "content": "hi"}]}


async def frames(site: Site, body: dict[str, object] = ASK, path: str = CHAT) -> tuple[int, str]:
    async with site.session.post(site.address + path, json={**body, "stream": True}) as response:
        return response.status, (await response.read()).decode()


async def test_a_json_answer_comes_through_byte_for_byte_with_who_gave_it(gateway: Start) -> None:
    answer = json.dumps(chat_answer("ü — 漢字"), ensure_ascii=False, indent=3).encode()
    async with ModelServer(says(whole(answer))) as server:
        site = await gateway(server.url)
        async with site.session.post(site.address + CHAT, json=ASK) as response:
            assert await response.read() == answer
            assert response.headers["x-outlast-endpoint"] == "e1"
            assert response.headers["x-outlast-attempts"] == "1"
            assert "x-outlast-degraded" not in response.headers


async def test_only_the_models_name_is_changed_on_the_way_up(gateway: Start) -> None:
    async with ModelServer() as server:
        site = await gateway(server.url)
        given = b'{"z": 1.50,   "model" :"writer", "messages": [ {"role":"user","content":"\\u00fc"} ], "a":{"b" : []}}'
        async with site.session.post(site.address + CHAT, data=given) as response:
            assert response.status == 200
        sent = server.asked[0].body
        assert list(json.loads(sent)) == ["z", "model", "messages", "a"]
        assert json.loads(sent)["model"] == "m"
        for kept in (b"1.50", b'[ {"role":"user","content":"\\u00fc"} ]', b'{"b" : []}'):
            assert kept in sent


async def test_a_stream_comes_through_frame_by_frame(gateway: Start) -> None:
    async with ModelServer() as server:
        site = await gateway(server.url)
        status, text = await frames(site)
        assert status == 200
        assert text.startswith(ROLE.decode())
        assert text.endswith(DONE.decode())
        assert text.count("data: ") == 5


async def test_the_first_words_arrive_before_the_last_are_spoken(gateway: Start) -> None:
    go_on = asyncio.Event()

    async def slowly(asked: Asked, writer: asyncio.StreamWriter) -> None:
        writer.write(STREAM + piece(ROLE + words("one")))
        await go_on.wait()
        writer.write(piece(words("two") + DONE) + LAST)

    async with ModelServer(slowly) as server:
        site = await gateway(server.url)
        async with site.session.post(site.address + CHAT, json={**ASK, "stream": True}) as response:
            first = await asyncio.wait_for(response.content.readany(), 20)
            assert b"one" in first
            go_on.set()
            assert b"two" in await response.content.read()


async def test_a_refused_connection_is_not_seen_by_the_client(gateway: Start) -> None:
    async with ModelServer() as dead:
        pass
    async with ModelServer() as server:
        site = await gateway(dead.url, server.url)
        for _ in range(4):
            status, headers, body = await site.post(CHAT, ASK)
            assert status == 200
            assert headers["x-outlast-endpoint"] == "e2"
            assert body["choices"][0]["message"]["content"] == "hello"


async def test_what_goes_wrong_before_the_first_content_of_a_stream_is_not_seen(gateway: Start) -> None:
    for broken in (
        says(STREAM, piece(ROLE), then="reset"),
        says(STREAM, piece(ROLE + event({"error": {"message": "no memory"}})), LAST),
        says(STREAM, piece(ROLE + DONE), LAST),
        says(STREAM, piece(b"data: {]\n\n"), LAST),
        says(STREAM, LAST),
        says(whole({"error": {"message": "overloaded"}})),
        says(whole(b"<html>", kind="text/html")),
        says(STREAM.replace(b"\r\n\r\n", b"\r\nContent-Encoding: gzip\r\n\r\n"), piece(words("zip") + DONE), LAST),
        says(b"garbage\r\n\r\n", then="close"),
        says(then="close"),
        says(whole({}, 500)),
        says(whole({}, 429)),
        says(whole({}, 404)),
    ):
        async with ModelServer(broken) as bad, ModelServer() as good:
            site = await gateway(bad.url, good.url)
            status, text = await frames(site)
            assert status == 200, text
            assert text.count('"role"') == 1
            assert text.endswith(DONE.decode())


async def test_a_stream_that_breaks_off_after_its_first_words_ends_in_a_typed_event(gateway: Start) -> None:
    async with ModelServer(says(STREAM, piece(ROLE + words("one", "two")), then="reset")) as bad:
        site = await gateway(bad.url)
        status, text = await frames(site)
        assert status == 200
        assert text.count("two") == 1
        last = json.loads(text.strip().rpartition("data: ")[2])
        assert last["error"]["code"] == "interrupted"
        assert "[DONE]" not in text
        assert 'outlast_pool_interrupted_total{model="writer"} 1' in await site.metrics()


async def test_the_callers_own_fault_is_passed_on_and_tried_nowhere_else(gateway: Start) -> None:
    refusal = {"error": {"message": "messages is empty", "type": "invalid_request_error", "code": None, "param": "m"}}
    async with ModelServer(says(whole(refusal, 400))) as one, ModelServer(says(whole(refusal, 400))) as two:
        site = await gateway(one.url, two.url)
        status, _, body = await site.post(CHAT, ASK)
        assert (status, body) == (400, refusal)
        assert len(one.asked) + len(two.asked) == 1


async def test_a_client_that_leaves_has_its_request_given_up_at_the_endpoint(
    gateway: Start, until: Callable[..., Awaitable[None]]
) -> None:
    async with ModelServer(says(STREAM, piece(ROLE + words("one")), then="hang")) as server:
        site = await gateway(server.url)
        response = await site.session.post(site.address + CHAT, json={**ASK, "stream": True})
        assert await response.content.readany()
        assert server.open == 1
        response.close()
        await until(lambda: server.open == 0, 20, "the endpoint's connection is closed")


async def test_connections_are_kept_on_both_sides(gateway: Start) -> None:
    async with ModelServer() as server:
        site = await gateway(server.url)
        for _ in range(3):
            assert (await site.post(CHAT, ASK))[0] == 200
            assert (await frames(site))[0] == 200
        assert len(server.asked) == 6
        assert server.open == 1


async def test_a_kept_connection_that_the_endpoint_closed_is_replaced(
    gateway: Start, until: Callable[..., Awaitable[None]]
) -> None:
    async with ModelServer() as server:
        site = await gateway(server.url)
        for _ in range(3):
            status, headers, _ = await site.post(CHAT, ASK)
            assert (status, headers["x-outlast-attempts"]) == (200, "1")
            await server.stop()
            await server.start()


async def test_another_model_answers_when_the_one_asked_for_cannot_and_that_is_said(gateway: Start) -> None:
    async with ModelServer() as dead:
        pass
    async with ModelServer() as other:
        model = Model((ModelEndpoint("e1", dead.url, model="m"),), fallback=Fallback("spare", other.url, model="small"))
        site = await gateway(models={"writer": model})
        status, headers, _ = await site.post(CHAT, ASK)
        assert (status, headers["x-outlast-endpoint"], headers["x-outlast-degraded"]) == (200, "spare", "true")
        async with site.session.post(site.address + CHAT, json={**ASK, "stream": True}) as response:
            assert response.headers["x-outlast-degraded"] == "true"
            assert (await response.read()).endswith(DONE)
        assert {asked.json["model"] for asked in other.asked} == {"small"}
        assert 'outlast_pool_degraded_total{model="writer"} 2' in await site.metrics()
        ready = json.loads((await site.get("/readyz"))[2])
        assert (ready["degraded"], ready["models"]) == (True, {"writer": "degraded"})
        pools = json.loads((await site.get("/v1/pools"))[2])["pools"]
        assert [(pool["name"], pool["fallback"]) for pool in pools] == [("writer", "spare"), ("spare", None)]
        assert (await site.post("/v1/pools/drain", {"endpoint": "spare"}))[2]["state"] == "drained"


async def test_an_endpoint_whose_key_is_missing_is_left_for_another_and_said(gateway: Start) -> None:
    async with ModelServer() as one, ModelServer() as two:
        keyless = ModelEndpoint("e1", one.url, model="m", key=Secret("env", "NOT_SET"))
        site = await gateway(models={"writer": Model((keyless, ModelEndpoint("e2", two.url, model="m")))})
        for _ in range(4):
            assert (await site.post(CHAT, ASK))[1]["x-outlast-endpoint"] == "e2"
        alone = await gateway(models={"writer": Model((keyless,))})
        status, _, said = await alone.post(CHAT, ASK)
        assert status == 502
        assert "NOT_SET is not set" in said["error"]["message"]
        assert not one.asked


async def test_an_endpoints_own_key_goes_to_it_and_comes_back_to_nobody(gateway: Start) -> None:
    async def chatty(asked: Asked, writer: asyncio.StreamWriter) -> None:
        writer.write(whole({"error": {"message": f"bad: {asked.headers['authorization']}"}}, 400))

    async with ModelServer(chatty) as server:
        endpoint = ModelEndpoint("e1", server.url, model="m", key=Secret("env", "UPSTREAM"))
        site = await gateway(models={"writer": Model((endpoint,))}, environ={"UPSTREAM": "sk-upstream-secret"})
        status, _, said = await site.post(CHAT, ASK, {"Authorization": "Bearer sk-of-the-client"})
        assert status == 400
        assert said["error"]["message"] == "bad: Bearer [secret]"
        assert server.asked[0].headers["authorization"] == "Bearer sk-upstream-secret"


async def test_an_endpoint_whose_answer_is_no_use_is_not_listened_to_any_longer(
    gateway: Start, until: Callable[..., Awaitable[None]]
) -> None:
    endless = b"HTTP/1.1 200 OK\r\nContent-Type: text/html\r\nContent-Length: 1000\r\n\r\n<html>"
    async with ModelServer(says(endless, then="hang")) as bad, ModelServer() as good:
        site = await gateway(bad.url, good.url)
        while not bad.asked:
            assert (await frames(site))[0] == 200
        await until(lambda: bad.open == 0, 20, "its connection was closed")


async def test_a_reload_lets_requests_of_the_old_configuration_end_and_then_forgets_it(
    gateway: Start, until: Callable[..., Awaitable[None]]
) -> None:
    go_on = asyncio.Event()

    async def slowly(asked: Asked, writer: asyncio.StreamWriter) -> None:
        await go_on.wait()
        writer.write(whole(chat_answer("old")))

    async with ModelServer(slowly) as old, ModelServer(says(whole(chat_answer("new")))) as new:
        urls = [old.url]

        def read() -> Plan:
            return Plan(Gateway(listen=Listen(port=0)), {"writer": Model((ModelEndpoint("e1", urls[0], model="m"),))})

        site = await gateway(read=read, limits=GatewayLimits(sweep_s=0.05))
        asking = asyncio.create_task(site.post(CHAT, ASK))
        await until(lambda: old.asked, 20, "the old endpoint was asked")
        urls[0] = new.url
        site.assembly.reload()
        assert (await site.post(CHAT, ASK))[2]["choices"][0]["message"]["content"] == "new"
        assert len(site.assembly.retired) == 1
        go_on.set()
        assert (await asking)[2]["choices"][0]["message"]["content"] == "old"
        await until(lambda: not site.assembly.retired, 20, "the old pool is forgotten")
        state = site.assembly.gateway.catalog.pools["writer"]
        site.assembly.reload()
        assert site.assembly.gateway.catalog.pools["writer"] is state  # nothing changed: nothing is forgotten
