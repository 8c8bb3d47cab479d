"""What the marked steps wrote down: the benchmark's own view, outside the system."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path


@dataclass(frozen=True)
class Mark:
    """A step began: when (monotonic seconds), in which process, of which run, which one."""

    at: float
    pid: int
    run: str
    number: int


class Ledger:
    """Reads the file as it grows."""

    def __init__(self, path: Path) -> None:
        self.path = path
        path.touch()
        self._file = path.open("rb")
        self._begun = b""
        self.marks: list[Mark] = []
        self.last: dict[str, Mark] = {}
        """The latest mark of each run."""

    def read(self) -> None:
        """Take in what has been written since. A line that its writer did not live to end is nobody's."""
        *lines, self._begun = (self._begun + self._file.read()).split(b"\n")
        for line in lines:
            parts = line.split()
            if len(parts) != 4:
                continue
            at, pid, run, number = parts
            mark = Mark(float(at), int(pid), run.decode(), int(number))
            self.marks.append(mark)
            self.last[mark.run] = mark

    def close(self) -> None:
        self._file.close()
