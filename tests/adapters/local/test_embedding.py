"""Embeddings and the classifier on top of them."""

from __future__ import annotations

import sys
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import pytest

from outlast.adapters.local.artifact import ChecksumMismatch, artifacts_of, minilm
from outlast.adapters.local.classifier import Classifier
from outlast.adapters.local.embedding import Embedder
from outlast.kernel.error import ConfigurationError, NotFound, UsageError

EXAMPLES = {
    "refund": ["I want my money back", "please refund my order", "cancel it and return what I paid"],
    "delivery": ["where is my parcel", "my order has not arrived", "the courier is late"],
    "account": ["I cannot log in", "reset my password", "change my e-mail address"],
}


@pytest.fixture(scope="module")
def embedder(embeddings: None) -> Embedder:
    return Embedder()


@pytest.mark.real_model
def test_vectors_have_length_one_and_alike_texts_are_close(embedder: Embedder) -> None:
    vectors = embedder.embed(["I want my money back", "please give me a refund", "the weather is nice"])
    assert vectors.shape == (3, 384)
    assert str(vectors.dtype) == "float32"
    assert (vectors**2).sum(axis=1) == pytest.approx([1.0, 1.0, 1.0], abs=1e-5)
    cosines = vectors @ vectors.T
    assert cosines[0, 1] > 0.5 > cosines[0, 2] + 0.2


@pytest.mark.real_model
def test_a_vector_depends_on_its_text_alone(embedder: Embedder) -> None:
    texts = ["a", "where is my parcel, it should have come last week", "", "ünïcödé 🎉", "x" * 100_000]
    together = embedder.embed(texts)
    for text, vector in zip(texts, together, strict=True):
        assert (Embedder().embed([text])[0] == vector).all()
    assert embedder.embed([]).shape == (0, 384)


@pytest.mark.real_model
def test_threads_share_one_embedder(embeddings: None) -> None:
    fresh = Embedder()
    texts = [f"order {number} is late" for number in range(16)]
    with ThreadPoolExecutor(4) as pool:
        found = list(pool.map(lambda text: fresh.embed([text])[0].tobytes(), texts))
    assert found == [fresh.embed([text])[0].tobytes() for text in texts]


@pytest.mark.real_model
@pytest.mark.parametrize(
    ("text", "label"),
    [
        ("Give me a refund!", "refund"),
        ("my package still isn't here", "delivery"),
        ("I forgot my password", "account"),
    ],
)
def test_the_classifier_picks_the_label_of_the_nearest_examples(embedder: Embedder, text: str, label: str) -> None:
    found = Classifier(embedder, EXAMPLES).classify(text)
    assert found.label == label
    assert found.score == max(found.scores.values())
    assert found.margin > 0
    assert Classifier(Embedder(), EXAMPLES).classify(text) == found


class Axes:
    """Vectors along axes: exact ties."""

    def embed(self, texts: Any) -> Any:
        import numpy as np

        return np.array([[1.0, 0.0] if "x" in text else [0.0, 1.0] for text in texts], dtype=np.float32)


def test_equal_scores_give_the_first_label() -> None:
    pytest.importorskip("numpy", reason="the extra local is not installed")
    assert Classifier(Axes(), {"b": ["x"], "a": ["x"]}).classify("x").label == "b"


@pytest.mark.parametrize("examples", [{}, {"one": ["x"]}, {"one": ["x"], "two": []}])
def test_a_classifier_needs_two_labels_with_examples(examples: dict[str, list[str]]) -> None:
    with pytest.raises(UsageError):
        Classifier(Axes(), examples)


def test_missing_and_damaged_files_are_errors_that_say_what_to_do(tmp_path: Path) -> None:
    with pytest.raises(NotFound, match="outlast model pull"):
        Embedder(tmp_path).embed(["x"])
    for artifact in artifacts_of(minilm):
        with (tmp_path / artifact.file).open("wb") as file:
            file.truncate(artifact.file_bytes)
    with pytest.raises(ChecksumMismatch):
        Embedder(tmp_path).embed(["x"])


def test_a_missing_package_of_the_extra_is_an_error_that_says_how_to_install_it() -> None:
    from outlast.adapters.local.extra import required

    with pytest.raises(ConfigurationError, match=r"pip install 'outlast\[local\]'"):
        required("no_such_package_here", "embedding")


def test_nothing_heavy_is_imported_before_it_is_used() -> None:
    import subprocess

    code = (
        "import sys, outlast.cli.model, outlast.adapters.local.embedding, outlast.adapters.local.classifier,"
        " outlast.adapters.local.llama, outlast.adapters.local.pull;"
        "sys.exit(','.join({'numpy', 'onnxruntime', 'tokenizers', 'xllamacpp', 'aiohttp'} & set(sys.modules)) or 0)"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True)
    assert (done.returncode, done.stderr) == (0, "")
