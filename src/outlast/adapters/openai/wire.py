"""The chat completions protocol: a request as its body, a body as a completion. Pure; nothing is sent here.

Source: https://platform.openai.com/docs/api-reference/chat/create
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, Literal, cast

import msgspec

from outlast.model.endpoint import Completion, EndpointRefused, EndpointUnavailable, ModelRequest, Usage
from outlast.model.prompt import schema_instruction, with_instruction

TokenLimitField = Literal["max_tokens", "max_completion_tokens"]


class _ReceivedUsage(msgspec.Struct, frozen=True):
    prompt_tokens: int | None = None
    completion_tokens: int | None = None


class _Part(msgspec.Struct, frozen=True):
    text: str = ""


class _ReceivedMessage(msgspec.Struct, frozen=True):
    content: str | list[_Part] | None = None
    refusal: str | None = None


class _Choice(msgspec.Struct, frozen=True):
    message: _ReceivedMessage
    finish_reason: str | None = None


class _Received(msgspec.Struct, frozen=True):
    choices: list[_Choice]
    model: str | None = None
    usage: _ReceivedUsage | None = None


_decoder = msgspec.json.Decoder(_Received)


def body(
    request: ModelRequest, model: str, limit_field: TokenLimitField, *, constrained: bool, stream: bool = False
) -> bytes:
    """The request as JSON. A schema goes into ``response_format`` if `constrained`, else into the prompt."""
    messages = request.messages
    document: dict[str, Any] = {"model": model}
    if stream:
        document |= {"stream": True, "stream_options": {"include_usage": True}}
    if request.schema is not None:
        if constrained:
            document["response_format"] = {
                "type": "json_schema",
                "json_schema": {"name": "answer", "strict": is_strict(request.schema), "schema": request.schema},
            }
        else:
            messages = with_instruction(messages, schema_instruction(request.schema))
    document["messages"] = messages
    if request.max_tokens is not None:
        document[limit_field] = request.max_tokens
    if request.temperature is not None:
        document["temperature"] = request.temperature
    return msgspec.json.encode(document)


def is_strict(schema: Mapping[str, Any]) -> bool:
    """Whether a schema is of the subset that OpenAI's strict mode takes: closed objects whose fields are all required.

    Source: https://platform.openai.com/docs/guides/structured-outputs#supported-schemas
    """
    if schema.get("type") == "object" or "properties" in schema:
        fields = cast("Mapping[str, Any]", schema.get("properties", {}))
        if schema.get("additionalProperties") is not False or set(schema.get("required", ())) != set(fields):
            return False
    for key, value in schema.items():
        if key in ("properties", "$defs"):
            inner: Sequence[Any] = list(cast("Mapping[str, Any]", value).values())
        elif key in ("enum", "const", "required"):
            continue
        else:
            inner = cast("list[Any]", value) if isinstance(value, list) else [value]
        if not all(is_strict(cast("dict[str, Any]", item)) for item in inner if isinstance(item, dict)):
            return False
    return True


def completion(raw: bytes, asked_model: str, where: str) -> Completion:
    """A response body as a completion.

    Raises EndpointUnavailable for what is no chat completion, EndpointRefused if the model refused.
    """
    try:
        received = _decoder.decode(raw)
    except (msgspec.MsgspecError, UnicodeDecodeError, RecursionError) as error:
        raise EndpointUnavailable(
            f"{where} answered {len(raw)} bytes that are no chat completion: {error}; expected JSON with choices"
        ) from None
    if not received.choices:
        raise EndpointUnavailable(f"{where} answered with no choices, expected one")
    choice = received.choices[0]
    message = choice.message
    if message.refusal:
        raise EndpointRefused(f"the model behind {where} refused to answer: {message.refusal[:200]}")
    if message.content is None:
        raise EndpointUnavailable(
            f"{where} answered without text (finish reason {choice.finish_reason!r}), expected message.content"
        )
    text = message.content if isinstance(message.content, str) else "".join(part.text for part in message.content)
    used = received.usage or _ReceivedUsage()
    return Completion(
        text=text,
        model=received.model or asked_model,
        usage=Usage(max(used.prompt_tokens or 0, 0), max(used.completion_tokens or 0, 0)),
        finish=choice.finish_reason or "stop",
    )
