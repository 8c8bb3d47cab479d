"""A fuzzer that knows only the OpenAPI document, against a server over SQLite whose worker runs what is started.

Whatever it sends, valid or not: no 5xx, and status, headers, content type and body are what the document says; valid
requests are taken, others refused, none without the token. A failure prints a seed (`--hypothesis-seed=N` takes it
back) and the request as a curl command.
"""

from __future__ import annotations

import asyncio
import dataclasses
import threading
from collections import Counter
from collections.abc import Iterator
from pathlib import Path
from typing import Any, Literal

import pytest
import schemathesis
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from schemathesis.config import SchemathesisConfig

from outlast.agent.app import App
from outlast.agent.control import Control
from outlast.kernel.error import ConfigurationError
from outlast.kernel.unit import seconds
from outlast.server.limit import Limits
from outlast.server.openapi import make_document
from outlast.server.runs import deadline_max_s
from tests.server.site import running
from tests.server.test_end_to_end import journal, working

TOKEN = "0123456789abcdef-of-the-fuzzer"
ACCEPT = ("application/json", "text/event-stream", "*/*")
WITHIN_S = 30
NEVER_ASKED_FOR = {"405", "408", "414", "421", "431", "504"}
"""Statuses of the wire and of the whole server, which the document has under `default`."""


@dataclasses.dataclass
class Item:
    name: str
    count: int = 1


def fuzzed() -> App[None]:
    """Agents of all shapes: they end, fail, wait, are held, talk in a session."""
    app: App[None] = App("fuzzed")

    @app.tool(effect="once", retry=1)
    async def refund(order: str) -> str:
        raise ConnectionError("no answer")

    @app.agent
    async def pack(run: Any, items: list[Item], kind: Literal["a", "b"] = "a") -> list[Item]:
        return items

    @app.agent
    async def approve(run: Any, order: str) -> str:
        return await run.signal("decision", str)

    @app.agent
    async def repay(run: Any, order: str) -> str:
        return await refund(order)

    @app.agent
    async def chat(run: Any, text: str) -> int:
        run.session.say("user", text)
        run.session.state["count"] = run.session.state.get("count", 0) + 1
        return run.session.state["count"]

    @app.agent(name="with.dots-and_more")
    async def anything(run: Any, value: Any = None, *, other: int = 0) -> Any:
        return value

    @app.agent
    async def quiet(run: Any) -> None:
        """Take nothing, give nothing."""

    return app


EVENT = {
    "type": "object",
    "properties": {
        "id": {"type": "string", "pattern": "^[1-9][0-9]*$"},
        "event": {"type": "string", "pattern": "^[a-z]+([._][a-z]+)*$"},
        "data": {"type": "string", "contentMediaType": "application/json"},
    },
    "required": ["event", "data"],
}
DOCUMENT = make_document(fuzzed(), authenticated=True)


class Served:
    """A server with its worker in a thread of its own, until the block ends."""

    def __init__(self, directory: Path) -> None:
        self._directory = directory
        self._up = threading.Event()
        self._thread = threading.Thread(target=self._run)
        self._failed: BaseException | None = None

    def _run(self) -> None:
        try:
            asyncio.run(self._serve())
        except BaseException as error:
            self._failed = error
            self._up.set()

    async def _serve(self) -> None:
        self._loop, self._over = asyncio.get_running_loop(), asyncio.Event()
        app = fuzzed()
        limits = Limits(follow_max_s=0.1, wait_max_s=0.1, poll_s=0.05)
        async with journal(self._directory) as platform, working(app, platform):
            control = Control(platform, app)
            async with running(control, app, token=TOKEN, limits=limits) as site:
                self._address = site.address
                self._up.set()
                await self._over.wait()
                assert site.log.getvalue() == "", "the server logged what nobody foresaw"

    def __enter__(self) -> Served:
        self._thread.start()
        assert self._up.wait(WITHIN_S)
        if self._failed is not None:
            raise self._failed
        return self

    def __exit__(self, *exc: object) -> None:
        if self._thread.is_alive():
            self._loop.call_soon_threadsafe(self._over.set)
        self._thread.join(WITHIN_S)
        if self._failed is not None:
            raise self._failed

    def asking(self, accept: str) -> dict[str, Any]:
        """How a case is sent here."""
        headers = {"Authorization": f"Bearer {TOKEN}", "Accept": accept}
        return {"base_url": self._address, "headers": headers, "timeout": WITHIN_S}

    def note(self, case: schemathesis.Case, response: Any) -> None:
        """Every status is one that the operation names, not only one that `default` allows."""
        operation = case.operation.definition.raw
        status = str(response.status_code)
        assert status in operation["responses"] or status in NEVER_ASKED_FOR, f"{case.method} {case.path}: {status}"


@pytest.fixture(scope="module")
def served(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Served]:
    with Served(tmp_path_factory.mktemp("served")) as served:
        yield served


def by_event(node: Any) -> Any:
    """The document with what one event of a stream is: OpenAPI 3.1 describes the text, the fuzzer asks for events."""
    if isinstance(node, dict):
        pairs = node.items()
        return {key: {"schema": EVENT} if key == "text/event-stream" else by_event(inner) for key, inner in pairs}
    return [by_event(inner) for inner in node] if isinstance(node, list) else node


def loaded(mode: str) -> Any:
    config = {"output": {"sanitization": {"enabled": False}}, "generation": {"mode": mode}}
    schema = schemathesis.openapi.from_dict(by_event(DOCUMENT), config=SchemathesisConfig.from_dict(config))

    @schema.hook
    def filter_body(context: Any, body: Any) -> bool:
        """The document bounds deadlines that are numbers; of text with a unit it can only say so."""
        text = body.get("deadline") if isinstance(body, dict) else None
        try:
            return not isinstance(text, str) or seconds(text) <= deadline_max_s
        except ConfigurationError:
            return True

    return schema


def settled(examples: int) -> settings:
    slow = [HealthCheck.too_slow, HealthCheck.filter_too_much, HealthCheck.data_too_large]
    return settings(max_examples=examples, deadline=None, suppress_health_check=slow)


anything = loaded("all")


@anything.parametrize()
@settled(20)
def test_an_operation_is_what_the_document_says(case: schemathesis.Case, served: Served) -> None:
    accept = ACCEPT[len(f"{case.query}{case.body}") % len(ACCEPT)]
    served.note(case, case.call_and_validate(**served.asking(accept)))


def meeting() -> dict[str, Any]:
    """Operations by name, whose valid requests meet: few names, no event that a run does not have yet."""
    valid = loaded("positive")

    @valid.hook
    def map_path_parameters(context: Any, parameters: dict[str, Any]) -> dict[str, Any]:
        few = {"session": ("a", "b"), "name": ("decision", "other")}
        given = (parameters or {}).items()
        return {key: few[key][len(value) % 2] if key in few else value for key, value in given}

    @valid.hook
    def map_query(context: Any, query: Any) -> Any:
        return query | {"after": query["after"] % 2} if query and "after" in query else query

    @valid.hook
    def map_headers(context: Any, headers: Any) -> Any:
        cursor = (headers or {}).get("Last-Event-ID")
        return headers | {"Last-Event-ID": str(int(cursor) % 2)} if cursor else headers

    @valid.hook
    def map_body(context: Any, body: Any) -> Any:
        if not isinstance(body, dict):
            return body
        if "session" in body:
            body["session"] = ("a", "b", None)[len(body["session"] or "") % 3]
        return body | {"step": "1"} if "step" in body else body

    operations = (found.ok() for found in valid.get_all_operations())
    return {operation.definition.raw["operationId"]: operation for operation in operations}


OPERATIONS = meeting()
STARTS = sorted(name for name in OPERATIONS if name.startswith("start_"))
LINKED = {
    name: [link["operationId"] for link in operation.definition.raw["responses"][status]["links"].values()]
    for name, operation in OPERATIONS.items()
    for status in ("201", "202")
    if "links" in operation.definition.raw["responses"].get(status, {})
}


def test_what_links_lead_to_is_what_the_document_says(served: Served) -> None:
    """A number follows a link of the run that was started last, which may wait by then, or be held, or have ended."""

    @given(
        start=st.sampled_from(STARTS),
        then=st.lists(st.one_of(st.integers(0, 5), st.sampled_from(sorted(OPERATIONS))), max_size=12),
        data=st.data(),
    )
    @settled(60)
    def walk(start: str, then: list[int | str], data: st.DataObject) -> None:
        run = ""
        for number, step in enumerate([start, *then]):
            name = step if isinstance(step, str) else LINKED[start][step]
            case = data.draw(OPERATIONS[name].as_strategy())
            if "run" in case.path_parameters and run:
                case.path_parameters["run"] = run
            response = case.call_and_validate(**served.asking(ACCEPT[number % len(ACCEPT)]))
            served.note(case, response)
            taken[name, response.status_code] += 1
            run = next(iter(response.headers.get("outlast-run", ())), run)

    taken: Counter[tuple[str, int]] = Counter()
    walk()
    assert {name for name, status in taken if status == 200} >= {"show_run", "run_events"}, taken
