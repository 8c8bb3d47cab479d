"""What users test their agents with: in memory, in virtual time, without a server. Described in docs/testing.md.

`run` plays an agent once; `survives` plays it again and again, crashing its worker at every position of the journal.
"""

from __future__ import annotations

from outlast.adapters.scripted.endpoint import Scripted
from outlast.testing.ledger import Effects, Ledger
from outlast.testing.play import Finished, run
from outlast.testing.survive import DidNotSurvive, Survived, survives

__all__ = ["DidNotSurvive", "Effects", "Finished", "Ledger", "Scripted", "Survived", "run", "survives"]
