from __future__ import annotations

import io
import json
from pathlib import Path

import pytest

from outlast.simulation.__main__ import Progress, main, progress_every_s

BAD = ["--workload", "budgets", "--faults", "none", "--mutant", "generous-budget"]


def test_a_sample_prints_its_figures(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["--seeds", "2", "--workload", "steps", "--faults", "none", "--json", "--coverage"]) == 0
    figures = json.loads(capsys.readouterr().out)
    assert {"seeds", "violations", "crashes", "events", "virtual_hours", "wall_s", "first_failing_seed"} <= set(figures)
    assert (figures["seeds"], figures["violations"], figures["first_failing_seed"]) == (2, 0, None)
    assert figures["coverage"]["reached"]["append.after"] > 0


def test_a_violation_is_told_and_makes_the_exit_code_1(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["--seeds", "1", "--start", "4", *BAD]) == 1
    told = capsys.readouterr()
    assert "first_failing_seed      4" in told.out
    assert "violated: budget" in told.err
    assert "replay: python -m outlast.simulation --seed 4 --workload budgets" in told.err


def test_progress_shows_now_and_then_where_there_is_no_terminal() -> None:
    stream = io.StringIO()
    progress = Progress(stream)
    for tenth in range(25):
        progress.show(f"{tenth}/25 seeds", tenth * progress_every_s / 10)
    assert stream.getvalue() == "10/25 seeds\n20/25 seeds\n"


def test_one_seed_is_replayed_exactly_with_its_trace(capsys: pytest.CaptureFixture[str]) -> None:
    outputs = []
    for _ in range(2):
        assert main(["--seed", "5", "--workload", "steps", "--faults", "crashes", "--trace"]) == 0
        outputs.append(capsys.readouterr().out.splitlines())
    assert outputs[0][:-1] == outputs[1][:-1]  # the last line holds seconds of processor
    assert any("run.completed" in line for line in outputs[0])


def test_a_schedule_is_shrunk_and_replayed_from_its_file(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["--seed", "1", *BAD, "--shrink", "--tries", "20"]) == 1
    path = tmp_path / "schedule.json"
    path.write_text(capsys.readouterr().out)
    assert json.loads(path.read_text())["acts"] == []
    assert main(["--schedule", str(path), "--json"]) == 1
    assert json.loads(capsys.readouterr().out)["violations"]


def test_one_mutant_can_be_asked_about(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["--mutants", "--mutant", "generous-budget", "--seeds", "3", "--json"]) == 0
    figures = json.loads(capsys.readouterr().out)
    assert (figures["mutants_total"], figures["mutants_caught"]) == (1, 1)
    assert figures["seeds_to_catch"] == {"generous-budget": 1}


@pytest.mark.parametrize(
    "arguments",
    [["--workload", "nothing"], ["--faults", "nothing"], ["--mutant", "nothing"], ["--seeds", "0"], ["--jobs", "0"],
     ["--schedule", "/nowhere/schedule.json"]],
)  # fmt: skip
def test_what_cannot_be_done_is_refused_with_exit_code_2(
    arguments: list[str], capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(arguments) == 2
    assert capsys.readouterr().err.startswith("error: ")


def test_an_unknown_option_is_refused_with_exit_code_2() -> None:
    with pytest.raises(SystemExit) as exit:
        main(["--nothing"])
    assert exit.value.code == 2
