"""What may happen to a system: the kinds of disruption, and one of them with what it hits."""

from __future__ import annotations

from typing import Literal, get_args

import msgspec

DisruptionKind = Literal["process", "node", "zone", "region", "corruption", "dependency"]
disruption_kinds: tuple[DisruptionKind, ...] = get_args(DisruptionKind)


class Disruption(msgspec.Struct, frozen=True):
    """Something that happens: ``zone eu-central-1a``, ``region eu-central-1``, ``process support``."""

    kind: DisruptionKind
    subject: str

    def __str__(self) -> str:
        return f"{self.kind} {self.subject}"
