"""Documents for a drill: each with a mark of its own in its text, so that books can be kept about it anywhere."""

from __future__ import annotations

_KINDS = (
    "<h1>Invoice</h1><p>Invoice number: INV-{n}</p><p>Amount due: {n} EUR. Please pay within 14 days.</p>",
    "<h1>Complaint</h1><p>I am disappointed &amp; want compensation for order {n}.</p><hr class=page><p>Regards</p>",
    "<h1>Contract</h1><p>Contract no: C-{n}. The parties hereby agree.</p><hr class=page><p>Signed twice.</p>",
    "<p>Dear all,</p><p>greetings from the coast, where {n} gulls were counted.</p>",
    "<h1>Application</h1><p>I apply for the position {n}; my curriculum is enclosed.</p>",
)


def document(mark: str, number: int) -> str:
    """A small HTML document. `mark` is like ``DOC-1-2``."""
    body = _KINDS[number % len(_KINDS)].format(n=1000 + number)
    return f"<html><head><title>{mark}</title></head><body>{body}<p>Our reference: {mark}</p></body></html>"
