"""One client connection: HTTP/1.1 in with httptools, answers out, time and size bounded on both sides.

No framework: a request costs one parse, one task and one write. Requests that a client sends ahead wait in order.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from email.utils import formatdate
from http import HTTPStatus
from typing import Literal, Protocol, cast

import httptools

from outlast.kernel.clock import Clock
from outlast.server.gateway.limit import GatewayLimits
from outlast.server.gateway.refusal import Refusal, Shape
from outlast.server.gateway.request import Request, body_too_large, head_too_large, late, size_of

_REASONS = {status.value: status.phrase.encode() for status in HTTPStatus}
_HEAD = b"HTTP/1.1 %d %b\r\n%bContent-Type: %b\r\nContent-Length: %d\r\n%b\r\n"
_JSON = b"application/json"
_MALFORMED = "the request is no HTTP/1.1 that can be read"


class Service(Protocol):
    """What answers requests."""

    def admit(self, request: Request) -> None:
        """Called when the headers are here, before the body is read. Raises Refusal."""
        ...

    def shape(self, request: Request) -> Shape:
        """Whose error objects its sender reads."""
        ...

    async def answer(self, request: Request, client: Client) -> None:
        """Answer it. Raises Refusal before the answer has begun."""
        ...


class House:
    """What all connections of one listener share: bounds, what is open, and how full it is."""

    def __init__(self, service: Service, limits: GatewayLimits, clock: Clock) -> None:
        self.service = service
        self.limits = limits
        self.monotonic = clock.monotonic
        self._now = clock.now
        self.date = self._date()
        """The Date header, a whole line; written anew by `sweep`."""
        self.connections: set[Client] = set()
        self.bodies_bytes = 0
        self.busy = 0
        """Requests being answered."""
        self.draining = False
        self.broken: Callable[[Exception], None] = lambda error: None
        """Told of an exception that is nobody's fault but ours."""

    def sweep(self) -> None:
        """Ends what took too long; called every `sweep_s`."""
        now = self.monotonic()
        self.date = self._date()
        for client in list(self.connections):
            client.look(now)

    def _date(self) -> bytes:
        return b"Date: %b\r\n" % formatdate(self._now(), usegmt=True).encode()

    def drain(self) -> None:
        """Every connection ends with the answer that is under way, idle ones at once."""
        self.draining = True
        for client in list(self.connections):
            client.leave()

    def close(self) -> None:
        """End everything now."""
        for client in list(self.connections):
            client.abort()


class Client(asyncio.Protocol):
    """A connection and the answer that is being given on it."""

    __slots__ = (
        "_body_bytes", "_chunked", "_chunks", "_head_bytes", "_house", "_lingers", "_parser", "_pending", "_reading",
        "_request", "_resumed", "_since", "_started", "_stopped", "_target", "_task", "_transport", "answering",
        "status",
    )  # fmt: skip

    def __init__(self, house: House) -> None:
        self._house = house
        self._transport = cast(asyncio.Transport, None)
        self._parser: httptools.HttpRequestParser | None = httptools.HttpRequestParser(self)
        self._reading: Literal["nothing", "head", "body"] = "nothing"
        self._lingers = False
        self._since = house.monotonic()
        self._pending: list[Request] = []
        self._task: asyncio.Task[None] | None = None
        self._resumed: asyncio.Future[None] | None = None
        self._stopped = 0.0
        self._request = Request()
        self._target = b""
        self._chunks: list[bytes] = []
        self._head_bytes = self._body_bytes = 0
        self._started = self._chunked = False
        self.answering = self._request
        self.status = 0
        """Of the answer that has begun, 0 before."""

    # asyncio

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport = cast(asyncio.Transport, transport)
        house = self._house
        self._transport.set_write_buffer_limits(high=house.limits.write_buffer_bytes_max)
        house.connections.add(self)
        bound = house.limits.connections_max
        if len(house.connections) > bound:
            self._refuse(Refusal(503, "connections", f"connections_max, {bound}, are open: try later"))

    def connection_lost(self, exc: Exception | None) -> None:
        house = self._house
        house.connections.discard(self)
        self._parser = None
        self._forget_body()
        for request in self._pending:
            house.bodies_bytes -= len(request.body)
        self._pending.clear()
        self.resume_writing()
        if self._task is not None:
            self._task.cancel()

    def data_received(self, data: bytes) -> None:
        parser = self._parser
        if parser is None:  # refused: what still comes is thrown away until the connection is closed
            return
        if self._reading == "nothing":
            self._reading = "head"
            self._since = self._house.monotonic()
        self._head_bytes += len(data)
        try:
            parser.feed_data(data)
        except httptools.HttpParserUpgrade:  # it asks for another protocol, and may be answered in this one
            self._parser = None
            return
        except httptools.HttpParserCallbackError as error:
            self._callback_failed(error)
            return
        except httptools.HttpParserError:
            self._refuse(Refusal(400, "malformed", _MALFORMED))
            return
        if self._reading == "head" and self._head_bytes > self._house.limits.head_bytes_max:
            self._refuse(head_too_large(self._house.limits))

    def pause_writing(self) -> None:
        self._resumed = asyncio.get_running_loop().create_future()
        self._stopped = self._house.monotonic()

    def resume_writing(self) -> None:
        resumed, self._resumed = self._resumed, None
        if resumed is not None and not resumed.done():
            resumed.set_result(None)

    # httptools

    def on_message_begin(self) -> None:
        """A request begins."""
        self._reading = "head"
        self._request = Request()
        self._target = b""
        self._chunks = []
        self._body_bytes = 0

    def on_url(self, url: bytes) -> None:
        """A piece of the request target."""
        self._target += url

    def on_header(self, name: bytes, value: bytes) -> None:
        """One header line."""
        self._request.headers[name.lower()] = value

    def on_headers_complete(self) -> None:
        """The head is here. Raises Refusal."""
        request, parser, limits = self._request, self._parser, self._house.limits
        assert parser is not None
        request.method = parser.get_method()
        request.path = self._target.partition(b"?")[0]
        request.minor = 0 if parser.get_http_version() == "1.0" else 1
        request.close = not parser.should_keep_alive()
        headers = request.headers
        if self._head_bytes > limits.head_bytes_max and len(self._target) + size_of(headers) > limits.head_bytes_max:
            raise head_too_large(limits)
        if request.minor and b"host" not in headers:
            raise Refusal(400, "host", "the request has no Host header: HTTP/1.1 asks for one")
        length = headers.get(b"content-length", b"")
        if len(length) > 18 or int(length or b"0") > limits.body_bytes_max:
            raise body_too_large(limits)
        self._house.service.admit(request)
        self._reading = "body"
        if headers.get(b"expect", b"").lower() == b"100-continue" and self._task is None:
            self._transport.write(b"HTTP/1.1 100 Continue\r\n\r\n")

    def on_body(self, body: bytes) -> None:
        """A piece of the body. Raises Refusal."""
        house = self._house
        self._body_bytes += len(body)
        house.bodies_bytes += len(body)
        self._chunks.append(body)
        if self._body_bytes > house.limits.body_bytes_max:
            raise body_too_large(house.limits)
        if house.bodies_bytes > house.limits.bodies_bytes_max:
            raise Refusal(503, "bodies", "bodies_bytes_max is reached: come back later", retry_after_s=1.0)

    def on_message_complete(self) -> None:
        """The whole request is here."""
        request, chunks = self._request, self._chunks
        request.body = chunks[0] if len(chunks) == 1 else b"".join(chunks)
        self._chunks = []
        self._head_bytes = self._body_bytes = 0
        self._reading = "nothing"
        if self._task is None:
            self._begin(request)
        elif len(self._pending) < self._house.limits.pipelined_max:
            self._pending.append(request)
        else:
            self._house.bodies_bytes -= len(request.body)
            self._pending[-1].close = True  # that one is answered, and no more
            self._parser = None
            raise _Enough

    # The answer

    def reply(self, status: int, body: bytes, headers: bytes = b"", content_type: bytes = _JSON) -> None:
        """The whole answer at once; `headers` are whole lines, each with its line break."""
        request = self.answering
        self.status = status
        self._started = True
        if request.minor == 0 or request.close:
            headers += b"Connection: close\r\n"
            request.close = True
        head = (status, _REASONS.get(status, b"Unknown"), self._house.date, content_type, len(body), headers)
        self._transport.write(_HEAD % head + (b"" if request.method == b"HEAD" else body))

    def begin(self, headers: bytes, content_type: bytes) -> None:
        """The head of an answer that comes in pieces."""
        request = self.answering
        self.status = 200
        self._started = True
        self._chunked = request.minor == 1
        if not self._chunked:
            request.close = True
        framing = b"Transfer-Encoding: chunked\r\n" if self._chunked else b"Connection: close\r\n"
        if self._chunked and request.close:
            framing += b"Connection: close\r\n"
        self._transport.write(
            b"HTTP/1.1 200 OK\r\n%bContent-Type: %b\r\nCache-Control: no-cache\r\n%b%b\r\n"
            % (self._house.date, content_type, framing, headers)
        )

    def write(self, data: bytes) -> None:
        """A piece of the answer, not empty."""
        self._transport.write(b"%x\r\n%b\r\n" % (len(data), data) if self._chunked else data)

    async def drained(self, within_s: float) -> None:
        """Until the client has taken enough of what was written, at most `within_s`."""
        if self._resumed is not None:
            await asyncio.wait((self._resumed,), timeout=within_s)

    @property
    def full(self) -> bool:
        """Whether `drained` would wait."""
        return self._resumed is not None

    def end(self) -> None:
        """The end of an answer that came in pieces."""
        if self._chunked:
            self._transport.write(b"0\r\n\r\n")

    # Its life

    def look(self, now: float) -> None:
        """End what took too long."""
        limits, spent = self._house.limits, now - self._since
        if self._resumed is not None and now - self._stopped > limits.stall_s:
            self._transport.abort()
        elif self._lingers:
            if spent > limits.linger_s:
                self._transport.abort()
        elif self._reading == "nothing":
            if self._task is None and spent > limits.keep_alive_s:
                self._transport.close()
        elif spent > limits.head_timeout_s and self._reading == "head":
            self._refuse(late("head_timeout", "headers", limits.head_timeout_s))
        elif spent > limits.head_timeout_s + limits.body_timeout_s:
            self._refuse(late("body_timeout", "body", limits.body_timeout_s))

    def leave(self) -> None:
        """The gateway stops: end with the answer under way, at once if there is none."""
        if self._task is None and self._reading == "nothing":
            self._transport.close()
        else:
            self.answering.close = True

    @property
    def peer(self) -> str:
        """The address of the client; empty if it has gone."""
        return str((self._transport.get_extra_info("peername") or ("",))[0])

    def abort(self) -> None:
        """End now."""
        self._transport.abort()

    def _begin(self, request: Request) -> None:
        self.answering = request
        self.status = 0
        self._started = self._chunked = False
        if self._house.draining:
            request.close = True
        self._task = asyncio.get_running_loop().create_task(self._answer(request))

    async def _answer(self, request: Request) -> None:
        house = self._house
        house.busy += 1
        try:
            await house.service.answer(request, self)
        except Refusal as refusal:
            if self._started:  # half an answer cannot be taken back: the client must see that it is not whole
                self._transport.abort()
            else:
                self.reply(refusal.status, refusal.body(house.service.shape(request)), refusal.headers())
        except asyncio.CancelledError:
            self._transport.abort()
            raise
        except Exception as error:  # noqa: BLE001 (outermost: one request must not take the others with it)
            house.broken(error)
            if self._started:
                self._transport.abort()
            else:
                fault = Refusal(500, "fault", "this is a fault in the gateway itself: see its log, and report it")
                self.reply(500, fault.body(house.service.shape(request)))
        finally:
            house.busy -= 1
            house.bodies_bytes -= len(request.body)
            self._task = None
        self._next()

    def _next(self) -> None:
        request = self.answering
        if request.close or self._house.draining:
            self._linger()
        elif self._pending:
            self._begin(self._pending.pop(0))
        elif self._parser is None:
            self._linger()
        else:
            self._since = self._house.monotonic()

    def _refuse(self, refusal: Refusal) -> None:
        """Say why and close. What is being answered already comes first, and the refusal is not said any more."""
        self._parser = None
        self._forget_body()
        if self._task is not None:
            (self._pending[-1] if self._pending else self.answering).close = True
            return
        self._request.close = True
        self.answering = self._request
        self.reply(refusal.status, refusal.body(self._house.service.shape(self._request)), refusal.headers())
        self._linger()

    def _callback_failed(self, error: BaseException) -> None:
        cause = error.__context__ or error.__cause__
        if isinstance(cause, _Enough):
            return
        if isinstance(cause, Refusal):
            self._refuse(cause)
            return
        if isinstance(cause, Exception):
            self._house.broken(cause)
        self._refuse(Refusal(400, "malformed", _MALFORMED))

    def _forget_body(self) -> None:
        self._house.bodies_bytes -= sum(map(len, self._chunks))
        self._chunks = []

    def _linger(self) -> None:
        """Close so that the client gets to read what it was sent, though it may still be sending."""
        self._parser = None
        self._lingers = True
        self._since = self._house.monotonic()
        if self._transport.can_write_eof():
            self._transport.write_eof()
        else:
            self._transport.close()


class _Enough(Exception):
    """Ends the parsing of a client's bytes."""
