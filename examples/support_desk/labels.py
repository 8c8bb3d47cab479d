"""What a ticket is about: by the meaning of its words where embeddings are installed, else by the words themselves.

Embeddings need the extra `local` and ``outlast model pull minilm-l6-v2-int8``. Which of the two was used stands in
every reply.
"""

from __future__ import annotations

import importlib.util
from dataclasses import dataclass
from typing import Protocol

import keywords

from outlast.adapters.local.artifact import artifacts_of, is_present, minilm, models_directory
from outlast.adapters.local.classifier import Classifier
from outlast.adapters.local.embedding import Embedder

EXAMPLES = {
    "refund": (
        "Please refund my order.",
        "I want my money back for this order, it does not work.",
        "I sent the item back and have not received my refund yet.",
        "The parcel was lost, I do not want another one, refund me.",
        "I changed my mind and would like to return it for a refund.",
        "refund pls, already returned it",
        "WHERE IS MY MONEY? REFUND ME NOW!",
        "I was not refunded, please pay the purchase price back to my card.",
        "It does not fit, can I return it and get my money back?",
        "Ich habe die Ware zurückgeschickt und möchte mein Geld zurück. Bitte erstatten Sie den Betrag.",
        "Ho restituito l'ordine e vorrei il rimborso.",
        "Quiero devolver el pedido y que me devuelvan el dinero.",
        "Quero o reembolso do dinheiro, o pedido foi perdido.",
        "Mein Paket ist verloren gegangen. Bitte um Rückerstattung der Bestellung.",
        "It flickers. Money back please.",
        "It stopped working after a day and I want a full refund.",
    ),
    "delivery": (
        "Where is my package?",
        "My order has not arrived yet, when will it be delivered?",
        "The tracking has not moved for days.",
        "It was promised in two days and it is two weeks late, where is it now?",
        "Still waiting for my delivery.",
        "It says out for delivery since Monday, what is going on with the shipment?",
        "Any news about the delivery date?",
    ),
    "damage": (
        "The item arrived broken, please send a replacement.",
        "It was damaged in the box, I need a new one.",
        "The glass was shattered on arrival.",
        "It came with a crack out of the box, please exchange it.",
        "Parts were bent and torn, please send a spare part.",
        "The bottles leaked and the box was soaked, please replace them.",
        "L'article est arrivé cassé, pouvez-vous envoyer un remplacement ?",
        "La commande est arrivée abîmée, un pied est cassé, je voudrais un remplacement.",
    ),
    "question": (
        "How do I use this product?",
        "Do you ship abroad, and what does it cost?",
        "Is it dishwasher safe?",
        "Can I change my order before it ships?",
        "Can I still change the colour of the item in my order?",
        "Is it possible to have it sent to another address, for instance to work?",
        "Which product do you recommend for the machine that I bought in my order?",
        "Do you offer an assembly service for this order?",
        "What are the inner dimensions of the picture frame? The page only lists the outer ones.",
        "How large is the item that I ordered?",
        "Which labels or refills fit the printer of my order?",
        "Where can I download the manual?",
        "Do you have it in another colour?",
        "hello",
        "?",
    ),
    "complaint": (
        "Your customer service is a disgrace.",
        "The staff was rude and nobody helps me.",
        "I am deeply disappointed, this is the worst shop I have ever dealt with.",
        "Your app crashes and your support answers with copy and paste.",
        "I want to file a formal complaint about your driver's behaviour.",
        "I was hung up on again and again, terrible experience.",
    ),
}
"""A few sentences for each label; a ticket gets the label whose sentences it resembles most."""


@dataclass(frozen=True)
class Label:
    name: str
    score: float
    by: str
    """``embeddings`` or ``keywords``."""


class Labeller(Protocol):
    def label(self, text: str) -> Label: ...


class Embeddings:
    def __init__(self) -> None:
        self._classifier = Classifier(Embedder(), EXAMPLES)

    def label(self, text: str) -> Label:
        found = self._classifier.classify(text)
        return Label(found.label, found.score, "embeddings")


class Keywords:
    def label(self, text: str) -> Label:
        name, score = keywords.label(text)
        return Label(name, score, "keywords")


def open_labeller() -> Labeller:
    """The embeddings if they can be used here, else the keywords."""
    installed = all(importlib.util.find_spec(name) for name in ("numpy", "onnxruntime", "tokenizers"))
    pulled = all(is_present(artifact, models_directory()) for artifact in artifacts_of(minilm))
    if not (installed and pulled):
        return Keywords()
    labeller = Embeddings()
    labeller.label("")  # loads the model now: a worker that takes over must not begin with that
    return labeller
