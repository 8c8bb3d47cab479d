"""Every Python example of README.md and docs/ is checked by pyright in strict mode and executed.

A fenced ``python`` block is a file of its own. Two first lines change that: ``# continues`` joins it to the block
before, ``# no run: reason`` has it checked and not executed.
"""

from __future__ import annotations

import json
import re
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]
DOCUMENTS = [ROOT / "README.md", ROOT / "CONTRIBUTING.md", *sorted((ROOT / "docs").rglob("*.md"))]
FENCE = re.compile(r"^(?P<indent> *)```python[^\n]*\n(?P<code>.*?)^(?P=indent)```", re.MULTILINE | re.DOTALL)


@dataclass(frozen=True)
class Example:
    """One example: its code stands on the lines it has in the document, so that messages point there."""

    document: Path
    line: int
    code: str
    runs: bool

    @property
    def name(self) -> str:
        return f"{self.document.relative_to(ROOT)}:{self.line}"

    @property
    def file_name(self) -> str:
        return re.sub(r"[^a-z0-9]+", "_", self.name.lower()) + ".py"


def examples_of(document: Path, text: str) -> list[Example]:
    """The examples of one document."""
    found: list[Example] = []
    for match in FENCE.finditer(text):
        line = text.count("\n", 0, match.start("code")) + 1
        indent = len(match["indent"])
        code = "\n".join(part[indent:] for part in match["code"].splitlines()) + "\n"
        first = code.split("\n", 1)[0]
        if first.startswith("# continues"):
            assert found, f"{document}:{line} continues nothing"
            before = found.pop()
            padding = "\n" * (line - 1 - before.code.count("\n"))
            found.append(Example(document, before.line, before.code + padding + code, before.runs))
        else:
            found.append(Example(document, line, "\n" * (line - 1) + code, not first.startswith("# no run: ")))
    return found


EXAMPLES = [example for document in DOCUMENTS for example in examples_of(document, document.read_text("utf-8"))]


def test_examples_are_found_and_joined(tmp_path: Path) -> None:
    text = "# T\n```python\nx = 1\n```\ntext\n```python\n# continues\ny = x\n```\n```python\n# no run: asks\nz\n```\n"
    joined, still = examples_of(ROOT / "T.md", text)
    assert joined.code == "\n\nx = 1\n\n\n\n# continues\ny = x\n"
    assert (joined.runs, still.runs, still.line) == (True, False, 11)


def test_the_readme_has_an_example() -> None:
    assert any(example.document.name == "README.md" for example in EXAMPLES)


def test_examples_are_strictly_typed(tmp_path: Path) -> None:
    for example in EXAMPLES:
        (tmp_path / example.file_name).write_text(example.code, "utf-8")
    settings = {
        "typeCheckingMode": "strict",
        "pythonVersion": "3.11",
        "extraPaths": [str(ROOT / "src")],
        "reportUnusedFunction": "none",  # `@refund.verify` decorates a function that is called `_` or never again
        "reportMissingTypeStubs": "none",
    }
    (tmp_path / "pyrightconfig.json").write_text(json.dumps(settings))
    command = [sys.executable, "-m", "pyright", "--pythonpath", sys.executable, "--outputjson", "-p", str(tmp_path)]
    result = subprocess.run(command, capture_output=True, text=True, timeout=110, check=False)
    report = json.loads(result.stdout)
    names = {example.file_name: example for example in EXAMPLES}
    faults = [
        f"{names[Path(entry['file']).name].document.relative_to(ROOT)}:{entry['range']['start']['line'] + 1}: "
        f"{entry['message']}"
        for entry in report["generalDiagnostics"]
    ]
    assert report["summary"]["filesAnalyzed"] == len(EXAMPLES)
    assert not faults, "\n".join(faults)


@pytest.mark.parametrize("example", [each for each in EXAMPLES if each.runs], ids=lambda each: each.name)
def test_an_example_runs(example: Example, tmp_path: Path) -> None:
    path = tmp_path / "app.py"
    path.write_text(example.code, "utf-8")
    result = subprocess.run(
        [sys.executable, "-W", "error", str(path)],
        cwd=tmp_path,
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
    assert result.returncode == 0, f"{example.name}\n{result.stdout}{result.stderr}"
