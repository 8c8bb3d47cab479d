"""Steps beside bare commits: a ratio is taken within a trial, so that a slow moment of the disk hits both its sides."""

from __future__ import annotations

from collections.abc import Mapping

from benchmarks.probe import Probe
from benchmarks.sample import Sample


class Beside:
    """Probes of `benchmarks.outlast_step` by name, each between two bursts of bare commits of `size` bytes."""

    def __init__(self, commit: Probe, probes: Mapping[str, Probe], size: int) -> None:
        self.commits = Sample()
        self.steps = {name: Sample() for name in probes}
        self._beside = {name: Sample() for name in probes}
        self._commit = commit
        self._probes = probes
        self._size = str(size)

    def trial(self) -> None:
        """Each probe once."""
        before = self._burst()
        for name, probe in self._probes.items():
            self.steps[name].values.append(probe.measure()["step_ms"])
            after = self._burst()
            self._beside[name].values.append((before + after) / 2)
            before = after

    def over(self, name: str) -> Sample:
        """A step of that probe over the commits right before and after it."""
        return self.steps[name].over(self._beside[name])

    def _burst(self) -> float:
        taken = self._commit.measure(self._size)["commit_ms"]
        self.commits.values.append(taken)
        return taken
