"""Liveness, readiness, models, metrics."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Awaitable, Callable

from outlast.blueprint.model import Model, ModelEndpoint
from tests.server.gateway.conftest import Start
from tests.server.gateway.upstream import Asked, ModelServer, says, whole

Until = Callable[..., Awaitable[None]]


async def test_liveness_does_not_depend_on_a_model(gateway: Start) -> None:
    async with ModelServer() as dead:
        pass
    site = await gateway(dead.url)
    status, _, text = await site.get("/livez")
    assert (status, json.loads(text)) == (200, {"live": True})


async def test_readiness_proves_that_each_model_answers(gateway: Start) -> None:
    async with ModelServer() as one, ModelServer() as two:
        models = {
            "writer": Model((ModelEndpoint("e1", one.url, model="m"),)),
            "reader": Model((ModelEndpoint("e1", two.url, model="n"),)),
        }
        site = await gateway(models=models)
        status, _, text = await site.get("/readyz")
        found = json.loads(text)
        assert (status, found["ready"], found["degraded"]) == (200, True, False)
        assert found["models"] == {"writer": "answers", "reader": "answers"}
        assert [len(one.asked), len(two.asked)] == [1, 1]
        assert two.asked[0].json["model"] == "n"


async def test_an_answer_that_a_client_got_proves_it_too(gateway: Start) -> None:
    async with ModelServer() as one:
        site = await gateway(one.url)
        await site.post("/v1/chat/completions", {"model": "writer", "messages": []})
        assert (await site.get("/readyz"))[0] == 200
        assert len(one.asked) == 1


async def test_when_all_models_are_down_readiness_fails_open_and_says_degraded(gateway: Start) -> None:
    async with ModelServer() as dead:
        pass
    site = await gateway(dead.url)
    status, headers, text = await site.get("/readyz")
    assert status == 200
    assert json.loads(text) == {"ready": True, "degraded": True, "models": {"writer": "down"}}
    assert headers["x-outlast-degraded"] == "true"


async def test_one_model_that_is_down_is_named(gateway: Start) -> None:
    async with ModelServer() as dead:
        pass
    async with ModelServer() as one:
        models = {
            "writer": Model((ModelEndpoint("e1", one.url, model="m"),)),
            "reader": Model((ModelEndpoint("e1", dead.url, model="n"),)),
        }
        site = await gateway(models=models)
        found = json.loads((await site.get("/readyz"))[2])
        assert found == {"ready": True, "degraded": True, "models": {"writer": "answers", "reader": "down"}}


async def test_a_model_that_is_no_chat_model_answers_a_probe_with_its_refusal(gateway: Start) -> None:
    async with ModelServer(says(whole({"error": {"message": "embeddings only"}}, 400))) as one:
        site = await gateway(one.url)
        assert json.loads((await site.get("/readyz"))[2])["models"] == {"writer": "answers"}


async def test_many_who_ask_at_once_ask_the_model_once(gateway: Start) -> None:
    go_on = asyncio.Event()

    async def slowly(asked: Asked, writer: asyncio.StreamWriter) -> None:
        await go_on.wait()
        writer.write(whole({"choices": [{"index": 0}]}))

    async with ModelServer(slowly) as one:
        site = await gateway(one.url)
        asking = [asyncio.create_task(site.get("/readyz")) for _ in range(10)]
        while not one.asked:
            await asyncio.wait(asking, timeout=0.01)
        go_on.set()
        assert [(await task)[0] for task in asking] == [200] * 10
        assert len(one.asked) == 1


async def test_while_it_stops_it_is_not_ready(gateway: Start) -> None:
    go_on = asyncio.Event()

    async def slowly(asked: Asked, writer: asyncio.StreamWriter) -> None:
        await go_on.wait()
        writer.write(whole({"choices": [{"index": 0}]}))

    async with ModelServer(slowly) as one:
        site = await gateway(one.url)
        reader, writer = await asyncio.open_connection("127.0.0.1", site.port)
        writer.write(b"GET /readyz HTTP/1.1\r\nHost: x\r\n")
        await writer.drain()
        answering = asyncio.create_task(site.post("/v1/chat/completions", {"model": "writer", "messages": []}))
        while not one.asked:
            await asyncio.wait((answering,), timeout=0.01)
        site.assembly.stop.set()
        writer.write(b"\r\n")  # this request had begun before the stop
        answer = await asyncio.wait_for(reader.read(), 20)
        assert answer.startswith(b"HTTP/1.1 503")
        assert b"\r\nConnection: close\r\n" in answer
        assert json.loads(answer.partition(b"\r\n\r\n")[2])["ready"] is False
        go_on.set()
        status, headers, _ = await answering
        assert (status, headers["Connection"]) == (200, "close")
        writer.close()


async def test_a_model_is_shown_by_its_name(gateway: Start) -> None:
    async with ModelServer() as one:
        site = await gateway(one.url)
        status, _, text = await site.get("/v1/models/writer")
        assert (status, json.loads(text)["id"]) == (200, "writer")
        assert (await site.get("/v1/models/nobody"))[0] == 404
