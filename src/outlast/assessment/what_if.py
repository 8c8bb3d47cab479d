"""Reads what somebody asks: ``zone eu-central-1a down``, ``region eu-west-1``, ``orders down``, ``process support``."""

from __future__ import annotations

from outlast.assessment.disruption import Disruption, DisruptionKind, disruption_kinds
from outlast.assessment.system import System
from outlast.blueprint.document import did_you_mean
from outlast.kernel.error import ConfigurationError

_noise = frozenset(("down", "away", "lost", "off", "gone", "fails", "failed", "is", "the", "component"))
_words = {
    "corrupt": "corruption",
    "corrupted": "corruption",
    "instance": "node",
    "machine": "node",
    "worker": "process",
}


def disruption_of(text: str, system: System) -> Disruption:
    """The disruption that `text` means. Raises ConfigurationError with what is known."""
    words = [word for word in text.split() if word.lower() not in _noise]
    kinds = [_words.get(word.lower(), word.lower()) for word in words]
    kind: DisruptionKind | None = next((one for one in disruption_kinds if one in kinds), None)
    subjects = [word for word, lower in zip(words, kinds, strict=True) if lower not in disruption_kinds]
    if len(subjects) != 1:
        raise ConfigurationError(
            f'what if {text[:80]!r}: expected for example "zone eu-central-1a down" or "orders down"'
        )
    subject = subjects[0]
    regions = {region.name: region.name for region in system.regions}
    regions |= {region.place.path[-1]: region.name for region in system.regions if region.place.path}
    zones = [zone for region in system.regions for zone in region.zones]
    if kind is None:
        kind = "region" if subject in regions else "zone" if subject in zones else "dependency"
    known = regions if kind == "region" else zones if kind == "zone" else list(system.components)
    if subject not in known:
        raise ConfigurationError(f"what if {text[:80]!r}: no {kind} {subject[:64]!r}: {did_you_mean(subject, known)}")
    return Disruption(kind, regions[subject] if kind == "region" else subject)
