"""Sessions: conversations that successive runs share."""

from __future__ import annotations

from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route

from outlast.agent.control import Control
from outlast.kernel.identity import check_name
from outlast.server.payload import NoQuery, read_query
from outlast.server.reply import reply


class Sessions:
    """The routes under ``/v1/sessions``."""

    def __init__(self, control: Control) -> None:
        self._control = control

    def routes(self) -> list[Route]:
        return [Route("/v1/sessions/{session}", self.show, methods=["GET"])]

    async def show(self, request: Request) -> Response:
        """One session: its messages, its state, its turns."""
        read_query(request, NoQuery)
        return reply(await self._control.session(check_name("session", request.path_params["session"])))
