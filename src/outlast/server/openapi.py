"""The OpenAPI 3.1 document of a server, made from its agents' signatures and from the structs that the routes speak."""

from __future__ import annotations

from collections.abc import Sequence
from http import HTTPStatus
from typing import Any

import msgspec

from outlast.agent.app import App
from outlast.agent.control import RunView, SessionView
from outlast.server.agents import AgentPage, AgentView, ResumeBody, StopBody, describe
from outlast.server.follow import cursor_max
from outlast.server.health import Live, Ready
from outlast.server.limit import Limits, idempotency_key_pattern, name_pattern
from outlast.server.problem import Problem
from outlast.server.problem import media_type as problem_type
from outlast.server.root import Index
from outlast.server.runs import (
    Accepted,
    CancelBody,
    EventPage,
    EventsQuery,
    ListQuery,
    RedriveBody,
    ResolveBody,
    RunPage,
    ShowQuery,
    SignalBody,
    StartBody,
    Started,
)
from outlast.server.schema import Components, Schema, call_schema, fields_always_sent, resolved

_HEARD = (CancelBody, RedriveBody, ResolveBody, ResumeBody, SignalBody, StartBody, StopBody)
_SAID = (
    Accepted, AgentPage, AgentView, EventPage, Index, Live, Problem, Ready, RunPage, RunView, SessionView, Started,
)  # fmt: skip
_KEY: Schema = {
    "name": "Idempotency-Key",
    "in": "header",
    "description": "The same key is the same request, however often it is sent. Another body under it is a conflict.",
    "schema": {"type": "string", "pattern": idempotency_key_pattern},
}
_RUN_LINKS: Schema = {
    name: {"operationId": name, "parameters": {"run": "$response.body#/run"}}
    for name in ("show_run", "run_events", "signal_run", "cancel_run", "resolve_step", "redrive_run")
}
"""What can be asked about a run that an answer names."""
_WAIT: Schema = {
    "name": "Prefer",
    "in": "header",
    "example": "wait=10",
    "description": f"`wait=SECONDS` waits for the run's end, at most {Limits().wait_max_s:g} s (RFC 7240).",
    "schema": {"type": "string"},
}
_LAST_EVENT: Schema = {
    "name": "Last-Event-ID",
    "in": "header",
    "description": "The number of the last event that arrived; goes before `after`.",
    "schema": {"type": "integer", "minimum": 0, "maximum": cursor_max},
}
_EVENTS: Schema = {
    "text/event-stream": {
        "schema": {"type": "string", "description": "id: the event's number, event: its type, data: an EventView"}
    }
}


def make_document(app: App[Any], *, authenticated: bool) -> Schema:
    """The document of `app`'s API; `authenticated` if a bearer token is asked for."""
    return _Document(app, authenticated).make()


class _Document:
    def __init__(self, app: App[Any], authenticated: bool) -> None:
        self._app = app
        self._authenticated = authenticated
        self._components = Components()
        _, spoken = msgspec.json.schema_components([*_HEARD, *_SAID], ref_template="#/components/schemas/{name}")
        self._components.schemas.update(spoken)
        for name, fields in fields_always_sent(_SAID).items():
            self._components.schemas[name]["required"] = fields

    def make(self) -> Schema:
        paths = {**self._fixed(), **self._of_runs(), **self._of_agents()}
        components: Schema = {"schemas": self._components.schemas}
        document: Schema = {
            "openapi": "3.1.0",
            "jsonSchemaDialect": "https://json-schema.org/draft/2020-12/schema",
            "info": {"title": f"{self._app.name} on Outlast", "version": "1", "license": {"name": "Apache-2.0"}},
            "servers": [{"url": "/"}],
            "paths": paths,
            "components": components,
        }
        if self._authenticated:
            components["securitySchemes"] = {"bearer": {"type": "http", "scheme": "bearer"}}
            document["security"] = [{"bearer": []}]
        return document

    # -- paths --------------------------------------------------------------------------------------------------------

    def _fixed(self) -> Schema:
        live = self._operation("live", "Whether the process is alive", {200: self._json("Live")})
        live["security"] = []
        ready = {200: self._json("Ready"), 503: self._either("Ready", "Problem")}
        document = {200: {"application/json": {"schema": {"type": "object"}}}}
        session = self._operation("show_session", "One session", {200: self._json("SessionView")}, [404])
        return {
            "/": {"get": self._operation("index", "What is here", {200: self._json("Index")})},
            "/livez": {"get": live},
            "/readyz": {"get": self._operation("ready", "Whether the server can do its work now", ready)},
            "/openapi.json": {"get": self._operation("openapi", "This document", document)},
            "/v1/sessions/{session}": {"parameters": [_path("session")], "get": session},
        }

    def _of_runs(self) -> Schema:
        page = self._operation("list_runs", "Runs, newest first", {200: self._json("RunPage")}, [404])
        page["parameters"] = _query(ListQuery)
        show = self._operation("show_run", "One run with its steps", {200: self._json("RunView")}, [404, 422])
        show["parameters"] = _query(ShowQuery)
        events = self._operation(
            "run_events",
            "The events of a run: a page, or all as they happen",
            {200: {**self._json("EventPage"), **_EVENTS}},
            [404, 503],
        )
        events["responses"]["204"] = {"description": "Followed from its last event: there will be no other"}
        events["parameters"] = [_LAST_EVENT, *_query(EventsQuery)]
        run = [_path("run")]
        return {
            "/v1/runs": {"get": page},
            "/v1/runs/{run}": {"parameters": run, "get": show},
            "/v1/runs/{run}/events": {"parameters": run, "get": events},
            "/v1/runs/{run}/signals/{name}": {
                "parameters": [*run, _path("name")],
                "post": self._tell("signal_run", "Send a signal to a run", "SignalBody"),
            },
            "/v1/runs/{run}/cancel": {
                "parameters": run,
                "post": self._tell("cancel_run", "Cancel a run", "CancelBody"),
            },
            "/v1/runs/{run}/resolve": {
                "parameters": run,
                "post": self._tell("resolve_step", "Say what became of a step in doubt", "ResolveBody"),
            },
            "/v1/runs/{run}/redrive": {
                "parameters": run,
                "post": self._tell("redrive_run", "Send a held or quarantined run on its way again", "RedriveBody"),
            },
        }

    def _of_agents(self) -> Schema:
        agent = [_path("agent", sorted(self._app.agents))]
        page = self._operation("list_agents", "All agents", {200: self._json("AgentPage")})
        show = self._operation("show_agent", "One agent", {200: self._json("AgentView")}, [404])
        stop = self._switch("stop_agent", "Turn an agent's kill switch on", "StopBody")
        resume = self._switch("resume_agent", "Turn an agent's kill switch off", "ResumeBody")
        paths: Schema = {
            "/v1/agents": {"get": page},
            "/v1/agents/{agent}": {"parameters": agent, "get": show},
            "/v1/agents/{agent}/stop": {"parameters": agent, "post": stop},
            "/v1/agents/{agent}/resume": {"parameters": agent, "post": resume},
        }
        for name in sorted(self._app.agents):
            paths[f"/v1/agents/{name}/runs"] = {"post": self._start(name)}
        return paths

    def _start(self, name: str) -> Schema:
        spec = self._app.agents[name]
        given = self._components.add(f"{name}.input", call_schema(spec.input_schema(), spec.signature.names))
        result = self._components.add(f"{name}.output", spec.output_schema())
        body = dict(self._components.schemas["StartBody"])
        body["properties"] = {**body["properties"], "input": given}
        body["required"] = ["input"] if resolved(spec.input_schema()).get("required") else []
        self._components.schemas[f"{name}.start"] = body
        view = {"properties": {"result": {"anyOf": [result, {"type": "null"}]}}}
        started: Schema = {"allOf": [self._components.ref("Started"), {"properties": {"view": view}}]}
        answer: Schema = {"application/json": {"schema": started}, **_EVENTS}
        headers: Schema = {
            "Location": {"required": True, "schema": {"type": "string"}},
            "Outlast-Run": {"required": True, "schema": {"type": "string"}},
            "Outlast-Run-Created": {"required": True, "schema": {"enum": ["true", "false"]}},
        }
        operation = self._operation(
            f"start_{name}",
            describe(spec) or f"Start {name}",
            {200: answer, 201: answer},
            [404, 409, 413, 415, 422, 503],
        )
        operation["responses"]["200"]["description"] = "The run that this key started before"
        operation["responses"]["201"]["description"] = "A new run"
        for status in ("200", "201"):
            operation["responses"][status] |= {"headers": headers, "links": _RUN_LINKS}
        operation["parameters"] = [_KEY, _WAIT]
        operation["requestBody"] = self._body(f"{name}.start")
        return operation

    # -- their pieces -------------------------------------------------------------------------------------------------

    def _tell(self, name: str, summary: str, body: str) -> Schema:
        operation = self._operation(name, summary, {202: self._json("Accepted")}, [404, 409, 413, 415, 422, 503])
        operation["responses"]["202"]["links"] = _RUN_LINKS
        operation["parameters"] = [_KEY]
        operation["requestBody"] = self._body(body)
        return operation

    def _switch(self, name: str, summary: str, body: str) -> Schema:
        operation = self._operation(name, summary, {200: self._json("AgentView")}, [404, 413, 415, 422, 503])
        operation["requestBody"] = self._body(body)
        return operation

    def _operation(self, name: str, summary: str, answers: dict[int, Schema], refused: Sequence[int] = ()) -> Schema:
        responses: Schema = {
            str(status): {"description": HTTPStatus(status).phrase, "content": content}
            for status, content in answers.items()
        }
        for status in (400, *([401] if self._authenticated else []), *refused):
            responses.setdefault(str(status), {"description": HTTPStatus(status).phrase, "content": self._problem()})
        responses["default"] = {"description": "What went wrong", "content": self._problem()}
        return {"operationId": name, "summary": summary, "responses": responses}

    def _body(self, name: str) -> Schema:
        return {"required": True, "content": self._json(name)}

    def _json(self, name: str) -> Schema:
        return {"application/json": {"schema": self._components.ref(name)}}

    def _problem(self) -> Schema:
        return {problem_type: {"schema": self._components.ref("Problem")}}

    def _either(self, name: str, problem: str) -> Schema:
        return {**self._json(name), problem_type: {"schema": self._components.ref(problem)}}


def _path(name: str, values: Sequence[str] = ()) -> Schema:
    schema: Schema = {"type": "string", "enum": list(values)} if values else {"type": "string", "pattern": name_pattern}
    return {"name": name, "in": "path", "required": True, "schema": schema}


def _query(kind: type[msgspec.Struct]) -> list[Schema]:
    """The fields of a query struct as parameters; none of them is required."""
    _, components = msgspec.json.schema_components([kind])
    properties: dict[str, Schema] = components[kind.__name__]["properties"]
    return [{"name": name, "in": "query", "schema": schema} for name, schema in properties.items()]
