"""What agents and users wrote is data, also on a terminal."""

from __future__ import annotations

import json

import pytest

from outlast.cli.output import json_text, plain, short


@pytest.mark.parametrize("hostile", ["\x1b[2J", "\x1b]0;title\x07", "\x9b31m", "a\rb", "\u202egnp.exe", "\x00", "\x7f"])
def test_nothing_that_drives_a_terminal_gets_through(hostile: str) -> None:
    for text in (plain(hostile), short(hostile), short({"a": hostile}), json_text({"a": hostile})):
        assert not any(ord(character) < 32 or 127 <= ord(character) < 160 for character in text)


def test_json_text_says_the_same_value() -> None:
    value = {"a": ["ä", "\x9b", "\u2028", 1.5, None]}
    assert json.loads(json_text(value)) == value
    json_text("\ud800").encode()


def test_short_is_one_line_of_bounded_width() -> None:
    assert short("a\nb  c") == "a b c"
    assert short("x" * 500, 10) == "x" * 9 + "…"
    assert short({"b": 1}) == '{"b": 1}'
