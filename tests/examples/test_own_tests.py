"""Each example's own tests, run as its user runs them: from a copy, by its own interpreter."""

from __future__ import annotations

import shutil
import subprocess
import sys
from pathlib import Path

import pytest

EXAMPLES = Path(__file__).resolve().parents[2] / "examples"


@pytest.mark.crash
@pytest.mark.parametrize("example", sorted(path.parent.name for path in EXAMPLES.glob("*/test_app.py")))
def test_the_example_passes_its_own_tests(example: str, tmp_path: Path) -> None:
    copy = tmp_path / "a copy"
    shutil.copytree(EXAMPLES / example, copy, ignore=shutil.ignore_patterns(".outlast", "__pycache__", "*.sqlite*"))
    done = subprocess.run(
        [sys.executable, "-m", "pytest", "-q", "-p", "no:cacheprovider", "test_app.py"],
        cwd=copy,
        capture_output=True,
        text=True,
        timeout=110,
    )
    assert done.returncode == 0, done.stdout + done.stderr
