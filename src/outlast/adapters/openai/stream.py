"""Server-sent events of chat completions as deltas. Pure: bytes in, deltas out.

Source: the event stream format of the HTML standard, section 9.2.6, as far as model servers use it (``data`` fields);
https://platform.openai.com/docs/api-reference/chat/streaming
"""

from __future__ import annotations

import re

import msgspec

from outlast.model.endpoint import EndpointUnavailable, Usage
from outlast.model.stream import Delta, ToolDelta

event_bytes_max = 1024 * 1024
"""Bound of one event: 1 MiB."""

_END = re.compile(rb"\r\n\r\n|\n\n|\r\r")
_LINE = re.compile(rb"\r\n|\n|\r")


class _Function(msgspec.Struct, frozen=True):
    name: str | None = None
    arguments: str | None = None


class _ToolCall(msgspec.Struct, frozen=True):
    index: int = 0
    id: str | None = None
    function: _Function | None = None


class _Part(msgspec.Struct, frozen=True):
    content: str | None = None
    tool_calls: list[_ToolCall] | None = None


class _Choice(msgspec.Struct, frozen=True):
    delta: _Part | None = None
    finish_reason: str | None = None


class _Used(msgspec.Struct, frozen=True):
    prompt_tokens: int | None = None
    completion_tokens: int | None = None


class _Event(msgspec.Struct, frozen=True):
    choices: list[_Choice] = []
    usage: _Used | None = None
    error: msgspec.Raw = msgspec.Raw()


_decoder = msgspec.json.Decoder(_Event)


class Events:
    """Takes a stream apart, however its bytes are cut. `ended`: the server has said that it is whole."""

    def __init__(self, where: str) -> None:
        self._where = where
        self._kept = bytearray()
        self.ended = False
        self.trouble: EndpointUnavailable | None = None
        """What came after the last delta: an error event, or what is no event. Nothing is read after it."""

    def feed(self, data: bytes) -> list[Delta]:
        """The deltas that are complete now; then see `ended` and `trouble`."""
        deltas: list[Delta] = []
        looked = max(len(self._kept) - 3, 0)
        self._kept += data
        try:
            while not self.ended and self.trouble is None and (end := _END.search(self._kept, looked)):
                event = bytes(self._kept[: end.start()])
                del self._kept[: end.end()]
                looked = 0
                delta = self._delta(event)
                if delta is not None:
                    deltas.append(delta)
            if len(self._kept) > event_bytes_max:
                bound = f"event_bytes_max, {event_bytes_max} bytes"
                raise EndpointUnavailable(f"{self._where} sent an event above {bound}")
        except EndpointUnavailable as error:
            self.trouble = error
        return deltas

    def _delta(self, event: bytes) -> Delta | None:
        lines = [line[5:].removeprefix(b" ") for line in _LINE.split(event) if line.startswith(b"data:")]
        if not lines:
            return None  # a comment that keeps the connection alive
        data = b"\n".join(lines)
        if data.strip() == b"[DONE]":
            self.ended = True
            return None
        try:
            found = _decoder.decode(data)
        except (msgspec.MsgspecError, UnicodeDecodeError, RecursionError) as error:
            raise EndpointUnavailable(f"{self._where} sent an event that is no chat completion: {error}") from None
        raw = bytes(found.error)
        if raw and raw != b"null":
            raise EndpointUnavailable(f"{self._where} sent an error in its stream: {_said(raw)}")
        used = found.usage
        usage = used and Usage(max(used.prompt_tokens or 0, 0), max(used.completion_tokens or 0, 0))
        choice = found.choices[0] if found.choices else _Choice()
        part = choice.delta or _Part()
        tools = tuple(_tool(call) for call in part.tool_calls or ())
        delta = Delta(part.content or "", tools, choice.finish_reason or "", usage)
        return delta if delta != Delta() else None


def _tool(call: _ToolCall) -> ToolDelta:
    function = call.function or _Function()
    return ToolDelta(call.index, call.id or "", function.name or "", function.arguments or "")


def _said(raw: bytes) -> str:
    text = raw[:1200].decode("utf-8", "replace")
    return " ".join("".join(char if char.isprintable() else " " for char in text).split())[:300]
