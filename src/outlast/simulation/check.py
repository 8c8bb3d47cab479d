"""The checker. It reads the raw bytes on the disk, the ledger and the clients' books; nothing of the product's code.

Each rule gives a line for each violation, beginning with the rule's name.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator

from outlast.simulation.evidence import Evidence, Facts
from outlast.simulation.rule import effect, ending, storage

Rule = Callable[[Evidence], Iterator[str]]

_RULES: tuple[Rule, ...] = (
    storage.chain, storage.record, storage.acknowledged, storage.anchors, storage.audit, storage.blob, storage.visible,
    storage.owner, storage.outcome, storage.index, storage.snapshot, effect.doubled, effect.missing, effect.stray,
    effect.intent, effect.result, effect.given, effect.patience, effect.budget, effect.fallback, effect.switch,
    effect.cancel, ending.turns, ending.signals, ending.heard, ending.timer, ending.claimed, ending.swept,
    ending.replay, ending.ends, ending.neighbour, ending.continued, ending.family, ending.escape,
)  # fmt: skip

RULES = {rule.__name__: " ".join((rule.__doc__ or "").split()).rstrip(".") for rule in _RULES}
"""What each rule demands."""


def check(facts: Facts) -> list[str]:
    """All violations."""
    evidence = Evidence(facts)
    return [f"{rule.__name__}: {text}" for rule in _RULES for text in rule(evidence)]
