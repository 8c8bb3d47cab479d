"""How wide text is, without a font at hand: estimated high, so that it fits with the fonts that browsers choose."""

from __future__ import annotations

import unicodedata

_NARROW = frozenset("ijl|!'.,:;")
_SLIM = frozenset('()[]{}-/\\frtI "*`')
_BROAD = frozenset("mwMW@%")
_BOLD = 1.12


def width(text: str, size: float, *, bold: bool = False) -> float:
    """Pixels of `text` at a font size in pixels; by the measures of DejaVu Sans, one of the widest."""
    return sum(map(_em, text)) * size * (_BOLD if bold else 1.0)


def _em(letter: str) -> float:
    if letter in _NARROW:
        return 0.34
    if letter in _SLIM:
        return 0.44
    if letter in _BROAD:
        return 1.0
    if letter.isascii():
        return 0.72 if letter.isupper() else 0.64
    return 1.1 if unicodedata.east_asian_width(letter) in "WF" else 0.85


def fitted(text: str, room: float, size: float, *, bold: bool = False) -> str:
    """`text`, or its beginning and its end around an ellipsis, no wider than `room` pixels."""
    if width(text, size, bold=bold) <= room:
        return text
    kept, too_many = 0, len(text)
    while too_many - kept > 1:
        tried = (kept + too_many) // 2
        if width(_shortened(text, tried), size, bold=bold) <= room:
            kept = tried
        else:
            too_many = tried
    return _shortened(text, kept)


def _shortened(text: str, kept: int) -> str:
    return f"{text[: (kept + 1) // 2]}…{text[len(text) - kept // 2 :]}"
