"""Agents: what there is to run, and the kill switch of each."""

from __future__ import annotations

import inspect
from collections.abc import Sequence
from typing import Annotated, Any

import msgspec
from msgspec import Meta
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route

from outlast.agent.app import Agent, App
from outlast.agent.control import Control
from outlast.kernel.error import NotFound
from outlast.kernel.identity import check_name
from outlast.server.limit import Limits
from outlast.server.payload import NoQuery, read_body, read_query
from outlast.server.reply import reply


class AgentView(msgspec.Struct, frozen=True):
    """One agent. `stopped` says why its kill switch is on, null while it is off; the schemas are JSON Schema."""

    agent: str
    description: str
    pool: str
    stopped: str | None
    input_schema: dict[str, Any]
    output_schema: dict[str, Any]


class AgentPage(msgspec.Struct, frozen=True):
    """All agents of the app, by name."""

    app: str
    agents: Sequence[AgentView]


class StopBody(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """Why an agent is stopped, for people."""

    reason: Annotated[str, Meta(max_length=1000)] = ""


class ResumeBody(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """Nothing is asked of who lets an agent go on."""


def describe(agent: Agent[..., Any]) -> str:
    """What an agent is for: its docstring."""
    return inspect.cleandoc(agent.__doc__ or "")


class Agents:
    """The routes under ``/v1/agents``."""

    def __init__(self, control: Control, app: App[Any], limits: Limits) -> None:
        self._control = control
        self._app = app
        self._limits = limits

    def routes(self) -> list[Route]:
        return [
            Route("/v1/agents", self.list, methods=["GET"]),
            Route("/v1/agents/{agent}", self.show, methods=["GET"]),
            Route("/v1/agents/{agent}/stop", self.stop, methods=["POST"]),
            Route("/v1/agents/{agent}/resume", self.resume, methods=["POST"]),
        ]

    async def list(self, request: Request) -> Response:
        """All agents."""
        read_query(request, NoQuery)
        return reply(AgentPage(self._app.name, [await self._view(name) for name in sorted(self._app.agents)]))

    async def show(self, request: Request) -> Response:
        """One agent."""
        read_query(request, NoQuery)
        return reply(await self._view(self._name(request)))

    async def stop(self, request: Request) -> Response:
        """Turn its kill switch on: nothing of it is started, what runs is held before its next step."""
        read_query(request, NoQuery)
        name = self._name(request)
        body = await read_body(request, StopBody, self._limits)
        await self._control.stop_agent(name, body.reason or "stopped by request")
        return reply(await self._view(name))

    async def resume(self, request: Request) -> Response:
        """Turn its kill switch off."""
        read_query(request, NoQuery)
        name = self._name(request)
        await read_body(request, ResumeBody, self._limits)
        await self._control.resume_agent(name)
        return reply(await self._view(name))

    def _name(self, request: Request) -> str:
        name = check_name("agent", request.path_params["agent"])
        if name not in self._app.agents:
            raise NotFound(f"agent {name!r} is not known: the app has {', '.join(sorted(self._app.agents)) or 'none'}")
        return name

    async def _view(self, name: str) -> AgentView:
        spec = self._app.agents[name]
        stopped = await self._control.agent_stopped(name)
        return AgentView(name, describe(spec), spec.pool, stopped, spec.input_schema(), spec.output_schema())
