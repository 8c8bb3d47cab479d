"""Imports the support desk as `outlast` does: from its own directory."""

from __future__ import annotations

import importlib
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from types import ModuleType

import pytest

DESK = Path(__file__).resolve().parents[2] / "examples" / "support_desk"
Load = Callable[[str], ModuleType]


@pytest.fixture
def load(monkeypatch: pytest.MonkeyPatch) -> Iterator[Load]:
    """Import a module of the example by name; it is forgotten after the test."""
    monkeypatch.syspath_prepend(str(DESK))
    for name in [path.stem for path in DESK.glob("*.py")]:
        monkeypatch.delitem(sys.modules, name, raising=False)  # another test's `app` is not this one
    before = set(sys.modules)
    yield importlib.import_module
    for name in set(sys.modules) - before:
        if str(getattr(sys.modules[name], "__file__", "")).startswith(str(DESK)):
            del sys.modules[name]
