"""The house rules that an import graph can show: layers, cycles, the root package."""

from __future__ import annotations

import shutil
import subprocess
import sys
from pathlib import Path

import grimp
import pytest

ROOT = Path(__file__).resolve().parent.parent


def lint_imports(tree: Path) -> subprocess.CompletedProcess[str]:
    """Check the contracts of pyproject.toml against the package in `tree`/src."""
    code = "import sys; sys.path.insert(0, 'src'); from importlinter.cli import lint_imports; sys.exit(lint_imports())"
    return subprocess.run(
        [sys.executable, "-c", code, "--no-cache"], cwd=tree, capture_output=True, text=True, timeout=60, check=False
    )


def copy_of_the_package(target: Path) -> Path:
    """A copy of pyproject.toml and of the package that a test may spoil."""
    shutil.copy(ROOT / "pyproject.toml", target)
    shutil.copytree(ROOT / "src", target / "src", ignore=shutil.ignore_patterns("__pycache__"))
    return target / "src" / "outlast"


def test_lower_layers_never_import_upper_ones() -> None:
    result = lint_imports(ROOT)
    assert result.returncode == 0, result.stdout + result.stderr


def test_a_module_in_no_layer_is_refused(tmp_path: Path) -> None:
    (copy_of_the_package(tmp_path) / "attic.py").write_text('"""In no layer."""\n')
    result = lint_imports(tmp_path)
    assert result.returncode != 0
    assert "outlast.attic" in result.stdout


def test_an_import_upwards_is_refused_even_inside_a_function(tmp_path: Path) -> None:
    package = copy_of_the_package(tmp_path)
    (package / "kernel" / "bad.py").write_text("def f() -> None:\n    import outlast.journal.stream\n")
    result = lint_imports(tmp_path)
    assert result.returncode != 0
    assert "outlast.kernel.bad" in result.stdout


def test_nothing_inside_imports_the_root_package() -> None:
    graph = grimp.build_graph("outlast", cache_dir=None)
    assert graph.find_modules_that_directly_import("outlast") == set()


@pytest.mark.parametrize(
    "source",
    [
        "import time\nx = time.time()\n",
        "import random\n",
        "import asyncio\nasync def f():\n    await asyncio.sleep(1)\n",
    ],
)
def test_time_and_chance_are_refused_outside_the_host_adapter(source: str) -> None:
    command = ["ruff", "check", "--select", "TID251", "--stdin-filename", "src/outlast/policy/x.py", "-"]
    result = subprocess.run(
        [sys.executable, "-m", *command],
        cwd=ROOT,
        input=source,
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
    assert result.returncode == 1
    assert "TID251" in result.stdout
