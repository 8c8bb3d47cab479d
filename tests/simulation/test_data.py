from __future__ import annotations

from pathlib import Path

import pytest

from outlast.kernel.error import ConfigurationError
from outlast.simulation.data import Faults, Workload, load, names


@pytest.mark.parametrize("name", names("workload"))
def test_every_workload_that_ships_can_be_read_under_its_name(name: str) -> None:
    assert load("workload", name, Workload).name == name


@pytest.mark.parametrize("name", names("fault"))
def test_every_file_of_faults_that_ships_can_be_read_under_its_name(name: str) -> None:
    assert load("fault", name, Faults).name == name


def test_a_file_of_one_s_own_is_named_by_its_path(tmp_path: Path) -> None:
    path = tmp_path / "mine.json"
    path.write_text('{"name": "mine", "runs": [{"program": [["once"]], "count": 2}]}')
    assert load("workload", str(path), Workload).runs[0].count == 2


def test_what_is_not_there_or_not_understood_is_refused(tmp_path: Path) -> None:
    with pytest.raises(ConfigurationError, match=r"there are .*steps"):
        load("workload", "nothing", Workload)
    path = tmp_path / "mine.json"
    path.write_text('{"name": "mine", "runs": [], "spread": 2}')
    with pytest.raises(ConfigurationError, match="unknown field `spread`"):
        load("workload", str(path), Workload)
