from __future__ import annotations

import dataclasses
from typing import Annotated, Any, Literal

import msgspec
import pydantic
import pytest
from openapi_spec_validator import validate
from starlette.routing import Route

from outlast.agent.app import App
from outlast.agent.control import Control
from outlast.server.app import Api
from outlast.server.limit import Limits
from outlast.server.log import Log
from outlast.server.openapi import make_document
from tests.server.contract import Contract
from tests.server.site import Site, desk, memory_platform, running


@dataclasses.dataclass
class Item:
    name: str
    count: int = 1


class Order(msgspec.Struct):
    items: list[Item]
    note: str | None = None


class Address(pydantic.BaseModel):
    street: str
    lines: list[str] = []


class Customer(pydantic.BaseModel):
    name: Annotated[str, pydantic.Field(min_length=1)]
    home: Address


def rich() -> App[None]:
    app: App[None] = App("rich")

    @app.agent
    async def structs(run: Any, order: Order, kind: Literal["a", "b"] = "a") -> list[Item]:
        return order.items

    @app.agent
    async def models(run: Any, customer: Customer) -> Address:
        return customer.home

    @app.agent
    async def mapping(run: Any, table: dict[str, int]) -> dict[str, int]:
        return table

    @app.agent(name="with.dots-and_more")
    async def anything(run: Any, value: Any = None, *, other: int = 0) -> Any:
        return value

    @app.agent
    async def bare(run: Any) -> Any:
        return None

    return app


@pytest.mark.parametrize("authenticated", [True, False])
@pytest.mark.parametrize("make", [desk, rich, lambda: App("empty")])
def test_the_document_is_valid_openapi_3_1(make: Any, authenticated: bool) -> None:
    document = make_document(make(), authenticated=authenticated)
    assert document["openapi"] == "3.1.0"
    validate(document)
    assert ("security" in document) is authenticated


async def test_every_route_is_in_the_document_and_nothing_else() -> None:
    app = desk()
    platform = memory_platform()
    import io

    log = Log(io.StringIO(), platform.clock)
    api = Api(Control(platform, app), app, log=log, token=None, loopback=True, limits=Limits())
    served: set[tuple[str, str]] = set()
    for route in api._router.routes:
        assert isinstance(route, Route)
        path = route.path
        names = [path.replace("{agent}", agent) for agent in app.agents] if path.endswith("{agent}/runs") else [path]
        served |= {(name, method) for name in names for method in (route.methods or set()) - {"HEAD"}}
    paths = make_document(app, authenticated=False)["paths"]
    written = {(path, method.upper()) for path, item in paths.items() for method in item if method != "parameters"}
    assert served == written


INPUTS: list[tuple[str, Any]] = [
    ("structs", {"order": {"items": [{"name": "a"}]}}),
    ("structs", {"order": {"items": []}, "kind": "b"}),
    ("structs", {"order": {"items": []}, "kind": "c"}),
    ("structs", {"order": {"items": [{"count": 1}]}}),
    ("structs", [{"items": []}]),
    ("structs", [{"items": []}, "b"]),
    ("structs", [{"items": []}, "b", 1]),
    ("structs", []),
    ("structs", {"kind": "a"}),
    ("structs", {"order": {"items": []}, "other": 1}),
    ("structs", "order"),
    ("models", {"customer": {"name": "Ada", "home": {"street": "x"}}}),
    ("models", {"name": "Ada", "home": {"street": "x", "lines": ["y"]}}),
    ("models", {"name": "", "home": {"street": "x"}}),
    ("models", {"name": "Ada"}),
    ("models", [{"name": "Ada", "home": {"street": "x"}}]),
    ("models", 5),
    ("mapping", {"table": {"a": 1}}),
    ("mapping", {"a": 1, "b": 2}),
    ("mapping", {"a": "x"}),
    ("mapping", {}),
    ("mapping", {"table": 1}),
    ("mapping", [{"table": 1}]),
    ("mapping", [{}]),
    ("mapping", [{}, {}]),
    ("with.dots-and_more", {"value": [1], "other": 2}),
    ("with.dots-and_more", {"other": "x"}),
    ("with.dots-and_more", 5),
    ("with.dots-and_more", None),
    ("with.dots-and_more", []),
    ("with.dots-and_more", [[], 5]),
    ("with.dots-and_more", {"unknown": 5}),
    ("bare", {}),
    ("bare", []),
    ("bare", None),
    ("bare", [1]),
    ("bare", {"a": 1}),
    ("bare", "x"),
]


@pytest.fixture(scope="module")
def contract() -> Contract:
    return Contract(make_document(rich(), authenticated=False))


@pytest.mark.parametrize("agent", sorted(rich().agents))
async def test_what_the_document_allows_is_taken_and_nothing_else(contract: Contract, agent: str) -> None:
    app = rich()
    async with running(Control(memory_platform(), app), app) as site:
        for body in [{"input": given} for name, given in INPUTS if name == agent] + [{}]:
            allowed = contract.fits({"$ref": f"#/components/schemas/{agent}.start"}, body)
            answer = await site.post(f"/v1/agents/{agent}/runs", body)
            assert answer.status == (201 if allowed else 422), (allowed, body, answer.body)


async def test_it_is_served(site: Site) -> None:
    answer = await site.get("/openapi.json")
    assert answer.status == 200
    assert answer.json == make_document(desk(), authenticated=False)


def test_answers_always_have_the_fields_that_they_always_have() -> None:
    schemas = make_document(desk(), authenticated=False)["components"]["schemas"]
    assert "view" not in schemas["Started"]["required"]
    assert {"run", "state", "steps", "result", "session"} <= set(schemas["RunView"]["required"])
    assert {"run", "owner", "mail"} <= set(schemas["RunEntry"]["required"])
    assert "required" not in schemas["StopBody"] or schemas["StopBody"]["required"] == []
