from __future__ import annotations

from outlast.server.limit import Limits
from tests.server.site import Site, desk


async def test_agents_are_listed_with_their_schemas(site: Site) -> None:
    page = (await site.get("/v1/agents")).json
    assert page["app"] == "desk"
    assert [agent["agent"] for agent in page["agents"]] == ["quiet", "support", "total"]
    support = page["agents"][1]
    assert support == (await site.get("/v1/agents/support")).json
    assert support["description"] == "Answer a customer."
    assert support["input_schema"] == desk().agents["support"].input_schema()
    assert support["output_schema"]["type"] == "object"
    assert support["stopped"] is None


async def test_a_stopped_agent_starts_nothing_until_it_is_resumed(site: Site) -> None:
    answer = await site.post("/v1/agents/support/stop", {"reason": "it talks nonsense"})
    assert (answer.status, answer.json["stopped"]) == (200, "it talks nonsense")
    assert (await site.get("/v1/agents/support")).json["stopped"] == "it talks nonsense"
    refused = await site.post("/v1/agents/support/runs", {"input": "hi"})
    assert (refused.status, refused.code) == (409, "conflict")
    assert (await site.post("/v1/agents/quiet/runs", {})).status == 201
    assert (await site.post("/v1/agents/support/stop", {})).status == 200
    resumed = await site.post("/v1/agents/support/resume", {})
    assert (resumed.status, resumed.json["stopped"]) == (200, None)
    assert (await site.post("/v1/agents/support/resume", {})).status == 200
    assert (await site.post("/v1/agents/support/runs", {"input": "hi"})).status == 201


async def test_an_unknown_agent_is_not_found(site: Site) -> None:
    for path in ["", "/stop", "/resume"]:
        answer = await (site.post(f"/v1/agents/nobody{path}", {}) if path else site.get("/v1/agents/nobody"))
        assert (answer.status, answer.code) == (404, "not_found")


async def test_an_agent_of_a_name_that_is_none_is_refused(site: Site) -> None:
    for name in ["..", "a%20b", "%0d%0aSet-Cookie:x", "-", "x" * 129]:
        raw = await site.raw(f"GET /v1/agents/{name} HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n".encode())
        assert raw.startswith((b"HTTP/1.1 400 ", b"HTTP/1.1 404 "))
        assert b"Set-Cookie:" not in raw.partition(b"\r\n\r\n")[0]


async def test_what_the_switch_is_told_must_fit(site: Site) -> None:
    for what, body in [("stop", {"reason": 5}), ("stop", {"why": ""}), ("resume", {"reason": ""})]:
        answer = await site.post(f"/v1/agents/support/{what}", body)
        assert (answer.status, answer.code) == (422, "type_mismatch")


async def test_the_index_says_where_things_are(site: Site) -> None:
    index = (await site.get("/")).json
    assert (index["app"], index["agents"]) == ("desk", ["quiet", "support", "total"])
    for path in index["links"].values():
        assert (await site.get(path)).status == 200


def test_no_bound_is_without_effect_by_being_zero() -> None:
    assert all(value > 0 for value in (getattr(Limits(), name) for name in Limits.__struct_fields__))
