"""Completion scripts and what they ask for."""

from __future__ import annotations

import shutil
import subprocess
from collections.abc import Callable
from pathlib import Path

import pytest

from tests.cli.conftest import Said


@pytest.mark.parametrize("shell", ["bash", "zsh", "fish"])
def test_the_script_of_each_shell_names_the_variable_that_asks(shell: str, process: Callable[..., Said]) -> None:
    said = process("completion", shell)
    assert said.code == 0
    assert "_OUTLAST_COMPLETE" in said.out
    assert "outlast" in said.out


@pytest.mark.parametrize("shell", ["bash", "zsh", "fish"])
def test_the_shell_itself_accepts_its_script(shell: str, process: Callable[..., Said], tmp_path: Path) -> None:
    program = shutil.which(shell)
    if program is None:
        pytest.skip(f"{shell} is not installed")
    script = tmp_path / "script"
    script.write_text(process("completion", shell).out)
    done = subprocess.run([program, "-n", str(script)], capture_output=True, text=True, timeout=30)
    assert done.returncode == 0, done.stderr


@pytest.mark.parametrize(
    ("words", "found"),
    [("outlast ru", {"run", "runs"}), ("outlast init --", {"--yaml", "--json", "--help"}), ("outlast zz", set())],
)
def test_commands_and_options_are_completed(words: str, found: set[str], process: Callable[..., Said]) -> None:
    count = str(len(words.split()) - 1)
    env = {"_OUTLAST_COMPLETE": "complete_bash", "COMP_WORDS": words, "COMP_CWORD": count}
    assert set(process(env=env).out.split()) == found
