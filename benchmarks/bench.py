"""What all measurements of one run share: where they write, how often, with which interpreters."""

from __future__ import annotations

import shutil
import sys
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from benchmarks.probe import Probe

ROOT = Path(__file__).resolve().parent.parent
payload_bytes = 1024
"""What every step returns: 1 KB."""


@dataclass(frozen=True)
class Bench:
    """Settings of a run. `scale` shrinks the work of each trial, for a short form; the trials stay as many."""

    directory: Path
    trials: int
    scale: float
    peers: Path | None
    """The interpreter of the peers' environment; None leaves them out."""

    def sized(self, count: int, least: int = 1) -> int:
        """`count`, shrunk by the scale."""
        return max(least, int(count * self.scale))

    @contextmanager
    def fresh(self, name: str) -> Iterator[Path]:
        """A new folder on the file system that is measured, removed afterwards."""
        path = Path(tempfile.mkdtemp(prefix=f"{name}-", dir=self.directory))
        try:
            yield path
        finally:
            shutil.rmtree(path, ignore_errors=True)

    def peer(self, name: str, script: str, *arguments: object, cwd: Path) -> Probe:
        """A probe of the peers' environment."""
        assert self.peers is not None
        path = ROOT / "benchmarks" / "peers" / script
        return Probe(name, [str(self.peers), str(path), *(str(each) for each in arguments)], cwd)

    def say(self, text: str) -> None:
        """Progress, for the one who waits."""
        print(text, file=sys.stderr, flush=True)
