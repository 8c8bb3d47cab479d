"""What is here: the index at ``/`` and the OpenAPI document."""

from __future__ import annotations

from typing import Any

import msgspec
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route

from outlast.server.payload import NoQuery, read_query
from outlast.server.reply import reply


class Index(msgspec.Struct, frozen=True):
    """Where things are. `links` are paths of this server by what they show."""

    app: str
    agents: list[str]
    links: dict[str, str]


class Root:
    """The routes ``/`` and ``/openapi.json``."""

    def __init__(self, app: str, agents: list[str], document: dict[str, Any]) -> None:
        links = {
            "agents": "/v1/agents",
            "runs": "/v1/runs",
            "openapi": "/openapi.json",
            "live": "/livez",
            "ready": "/readyz",
        }
        self._index = Index(app, agents, links)
        self._document = msgspec.json.encode(document)

    def routes(self) -> list[Route]:
        return [Route("/", self.index, methods=["GET"]), Route("/openapi.json", self.openapi, methods=["GET"])]

    async def index(self, request: Request) -> Response:
        """What is here."""
        read_query(request, NoQuery)
        return reply(self._index)

    async def openapi(self, request: Request) -> Response:
        """The OpenAPI document."""
        read_query(request, NoQuery)
        return Response(self._document, media_type="application/json")
