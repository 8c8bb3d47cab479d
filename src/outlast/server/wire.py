"""One HTTP/1.1 connection: uvicorn's h11 protocol with the time-outs and bounds that it lacks.

Why h11 and not httptools: it is pure Python (nothing to compile, nothing in C that reads hostile bytes), strict about
framing (one Host, one length, no obsolete folding), and bounds a head that never ends. It costs some 0.2 ms a request
more; this API starts and watches runs, the hot path of an agent never comes through here.

Added here: the time a head may take (slowloris), the bound on connections, problem documents for what is not HTTP, and
an end for connections whose client does not read.
"""

from __future__ import annotations

import asyncio
import sys
from http import HTTPStatus
from typing import Any, ClassVar, cast

import h11
from starlette.types import Receive, Scope, Send
from uvicorn.protocols.http.h11_impl import H11Protocol, RequestResponseCycle

from outlast.kernel.error import OutlastError
from outlast.server.limit import Limits
from outlast.server.problem import problem_body, problem_headers, status_of
from outlast.server.refusal import BadHead, HeadersTooLarge, Overloaded, TooSlow


class Wire(H11Protocol):
    """A connection. Use `bounded(limits)` to get the class for uvicorn's ``http=``."""

    limits: ClassVar[Limits] = Limits()

    @classmethod
    def bounded(cls, limits: Limits) -> type[Wire]:
        """This protocol under other bounds."""
        return cast("type[Wire]", type(cls.__name__, (cls,), {"limits": limits}))

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self._inner = self.app
        self.app: Any = self._answer
        self._head_timer: asyncio.TimerHandle | None = None
        self._refused = False
        self._discarded = 0

    def connection_made(self, transport: asyncio.Transport) -> None:
        super().connection_made(transport)
        if len(self.connections) > self.limits.connections_max:
            most = self.limits.connections_max
            self._refuse(Overloaded(f"the server has {most} connections open, which is its bound: try again"))
        else:
            self._watch_head()

    def connection_lost(self, exc: Exception | None) -> None:
        self._stop_head_timer()
        super().connection_lost(exc)

    def data_received(self, data: bytes) -> None:
        if self._refused:
            self._discarded += len(data)
            if self._discarded > self.limits.discard_bytes_max:
                self.transport.abort()
            return
        super().data_received(data)
        self._watch_head()

    def shutdown(self) -> None:
        if self._refused:
            self.transport.abort()
        else:
            super().shutdown()

    def on_response_complete(self) -> None:
        super().on_response_complete()
        self._watch_head()

    def timeout_keep_alive_handler(self) -> None:
        super().timeout_keep_alive_handler()
        self._cut_soon()

    def send_400_response(self, msg: str) -> None:
        """Not HTTP, or HTTP over a bound of the parser: called by uvicorn while it handles the parser's error."""
        error = sys.exception()
        if getattr(error, "error_status_hint", 400) == HTTPStatus.REQUEST_HEADER_FIELDS_TOO_LARGE:
            self._refuse(
                HeadersTooLarge(f"the head is over {self.limits.header_bytes_max} bytes, the bound header_bytes_max")
            )
        else:
            why = str(error).partition(":")[0]  # what follows quotes the client
            self._refuse(BadHead(f"this is not a valid HTTP/1.1 request: {why}"))

    def hurry(self) -> None:
        """Let last words into the buffer of a client that does not read, and cut the connection soon after."""
        self.flow.resume_writing()
        self._cut_soon()

    async def _answer(self, scope: Scope, receive: Receive, send: Send) -> None:
        cycle = self.cycle  # of this request: the next one begins only after this one's response
        scope["extensions"] = {"outlast.hurry": self.hurry}
        try:
            await self._inner(scope, receive, send)
        finally:
            if self.transport.is_closing() or not cycle.response_complete:
                self._cut_soon()

    def _cut_soon(self) -> None:
        self.loop.call_later(self.limits.linger_s, self.transport.abort)

    def _watch_head(self) -> None:
        """A timer runs whenever a head has begun, or is awaited and uvicorn's keep-alive timer is not running."""
        idle = self.timeout_keep_alive_task is not None and not self.conn.trailing_data[0]
        if self.conn.their_state is not h11.IDLE or idle or self._refused or self.transport.is_closing():
            self._stop_head_timer()
        elif self._head_timer is None:
            self._head_timer = self.loop.call_later(self.limits.header_timeout_s, self._head_late)

    def _stop_head_timer(self) -> None:
        if self._head_timer is not None:
            self._head_timer.cancel()
            self._head_timer = None

    def _head_late(self) -> None:
        self._head_timer = None
        if self.conn.trailing_data[0]:
            self._refuse(TooSlow(f"the head did not arrive within {self.limits.header_timeout_s:g} s"))
        else:
            self.transport.close()

    def _refuse(self, error: OutlastError) -> None:
        """Answer without the application, past the parser (whose state forbids it by now), and end the connection.

        Our half is closed at once, the client's when it has read that or `linger_s` is over: a connection that is
        closed while its client sends is reset, and the reset may overtake the answer.
        """
        self._refused = True
        self._stop_head_timer()
        self._unset_keepalive_if_required()
        cycle = cast("RequestResponseCycle | None", self.cycle)  # None before the first request, whatever uvicorn says
        if cycle is not None and not cycle.response_complete:
            cycle.disconnected = True
            cycle.message_event.set()
            if cycle.response_started:
                self.transport.abort()
                return
        body = problem_body(error)
        status = HTTPStatus(status_of(error))
        headers = {**problem_headers(error), "content-length": str(len(body)), "connection": "close"}
        head = "".join(f"{name}: {value}\r\n" for name, value in headers.items())
        self.transport.write(f"HTTP/1.1 {status.value} {status.phrase}\r\n{head}\r\n".encode("latin-1") + body)
        self.transport.write_eof()
        self._cut_soon()
