"""An answer piece by piece."""

from __future__ import annotations

from collections.abc import AsyncIterator
from typing import Protocol

import msgspec

from outlast.model.endpoint import Endpoint, ModelRequest, Usage


class ToolDelta(msgspec.Struct, frozen=True):
    """A fragment of a call of a tool: call number `index`; `id` and `name` come once, `arguments` in pieces of JSON."""

    index: int
    id: str = ""
    name: str = ""
    arguments: str = ""


class Delta(msgspec.Struct, frozen=True):
    """What one event of a stream adds. Roles and pings are no deltas: the first one is the first content."""

    text: str = ""
    tools: tuple[ToolDelta, ...] = ()
    finish: str = ""
    """Why the answer ended: ``stop``, ``length``, ``tool_calls`` or another; empty: it goes on."""
    usage: Usage | None = None

    @property
    def content(self) -> bool:
        """Whether it holds some of the answer itself: from then on nobody may silently begin the answer again."""
        return bool(self.text or self.tools)


class StreamingEndpoint(Endpoint, Protocol):
    """An endpoint that also answers piece by piece."""

    def stream(self, request: ModelRequest) -> AsyncIterator[Delta]:
        """The deltas of one answer within ``request.timeout_s``. Raises EndpointError, in the middle too; a stream that
        ends without raising is whole.
        """
        ...
