"""What can be done without any service: crude text out of a document, and a label and a number by rules."""

from __future__ import annotations

import hashlib
import re
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

Label = Literal["invoice", "contract", "complaint", "application", "letter"]

WORDS: dict[Label, str] = {
    "invoice": r"invoice|amount due|please pay|rechnung|facture",
    "contract": r"contract|agreement|hereby agree|the parties|vertrag",
    "complaint": r"complain|unacceptable|disappointed|compensation|beschwerde",
    "application": r"curriculum|résumé|apply for|application for|bewerbung",
}
"""In this order: the first label whose words are found wins; else it is a letter."""
NUMBER = re.compile(r"(?:invoice|contract|number|no\.?|nr\.?)\s*[:#]?\s*([A-Z]{0,4}-?\d[\w/-]{0,20})", re.IGNORECASE)
TAG = re.compile(r"<[^>]*>")


@dataclass(frozen=True)
class Text:
    text: str
    pages: int
    digest: str


@dataclass(frozen=True)
class Extraction:
    label: Label
    number: str
    summary: str


def text_of(pages: Sequence[str]) -> Text:
    """Pages as one text: lines trimmed, empty ones gone."""
    lines = [" ".join(line.split()) for page in pages for line in page.splitlines()]
    text = "\n".join(line for line in lines if line)
    return Text(text, len(pages), hashlib.sha256(text.encode()).hexdigest()[:32])


def crude_text(raw: str) -> Text:
    """Without the service: tags cut away, entities left as they are, nothing known of pages."""
    return text_of([TAG.sub("\n", raw)])


def crude_extraction(text: str) -> Extraction:
    """Without any model: by words."""
    lowered = text.lower()
    labels: list[Label] = [label for label, words in WORDS.items() if re.search(words, lowered)]
    number = NUMBER.search(text)
    first_line = text.splitlines()[0][:80] if text else ""
    return Extraction(labels[0] if labels else "letter", number[1] if number else "", first_line)
