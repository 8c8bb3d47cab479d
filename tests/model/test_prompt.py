"""Messages from prompts."""

from __future__ import annotations

from typing import Any

import pytest

from outlast.kernel.error import PayloadTooLarge, UsageError
from outlast.model.endpoint import Message
from outlast.model.prompt import messages_max, prompt_messages, repair_messages, schema_instruction, with_instruction


def test_a_text_becomes_a_user_message_behind_the_system_message() -> None:
    assert prompt_messages("hi") == [Message("user", "hi")]
    assert prompt_messages("hi", "be brief") == [Message("system", "be brief"), Message("user", "hi")]


def test_a_conversation_is_taken_as_it_is_and_not_changed() -> None:
    given = [Message("user", "a"), Message("assistant", "b"), Message("user", "c")]
    assert prompt_messages(given, "s") == [Message("system", "s"), *given]
    assert len(given) == 3


@pytest.mark.parametrize(
    ("prompt", "system", "says"),
    [
        ("", None, "empty"),
        (" \n", None, "empty"),
        ([], None, "empty"),
        ([Message("system", "s")], None, "empty"),
        ([Message("system", "s"), Message("user", "u")], "t", "use one of the two"),
        (["text"], None, "message 0 of the prompt is a str"),
        ([Message("tool", "t")], None, "role 'tool'"),  # type: ignore[arg-type]
    ],
)
def test_what_is_no_prompt_is_refused(prompt: Any, system: str | None, says: str) -> None:
    with pytest.raises(UsageError, match=says):
        prompt_messages(prompt, system)


def test_too_many_messages_are_refused_with_the_name_of_the_bound() -> None:
    with pytest.raises(PayloadTooLarge, match="messages_max"):
        prompt_messages([Message("user", "x")] * (messages_max + 1))


def test_an_instruction_joins_the_system_message_or_becomes_it() -> None:
    user = Message("user", "u")
    assert with_instruction([user], "i") == [Message("system", "i"), user]
    assert with_instruction([Message("system", "s"), user], "i") == [Message("system", "s\n\ni"), user]


def test_a_repair_shows_the_answer_the_problem_and_the_schema() -> None:
    messages = repair_messages([Message("user", "u")], "x" * 10_000, "it is no JSON", {"type": "object"})
    assert [message.role for message in messages] == ["user", "assistant", "user"]
    assert len(messages[1].content) < 5_000
    assert "it is no JSON" in messages[2].content
    assert schema_instruction({"type": "object"}) in messages[2].content
