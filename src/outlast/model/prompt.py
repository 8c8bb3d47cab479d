"""What a model is asked: messages from a prompt, and how a schema is put into words."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import msgspec

from outlast.kernel.error import PayloadTooLarge, UsageError
from outlast.model.endpoint import Message

messages_max = 10_000
"""Bound of the messages of one request."""

repair_chars_max = 4_000
"""How much of an unreadable answer is shown back to the model: 4,000 characters."""

_ROLES = ("system", "user", "assistant")


def prompt_messages(prompt: str | Sequence[Message], system: str | None = None) -> list[Message]:
    """The messages of one request: `system` first if there is one, then the prompt.

    Raises UsageError for an empty prompt, for what is no `Message`, and for `system` given twice; PayloadTooLarge above
    `messages_max`.
    """
    asked = [Message("user", prompt)] if isinstance(prompt, str) else list(prompt)
    for number, message in enumerate(asked):
        if not isinstance(message, Message):  # pyright: ignore[reportUnnecessaryIsInstance] (users pass what they like)
            raise UsageError(
                f"message {number} of the prompt is a {type(message).__name__}, expected outlast.Message(role, content)"
            )
        if message.role not in _ROLES:
            raise UsageError(f"message {number} has role {message.role!r}, expected one of {', '.join(_ROLES)}")
    if not any(message.content.strip() for message in asked if message.role != "system"):
        raise UsageError("the prompt is empty: give it at least one message with text")
    if len(asked) > messages_max:
        raise PayloadTooLarge(f"the prompt has {len(asked)} messages, the bound messages_max is {messages_max}")
    if not system:
        return asked
    if any(message.role == "system" for message in asked):
        raise UsageError("the prompt has a system message and system= is given too: use one of the two")
    return [Message("system", system), *asked]


def schema_instruction(schema: dict[str, Any]) -> str:
    """A schema in words, for servers that do not constrain their output."""
    text = msgspec.json.encode(schema).decode()
    return (
        "Answer with one JSON value only: no explanation, no code fence. "
        f"It must be valid for this JSON Schema, every required field included:\n{text}"
    )


def with_instruction(messages: Sequence[Message], instruction: str) -> list[Message]:
    """The messages with an instruction at the end of the first system message: many chat templates take only one."""
    if messages and messages[0].role == "system":
        return [Message("system", f"{messages[0].content}\n\n{instruction}"), *messages[1:]]
    return [Message("system", instruction), *messages]


def repair_messages(messages: Sequence[Message], answer: str, problem: str, schema: dict[str, Any]) -> list[Message]:
    """Asks once more after an unreadable answer: what was asked, what came (clipped), what was wrong with it."""
    shown = answer if len(answer) <= repair_chars_max else answer[:repair_chars_max] + " […]"
    return [
        *messages,
        Message("assistant", shown or "(nothing)"),
        Message("user", f"That could not be read: {problem}.\n{schema_instruction(schema)}"),
    ]
