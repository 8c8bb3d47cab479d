"""Sends one request to one member and gives its answer on: the sender that a pool's attempts call.

A JSON answer is read whole, looked at, committed and returned. Of a stream the frames before the first content are held
back: until then another member may be asked and the client never notices. From then on bytes go to the client as they
came, frame by frame, and what breaks off is said in a typed event (`Dialect.interrupted`).
"""

from __future__ import annotations

import re
from collections.abc import Callable
from typing import Any, Protocol

import msgspec

from outlast.adapters.openai.connection import Answer
from outlast.adapters.openai.failure import status_error
from outlast.model.attempt import Attempt
from outlast.model.endpoint import EndpointError, EndpointRefused, EndpointUnavailable
from outlast.model.member import Member
from outlast.model.report import Told
from outlast.server.gateway.dialect import Dialect
from outlast.server.gateway.limit import GatewayLimits
from outlast.server.gateway.line import Exchange, Line
from outlast.server.gateway.stream import StreamReader

bytes_per_token = 4
"""A prompt's bytes for each of its tokens, where nobody says better."""
look_s = 1.0
"""How often an attempt says that it waits for a slow client, and not for its endpoint."""
error_bytes_max = 64 * 1024
"""How much of an endpoint's refusal is read and passed on."""
told_every_s = 1.0
"""What a server calls itself is looked for in one answer a second."""
told_bytes_max = 64 * 1024
"""How far it is looked for: 64 KiB."""
_VALUE = re.compile(rb'\s*:\s*"([^"\\\x00-\x1f]{1,128})"')
_CALLERS_FAULT = frozenset({400, 405, 406, 410, 411, 412, 413, 414, 415, 416, 422, 431, 451})

_event_stream = b"text/event-stream; charset=utf-8"
_fields_decoder = msgspec.json.Decoder(dict[str, msgspec.Raw])
_encoder = msgspec.json.Encoder()


class Body:
    """A request's JSON object, parsed once into its fields; each value stays the bytes that it was.

    Raises msgspec.MsgspecError if `raw` is no JSON object.
    """

    __slots__ = ("_named", "fields", "raw")

    def __init__(self, raw: bytes) -> None:
        self.raw = raw
        self.fields = _fields_decoder.decode(raw)
        self._named: dict[str, bytes] = {}

    def value(self, name: str) -> Any:
        """One field, decoded; None if it is not there."""
        found = self.fields.get(name)
        return None if found is None else msgspec.json.decode(found)

    def named(self, model: str) -> bytes:
        """The body that asks for `model`: the bytes that came, if they do."""
        if not model:
            return self.raw
        found = self._named.get(model)
        if found is None:
            name = _encoder.encode(model)
            if self.fields.get("model") == name:
                found = self.raw
            else:
                found = _encoder.encode({**self.fields, "model": msgspec.Raw(name)})
            self._named[model] = found
        return found


class Passed(EndpointRefused):
    """The endpoint refused the request for a fault of the caller's: its own words go to the client."""

    def __init__(self, message: str, status: int, body: bytes, content_type: bytes) -> None:
        super().__init__(message)
        self.status = status
        self.body = body
        self.content_type = content_type


class Sink(Protocol):
    """Where a stream goes."""

    def begin(self, headers: bytes, content_type: bytes) -> None: ...

    def write(self, data: bytes) -> None: ...

    @property
    def full(self) -> bool: ...

    async def drained(self, within_s: float) -> None: ...


class Relay:
    """One request on its way. `first` is when its first content came, in monotonic seconds, 0 before."""

    __slots__ = (
        "_body", "_dialect", "_headers", "_limits", "_line", "_monotonic", "_sink", "_tags", "first", "frames",
        "input_tokens", "output_tokens",
    )  # fmt: skip

    def __init__(
        self,
        dialect: Dialect,
        body: Body,
        headers: bytes,
        line: Callable[[Member], Line | None],
        limits: GatewayLimits,
        monotonic: Callable[[], float],
        sink: Sink | None,
        tags: Callable[[Attempt], bytes],
    ) -> None:
        """`headers` are the lines that go to the endpoint too; `tags` the lines that say who answered.

        `sink` is where a stream goes; None for a JSON answer, which is returned.
        """
        self._dialect = dialect
        self._body = body
        self._headers = headers
        self._line = line
        self._limits = limits
        self._monotonic = monotonic
        self._sink = sink
        self._tags = tags
        self.first = 0.0
        self.frames = 0
        """Frames with content."""
        self.input_tokens = 0
        self.output_tokens = 0

    @property
    def tokens(self) -> int:
        """What was used, as far as the endpoint told; else an estimate, nothing if no model was reached."""
        told = self.input_tokens + self.output_tokens
        return told if told or not self.first else len(self._body.raw) // bytes_per_token + self.frames

    async def send(self, attempt: Attempt) -> bytes:
        """Ask the attempt's member. The JSON answer, or nothing after a stream. Raises EndpointError, AttemptLost."""
        line = self._line(attempt.member)
        if line is None or not line.speaks(self._dialect):
            problem = f"endpoint {attempt.member.name!r} does not speak {self._dialect.name}"
            raise EndpointRefused(problem, elsewhere=True)
        exchange = line.upstream.begin()
        attempt.on_abort(exchange.abort)
        try:
            body = self._body.named(attempt.member.model)
            head = b"%b%d\r\n%b\r\n" % (line.head(self._dialect), len(body), self._headers)
            answer = await exchange.ask(head, body)
            if answer.status != 200:
                raise await self._refusal(answer, line)
            if self._sink is None:
                return await self._whole(attempt, exchange, answer, line)
            await self._stream(attempt, exchange, answer, line, self._sink)
            return b""
        except BaseException:
            exchange.abort()
            raise

    async def _whole(self, attempt: Attempt, exchange: Exchange, answer: Answer, line: Line) -> bytes:
        raw = await answer.whole(self._limits.response_bytes_max)
        exchange.done()
        self._expect(answer, b"application/json", line)
        try:
            said = self._dialect.whole(raw)
        except (msgspec.MsgspecError, UnicodeDecodeError, RecursionError):
            raise EndpointUnavailable(f"{line.upstream.where} answered with JSON that is no such answer") from None
        if said.meaning == "error":
            raise EndpointUnavailable(f"{line.upstream.where} answered 200 with an error: {_clean(said.text, line)}")
        attempt.commit()
        self.first = self._monotonic()
        self._told(attempt.member, raw)
        self._count(attempt, said.input_tokens, said.output_tokens)
        return raw

    async def _stream(self, attempt: Attempt, exchange: Exchange, answer: Answer, line: Line, sink: Sink) -> None:
        self._expect(answer, b"text/event-stream", line)
        reader = StreamReader(self._dialect, self._limits.frame_bytes_max)
        while True:
            piece = await answer.chunk()
            if not piece:
                raise EndpointUnavailable(f"the stream of {line.upstream.where} broke off before its end")
            part = reader.read(piece)
            if part.input_tokens or part.output_tokens:
                self._count(attempt, part.input_tokens, part.output_tokens)
            if part.data:
                if not self.first:
                    attempt.commit()
                    self.first = self._monotonic()
                    self._told(attempt.member, part.data)
                    sink.begin(self._tags(attempt), _event_stream)
                elif part.content:
                    attempt.token(self._monotonic())
                else:
                    attempt.last_token = self._monotonic()  # a ping: alive, though it says nothing
                self.frames += part.content
                sink.write(part.data)
            if part.trouble:
                raise EndpointUnavailable(f"{line.upstream.where} {_clean(part.trouble, line)}")
            if part.ended:
                exchange.done()
                return
            while sink.full:
                await sink.drained(look_s)
                attempt.last_token = self._monotonic()  # it is the client that is slow

    def _told(self, member: Member, data: bytes) -> None:
        """Notes what the server calls itself, now and then: a name in JSON stands in quotes that no text can hold."""
        if self.first < member.told_until:
            return
        member.told_until = self.first + told_every_s
        member.told = Told(*(_named(data, name) for name in (b'"model"', b'"system_fingerprint"')))

    def _count(self, attempt: Attempt, input_tokens: int, output_tokens: int) -> None:
        """The last word counts, field by field: streams tell the prompt's first and the answer's at the end."""
        self.input_tokens = input_tokens or self.input_tokens
        self.output_tokens = output_tokens or self.output_tokens
        attempt.usage(self.input_tokens, self.output_tokens)

    def _expect(self, answer: Answer, kind: bytes, line: Line) -> None:
        found = answer.headers.get(b"content-type", b"").partition(b";")[0].strip().lower()
        if found != kind:
            raise EndpointUnavailable(
                f"{line.upstream.where} answered with content type {found.decode('latin-1')[:64]!r}, "
                f"expected {kind.decode()}: is it a model server?"
            )
        if answer.headers.get(b"content-encoding", b"identity").lower() != b"identity":
            raise EndpointUnavailable(f"{line.upstream.where} answered compressed, though it was not asked to")

    async def _refusal(self, answer: Answer, line: Line) -> EndpointError:
        """Whose fault a status is: the caller's is passed on as it stands, all else is the endpoint's."""
        try:
            raw = await answer.whole(error_bytes_max)
        except EndpointError:
            raw = b""
        status, key = answer.status, line.key
        if status == 401:
            line.forget()
        headers = {name.decode("latin-1"): value.decode("latin-1") for name, value in answer.headers.items()}
        if b"retry-after" in answer.headers:
            headers["Retry-After"] = headers["retry-after"]
        if b"date" in answer.headers:
            headers["Date"] = headers["date"]
        error = status_error(status, headers, raw, line.upstream.where, key)
        if status in _CALLERS_FAULT:
            kind = answer.headers.get(b"content-type", b"application/json")
            return Passed(str(error), status, _without(raw, key), kind)
        if isinstance(error, EndpointRefused) and not error.elsewhere:
            return EndpointRefused(str(error), error.retry_after_s, elsewhere=True)
        return error


def _named(data: bytes, name: bytes) -> str:
    """The first string of this name in the beginning of an answer; empty: there is none."""
    at = data.find(name, 0, told_bytes_max)
    found = _VALUE.match(data, at + len(name)) if at >= 0 else None
    return found[1].decode("utf-8", "replace") if found else ""


def _clean(text: str, line: Line) -> str:
    if line.key:
        text = text.replace(line.key, "[secret]")
    return " ".join(text.split())[:300]


def _without(raw: bytes, secret: str) -> bytes:
    return raw.replace(secret.encode(), b"[secret]") if secret else raw
