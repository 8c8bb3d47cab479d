"""XML and HTML text that is safe by construction: what is not `Markup` already is escaped when it is put in."""

from __future__ import annotations

import html
import re

_FORBIDDEN = re.compile(
    "[^\t\n\r -\ud7ff\ue000-\ufffd\U00010000-\U0010ffff]|[\x7f-\x9f\u200e\u200f\u202a-\u202e\u2066-\u2069]"
)
"""What XML 1.0 does not allow, and what turns the direction of the text around it."""
_VOID = frozenset(("meta", "br", "col"))
"""HTML elements without an end tag."""

Value = str | float | int | None


class Markup(str):
    """Text that is markup: it goes in as it is."""

    __slots__ = ()


def escaped(text: str) -> Markup:
    """`text` as content or attribute value; what is not allowed becomes the replacement character."""
    if isinstance(text, Markup):
        return text
    return Markup(html.escape(plain(text)))


def plain(text: str) -> str:
    """`text` with the replacement character for what is not allowed."""
    return _FORBIDDEN.sub("\N{REPLACEMENT CHARACTER}", text)


def element(tag: str, *children: str, **attributes: Value) -> Markup:
    """One element. ``class_`` is ``class``, ``stroke_width`` is ``stroke-width``; None leaves an attribute out."""
    said = "".join(f' {_name(key)}="{_value(value)}"' for key, value in attributes.items() if value is not None)
    inner = "".join(map(escaped, children))
    if tag in _VOID:
        return Markup(f"<{tag}{said}>")
    return Markup(f"<{tag}{said}>{inner}</{tag}>")


def joined(parts: list[Markup], between: str = "") -> Markup:
    """Several as one."""
    return Markup(between.join(parts))


def _name(key: str) -> str:
    return key.rstrip("_").replace("_", "-")


def _value(value: Value) -> str:
    return escaped(value) if isinstance(value, str) else number(value or 0)


def number(value: float) -> str:
    """A coordinate with at most one digit after the point."""
    return f"{value:.1f}".removesuffix(".0")
