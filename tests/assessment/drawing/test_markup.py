"""Markup: what others wrote is text, never more."""

from __future__ import annotations

from xml.etree import ElementTree as ET

from hypothesis import given, settings
from hypothesis import strategies as st

from outlast.assessment.drawing.markup import Markup, element, escaped


@settings(max_examples=60)
@given(st.text())
def test_any_text_is_well_formed_and_reads_back_but_for_what_is_not_allowed(text: str) -> None:
    found = ET.fromstring(element("g", text, name=text))
    allowed = text.isprintable() and "\ufffe" not in text and "\uffff" not in text
    if allowed and not any("\u200e" <= letter <= "\u2069" for letter in text):
        assert (found.text or "") == text
        assert found.attrib["name"] == text


def test_tags_and_quotes_of_a_name_do_not_become_markup() -> None:
    hostile = """"><script>alert('x')</script>"""
    assert element("text", hostile, id=hostile).count("<") == 2
    assert escaped(escaped("a<b")) == "a&lt;b"


def test_control_characters_and_turned_text_are_replaced() -> None:
    assert escaped("a\x00b\x1b[2J\u202eevil\ud800") == "a\ufffdb\ufffd[2J\ufffdevil\ufffd"


def test_names_of_attributes_are_those_of_the_language() -> None:
    assert (
        element("g", class_="x", stroke_width=1.25, left_out=None, aria_label="")
        == '<g class="x" stroke-width="1.2" aria-label=""></g>'
    )
    assert element("meta", charset="utf-8") == '<meta charset="utf-8">'


def test_markup_stays_markup() -> None:
    assert element("g", Markup("<a></a>"), "<b>") == "<g><a></a>&lt;b&gt;</g>"
