from __future__ import annotations

from outlast.simulation.child import Case, simulate
from outlast.simulation.sample import pick
from outlast.simulation.story import replay_command, subjects_of, tell


def failing() -> Case:
    return pick(1, "budgets", "none", mutant="generous-budget")


def test_a_failing_seed_is_told_with_its_rule_its_commit_and_how_to_see_it_again() -> None:
    result = simulate(failing()).result
    text = tell(failing(), result)
    assert text.startswith("seed 1 (budgets x none, mutant generous-budget) at ")
    assert "violated: budget (" in text
    assert "python -m outlast.simulation --seed 1 --workload budgets --faults none --mutant generous-budget" in text
    assert any(line.startswith("    >") and "step.done" in line for line in text.splitlines())


def test_a_run_is_known_by_its_own_name_and_by_its_client_s() -> None:
    trace = ["0.1 client: steps0.1 is run_abc", "0.2 durable run/run_abc@x 1 run.created"]
    assert subjects_of(["doubled: steps0.1/2: worker-4 at 1.0"], trace) >= {"steps0.1", "run_abc"}
    assert subjects_of(["owner: run_abc 3 step.done by x"], trace) >= {"steps0.1", "run_abc"}


def test_a_shrunk_schedule_is_replayed_from_its_file() -> None:
    assert "--schedule FILE" in replay_command(Case(1, "steps", "none", acts=[]))
