"""What was acknowledged, remembered outside the database."""

from __future__ import annotations

from collections.abc import Sequence

from outlast.adapters.postgres.session import Standing
from outlast.journal.commit import Write


class Acknowledged:
    def note(self, writes: Sequence[Write], lsn: int, standing: Standing | None) -> None:
        pass
