"""The stand-in for the embeddings: labels a ticket by the words in it, for machines without the `local` extra."""

from __future__ import annotations

import re

WORDS = {
    "refund": (
        r"refund|money back|back the money|geld zurück|erstatt|rimborso|reembols|rembours|"
        r"devuelvan el dinero|where is my money"
    ),
    "damage": (
        r"broken|damage|crushed|in pieces|shatter|crack|bent|torn|ripped|snapped|scratch|leaked out|cassé|fendu"
    ),
    "complaint": r"complain|disgrace|terrible|worst|unacceptable|disappoint|rude|never shop|laughed at",
    "delivery": (
        r"where is (it|my)|deliver(ed|y)\b.*(still|date|waiting)|tracking|still (not|waiting)|late|shipment|when will"
    ),
}
"""In this order: the first label whose words are found wins."""

DEFAULT = "question"


def label(text: str) -> tuple[str, float]:
    """The label, and how sure that is: words either are there or are not."""
    lowered = text.lower()
    for name, words in WORDS.items():
        if re.search(words, lowered):
            return name, 1.0
    return DEFAULT, 0.0
