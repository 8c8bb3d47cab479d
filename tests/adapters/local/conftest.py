"""Real models for tests."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from outlast.adapters.local.artifact import minilm, smollm2
from outlast.adapters.local.process import LocalModelServer
from tests.real_model import need


@pytest.fixture(scope="session")
def embeddings() -> None:
    """MiniLM and what runs it are here."""
    need(minilm, "onnxruntime")


@pytest.fixture(scope="session")
def model() -> None:
    """SmolLM2 and what runs it are here."""
    need(smollm2, "xllamacpp")


@pytest.fixture(scope="session")
def model_server(model: None) -> Iterator[LocalModelServer]:
    """A real model behind HTTP, for all tests of the session."""
    with LocalModelServer() as server:
        yield server
