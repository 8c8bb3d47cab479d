"""What the scripted model says: derived from the request alone."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import msgspec

from outlast.adapters.scripted.instance import instance
from outlast.model.endpoint import Completion, Message, Usage

model_name = "scripted"
"""What a scripted completion says answered."""

_quoted_chars = 80


def answer(messages: Sequence[Message], schema: dict[str, Any] | None, max_tokens: int | None) -> Completion:
    """A completion: JSON that is valid for the schema, else a sentence that says it is no model's.

    Words count as tokens. `max_tokens` cuts sentences off (finish ``length``), never JSON. Raises EndpointRefused for a
    schema that the rules cannot serve.
    """
    if schema is not None:
        text, finish = msgspec.json.encode(instance(schema, asked(messages))).decode(), "stop"
    else:
        text, finish = _cut(_sentence(messages), max_tokens)
    return Completion(text, model_name, Usage(sum(_count(item.content) for item in messages), _count(text)), finish)


def asked(messages: Sequence[Message]) -> str:
    """The text that answers are derived from: what the user said last."""
    for message in reversed(messages):
        if message.role == "user":
            return message.content
    return messages[-1].content if messages else ""


def _sentence(messages: Sequence[Message]) -> str:
    flat = " ".join(asked(messages).split())
    quoted = flat if len(flat) <= _quoted_chars else flat[:_quoted_chars] + "…"
    return f"This is a scripted answer, no model wrote it. You said: “{quoted}” Thank you, we are on it."


def _cut(text: str, max_tokens: int | None) -> tuple[str, str]:
    words = text.split(" ")
    if max_tokens is None or len(words) <= max_tokens:
        return text, "stop"
    return " ".join(words[:max_tokens]), "length"


def _count(text: str) -> int:
    return len(text.split())
