"""What users install: the built wheel, in an environment of its own."""

from __future__ import annotations

import subprocess
import sys
import sysconfig
import zipfile
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parent.parent
OPTIONAL = {
    "aiobotocore", "botocore", "cryptography", "hypothesis", "numpy", "onnxruntime", "psycopg", "pydantic", "pytest",
    "tokenizers", "valkey", "xllamacpp",
}  # fmt: skip


def call(*command: str | Path, cwd: Path) -> str:
    """Run a command that must succeed; its output."""
    result = subprocess.run(
        [str(part) for part in command], cwd=cwd, capture_output=True, text=True, timeout=110, check=False
    )
    assert result.returncode == 0, result.stdout + result.stderr
    return result.stdout


@pytest.fixture(scope="module")
def wheel(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The wheel, built from this tree without the network."""
    target = tmp_path_factory.mktemp("wheel")
    pip = [sys.executable, "-m", "pip", "wheel", "--no-deps", "--no-build-isolation", "--no-index"]
    call(*pip, "-w", target, ROOT, cwd=target)
    (built,) = target.glob("outlast-*.whl")
    return built


@pytest.fixture(scope="module")
def python(wheel: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The interpreter of a new environment: the wheel is installed, its dependencies are borrowed from this one."""
    home = tmp_path_factory.mktemp("installed") / "env"
    call(sys.executable, "-m", "venv", "--without-pip", home, cwd=home.parent)
    interpreter = home / "bin" / "python"
    pip = [sys.executable, "-m", "pip", "--python", str(interpreter), "install", "--no-deps", "--no-index"]
    call(*pip, wheel, cwd=home.parent)
    (site,) = home.glob("lib/python*/site-packages")
    # a .pth names a folder; .pth files inside that folder (the editable install of this tree) are not followed
    (site / "borrowed.pth").write_text(sysconfig.get_path("purelib") + "\n")
    return interpreter


def test_the_wheel_holds_the_package_its_types_and_nothing_else(wheel: Path) -> None:
    with zipfile.ZipFile(wheel) as archive:
        names = archive.namelist()
    assert "outlast/py.typed" in names
    assert {name.split("/")[0] for name in names} == {"outlast", wheel.name.rsplit("-py3", 1)[0] + ".dist-info"}
    sources = {str(path.relative_to(ROOT / "src")) for path in (ROOT / "src" / "outlast").rglob("*.py")}
    assert sources <= set(names)


def test_the_installed_package_imports_without_the_optional_ones(python: Path, tmp_path: Path) -> None:
    code = "import sys, outlast, outlast.cli.main; print(outlast.__file__); print(*sys.modules)"
    where, modules = call(python, "-W", "error", "-c", code, cwd=tmp_path).splitlines()
    assert Path(where).is_relative_to(python.parent.parent)
    assert not OPTIONAL & set(modules.split())


def test_the_installed_command_shows_its_help(python: Path, tmp_path: Path) -> None:
    shown = call(python.parent / "outlast", "--help", cwd=tmp_path)
    assert "outlast" in shown
    assert "up" in shown


def test_every_public_name_exists(python: Path, tmp_path: Path) -> None:
    code = "import outlast; print(*[name for name in outlast.__all__ if not hasattr(outlast, name)])"
    assert call(python, "-W", "error", "-c", code, cwd=tmp_path).split() == []
