"""The protocols that the gateway speaks: what of an answer is content, what is its end, what is an error.

Sources: OpenAI's API reference (chat completions, embeddings, responses) and Anthropic's (messages), as of 2026.
A stream is read by frames; only what decides is looked at, and nothing is changed.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, Literal, cast

import msgspec

from outlast.server.gateway.refusal import Refusal, Shape

Meaning = Literal["none", "content", "end", "error"]
"""What a frame says: nothing that commits anybody, a piece of the answer, its end, that it failed."""


class Said(msgspec.Struct, frozen=True):
    """What one frame, or a whole JSON answer, means; tokens where it tells them, else 0."""

    meaning: Meaning
    text: str = ""
    """Of an error: its words."""
    input_tokens: int = 0
    output_tokens: int = 0


_NOTHING, _CONTENT, _END = Said("none"), Said("content"), Said("end")


class Dialect(msgspec.Struct, frozen=True):
    """One endpoint of one protocol."""

    name: str
    """The operation's name in the GenAI conventions of OpenTelemetry."""
    path: bytes
    """As clients ask."""
    upstream: bytes
    """Below the base URL."""
    shape: Shape
    streams: bool
    whole: Callable[[bytes], Said]
    """What a JSON answer means. Raises msgspec.MsgspecError if it is no JSON object of the kind."""
    frame: Callable[[bytes], Said]
    """What the data of one frame means."""
    limits: tuple[str, ...] = ()
    """Fields of the request that bound the tokens of the answer."""
    ends_whole: bool = False
    """Whether the last frame of a stream holds the whole answer: an end without content before it is an answer too."""

    def interrupted(self, message: str) -> bytes:
        """The typed event that ends a stream which broke off after its first content."""
        refusal = Refusal(502, "interrupted", message)
        if self.name == "responses":
            event = {"type": "error", "code": "interrupted", "message": message, "param": None, "sequence_number": -1}
            return b"event: error\ndata: " + msgspec.json.encode(event) + b"\n\n"
        if self.shape == "anthropic":
            return b"event: error\ndata: " + refusal.body("anthropic") + b"\n\n"
        return b"data: " + refusal.body("openai") + b"\n\n"


class _Answer(msgspec.Struct):
    """What decides of a JSON answer; its items are not looked into, and cost nothing."""

    error: Any = None
    usage: Any = None
    choices: list[msgspec.Raw] | None = None
    data: list[msgspec.Raw] | None = None
    output: list[msgspec.Raw] | None = None
    content: list[msgspec.Raw] | None = None


_answer = msgspec.json.Decoder(_Answer)


def _error(error: Any) -> Said | None:
    if not error:
        return None
    if isinstance(error, dict):
        inner = cast("dict[str, Any]", error)
        return Said("error", str(inner.get("message") or inner.get("type") or inner.get("code") or "no words"))
    return Said("error", str(error))


def _usage(usage: Any, input: str, output: str) -> tuple[int, int]:
    if not isinstance(usage, dict):
        return 0, 0
    fields = cast("dict[str, Any]", usage)
    found = fields.get(input), fields.get(output)
    return tuple(value if isinstance(value, int) and value > 0 else 0 for value in found)  # type: ignore[return-value]


def _object(data: bytes) -> dict[str, Any] | None:
    try:
        found = msgspec.json.decode(data)
    except (msgspec.MsgspecError, UnicodeDecodeError, RecursionError):
        return None
    return cast("dict[str, Any]", found) if isinstance(found, dict) else None


_UNREADABLE = Said("error", "a frame that is no JSON object")


def _chat_whole(raw: bytes) -> Said:
    answer = _answer.decode(raw)
    if failed := _error(answer.error):
        return failed
    if not answer.choices:
        return Said("error", "an answer without choices")
    return Said("content", "", *_usage(answer.usage, "prompt_tokens", "completion_tokens"))


class _ChatChoice(msgspec.Struct):
    delta: dict[str, Any] | None = None
    finish_reason: str | None = None


class _ChatChunk(msgspec.Struct):
    """What decides of a chunk, as it usually is; one that is otherwise is looked at as a plain object."""

    choices: list[_ChatChoice]
    error: Any = None
    usage: Any = None


_chat_chunk = msgspec.json.Decoder(_ChatChunk)


def _chat_frame(data: bytes) -> Said:
    if data == b"[DONE]":
        return _END
    try:
        chunk = _chat_chunk.decode(data)
    except (msgspec.MsgspecError, UnicodeDecodeError, RecursionError):
        return _odd_chat_frame(data)
    if chunk.error or chunk.usage is not None:
        return _odd_chat_frame(data)
    for choice in chunk.choices:
        if choice.finish_reason or (choice.delta and _says(choice.delta)):
            return _CONTENT
    return _NOTHING


def _odd_chat_frame(data: bytes) -> Said:
    document = _object(data)
    if document is None:
        return _UNREADABLE
    if failed := _error(document.get("error")):
        return failed
    tokens = _usage(document.get("usage"), "prompt_tokens", "completion_tokens")
    choices = document.get("choices")
    for choice in cast("list[Any]", choices if isinstance(choices, list) else []):
        if not isinstance(choice, dict):
            continue
        fields = cast("dict[str, Any]", choice)
        delta = fields.get("delta")
        if fields.get("finish_reason") or (isinstance(delta, dict) and _says(cast("dict[str, Any]", delta))):
            return Said("content", "", *tokens)
    return Said("none", "", *tokens) if any(tokens) else _NOTHING


def _says(delta: dict[str, Any]) -> bool:
    for name, value in delta.items():  # noqa: SIM110 (once a token: a generator costs more than all the rest)
        if value and name != "role":
            return True
    return False


def _embeddings_whole(raw: bytes) -> Said:
    answer = _answer.decode(raw)
    if failed := _error(answer.error):
        return failed
    if not answer.data:
        return Said("error", "an answer without data")
    return Said("content", "", *_usage(answer.usage, "prompt_tokens", "completion_tokens"))


def _no_frames(data: bytes) -> Said:
    return Said("error", "an event stream, expected JSON")


def _responses_whole(raw: bytes) -> Said:
    answer = _answer.decode(raw)
    if failed := _error(answer.error):
        return failed
    if answer.output is None:
        return Said("error", "an answer without output")
    return Said("content", "", *_usage(answer.usage, "input_tokens", "output_tokens"))


_RESPONSES_PREAMBLE = frozenset({
    "response.created", "response.in_progress", "response.queued", "response.output_item.added",
    "response.content_part.added", "response.reasoning_summary_part.added",
})  # fmt: skip
_RESPONSES_END = frozenset({"response.completed", "response.incomplete"})


def _responses_frame(data: bytes) -> Said:
    if data == b"[DONE]":
        return _NOTHING
    document = _object(data)
    if document is None:
        return _UNREADABLE
    kind = document.get("type")
    if kind in _RESPONSES_PREAMBLE:
        return _NOTHING
    inner = document.get("response")
    response = cast("dict[str, Any]", inner) if isinstance(inner, dict) else {}
    if kind in _RESPONSES_END:
        return Said("end", "", *_usage(response.get("usage"), "input_tokens", "output_tokens"))
    if kind == "response.failed":
        return _error(response.get("error")) or Said("error", "response.failed")
    if kind == "error" or kind is None:
        return _error(document.get("error")) or Said("error", str(document.get("message") or "no words"))
    return _CONTENT


def _messages_whole(raw: bytes) -> Said:
    answer = _answer.decode(raw)
    if failed := _error(answer.error):
        return failed
    if answer.content is None:
        return Said("error", "an answer without content")
    return Said("content", "", *_usage(answer.usage, "input_tokens", "output_tokens"))


def _messages_frame(data: bytes) -> Said:
    document = _object(data)
    if document is None:
        return _UNREADABLE
    kind = document.get("type")
    if kind == "message_start":
        inner = document.get("message")
        message = cast("dict[str, Any]", inner) if isinstance(inner, dict) else {}
        return Said("none", "", *_usage(message.get("usage"), "input_tokens", "output_tokens"))
    if kind == "ping":
        return _NOTHING
    if kind == "message_stop":
        return _END
    if kind == "error" or kind is None:
        return _error(document.get("error")) or Said("error", "no words")
    if kind == "content_block_start" and _begins_empty(document):
        return _NOTHING
    if kind == "message_delta":
        return Said("content", "", *_usage(document.get("usage"), "input_tokens", "output_tokens"))
    return _CONTENT


def _begins_empty(document: dict[str, Any]) -> bool:
    block = document.get("content_block")
    kind = cast("dict[str, Any]", block).get("type") if isinstance(block, dict) else None
    return kind in ("text", "thinking", "tool_use", "server_tool_use")


_OUTPUT_LIMITS = ("max_completion_tokens", "max_tokens", "max_output_tokens")

chat = Dialect(
    "chat", b"/v1/chat/completions", b"/chat/completions", "openai", True, _chat_whole, _chat_frame, _OUTPUT_LIMITS
)
embeddings = Dialect("embeddings", b"/v1/embeddings", b"/embeddings", "openai", False, _embeddings_whole, _no_frames)
responses = Dialect(
    "responses", b"/v1/responses", b"/responses", "openai", True, _responses_whole, _responses_frame, _OUTPUT_LIMITS,
    ends_whole=True,
)  # fmt: skip
messages = Dialect(
    "messages", b"/v1/messages", b"/messages", "anthropic", True, _messages_whole, _messages_frame, _OUTPUT_LIMITS
)

dialects = (chat, embeddings, responses, messages)
"""Every protocol, by the path it is asked at."""
