"""The benchmarks measure and report; whether the figures are good is not a test's business."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from benchmarks import disk, floor, start, step, storage
from benchmarks.bench import Bench
from benchmarks.figure import Section
from benchmarks.probe import Probe, ProbeFailed
from benchmarks.report import json_object, table
from benchmarks.sample import Sample, percentile


def test_a_percentile_is_the_nearest_rank() -> None:
    values = [float(each) for each in range(1, 201)]
    assert percentile(values, 0.5) == 100
    assert percentile(values, 0.99) == 198
    assert percentile([7.0], 0.99) == 7


def test_a_ratio_is_taken_trial_by_trial() -> None:
    assert Sample([2.0, 9.0, 4.0]).over(Sample([1.0, 3.0, 4.0])).values == [2.0, 3.0, 1.0]


def test_the_report_says_what_holds_and_what_is_missed() -> None:
    section = Section("title")
    section.add("fast_ms", "fast", "ms", Sample([1.0, 2.0, 3.0]), at_most=2.0)
    section.add("many", "many", "/s", Sample([10.0]), at_least=20.0)
    shown = table({"machine": "this"}, [section])
    assert "<= 2.00 ok" in shown
    assert ">= 20.0 MISSED" in shown
    told = json.loads(json_object({"machine": "this"}, [section]))
    assert (told["fast_ms"], told["many"]) == (2.0, 10.0)
    assert told["bounds"]["many"]["holds"] is False


def test_a_probe_that_dies_says_its_last_words(tmp_path: Path) -> None:
    command = ["sh", "-c", "echo no such file >&2; exit 3"]
    with Probe("bad", command, tmp_path) as probe, pytest.raises(ProbeFailed, match="died\nno such file"):
        probe.ready()


def test_a_short_run_measures_outlast_and_the_bare_commit(tmp_path: Path) -> None:
    bench = Bench(tmp_path, trials=1, scale=0.01, peers=None)
    sections = [step.measure(bench), storage.measure(bench), start.measure(bench)]
    told = json.loads(json_object({}, sections))
    for key in ("commit_ms", "step_ms", "step_over_commit", "step_over_commit_in_process", "storage_kb", "import_s"):
        assert told[key] > 0


def test_what_a_commit_costs_alone_and_on_slower_disks_is_measured(tmp_path: Path) -> None:
    bench = Bench(tmp_path, trials=1, scale=0.01, peers=None)
    told = json.loads(json_object({}, [floor.measure(bench), disk.measure(bench)]))
    assert told["floor_commit_of_record_after_pause_ms"] > 0
    if "disk_500_commit_ms" in told:  # Linux, with a compiler
        assert told["disk_500_commit_ms"] > 0.5, "every sync took half a millisecond more"
        assert told["disk_500_step_over_commit"] > 0
        assert told["disk_500_step_over_commit_in_process"] > 0
