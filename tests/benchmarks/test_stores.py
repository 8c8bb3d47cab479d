"""The benchmark of the stores measures and reports; whether the figures are good is not a test's business."""

from __future__ import annotations

from pathlib import Path

from benchmarks.bench import Bench
from benchmarks.sample import Sample
from benchmarks.stores.__main__ import measure, report, table
from benchmarks.stores.cost import cost
from benchmarks.stores.subject import Load, Store, together


def store(name: str = "postgres", kind: str = "postgres") -> Store:
    made = Store(name, kind, "", "", Load(1, 1, 1))  # type: ignore[arg-type]
    made.steps_per_s, made.over_bare = Sample([600.0, 500.0, 700.0]), Sample([1.5])
    made.lone_ms, made.bare_ms = [3.0, 2.0], [1.0, 2.0]
    made.lone_written = [
        (2, {"records": 5.0, "items": 12.0, "units": 30.0}),
        (12, {"records": 15.0, "items": 22.0, "units": 50.0}),
    ]
    return made


def test_what_a_step_writes_is_told_from_what_a_run_writes() -> None:
    one = store()
    assert (one.per_step("records"), one.per_run("records")) == (1.0, 3.0)
    assert (one.per_step("units"), one.per_run("units")) == (2.0, 26.0)


def test_the_rate_of_several_processes_is_from_the_first_start_to_the_last_end() -> None:
    answers = [{"start": 1.0, "end": 3.0, "steps": 100}, {"start": 2.0, "end": 5.0, "steps": 100}]
    assert together(answers) == 50.0


def test_the_better_figure_of_the_peer_counts_and_ratios_are_taken_trial_by_trial() -> None:
    told = report([store()], {1: Sample([100.0, 50.0, 100.0]), 2: Sample([20.0, 20.0, 20.0])}, {})
    assert (told["dbos_postgres_steps_per_s"], told["postgres_over_dbos"]) == (100.0, 7.0)
    assert told["stores"][0]["write_units_per_step"] is None
    assert "Outlast over it: 7.0x (must be >= 5x: ok)" in table({}, told)


def test_the_cost_of_a_million_steps_counts_runs_and_replicas() -> None:
    told = report([store("dynamodb-moto", "dynamodb")], {}, {})
    line = told["stores"][0]
    assert line["writes_per_step"] == 1.0
    found = cost(store("dynamodb-moto", "dynamodb"))
    assert found["usd_per_million_steps_with_a_replica"] == round(2 * (2.0 + 0.26) * 0.7625, 2)
    assert found["usd_per_million_steps"] == round((2.0 + 0.26) * 0.7625, 2)
    assert "Step Functions" in table({}, told)


def test_a_short_run_measures_steps_beside_bare_writes(tmp_path: Path) -> None:
    told = measure(Bench(tmp_path, trials=1, scale=0.01, peers=None), ("sqlite",))
    (line,) = told["stores"]
    assert line["name"] == "sqlite"
    assert line["writes_per_step"] == 1.0
    assert line["steps_per_s"] > 0
    assert line["bare_write_p50_ms"] > 0
    assert told["dbos_postgres_steps_per_s"] is None
