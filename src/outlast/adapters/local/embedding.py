"""Sentence embeddings by MiniLM on onnxruntime: no network, no torch, the same vector for the same text everywhere."""

from __future__ import annotations

import threading
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from outlast.adapters.local.artifact import artifacts_of, minilm, verified
from outlast.adapters.local.extra import required

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

dimensions = 384
"""Length of a vector."""

tokens_max = 256
"""The model reads this many tokens of a text; what follows is ignored."""

text_chars_max = 16_384
"""How much of a text is looked at, to bound the time of one that is huge."""


class Embedder:
    """Vectors that are close for texts that mean alike. Loads its files (0.2 s) at the first use; safe in threads.

    `directory` holds the pulled files, by default the cache. Every text is computed alone and by one thread: so its
    vector depends on nothing else.
    """

    def __init__(self, directory: Path | None = None) -> None:
        self._directory = directory
        self._lock = threading.Lock()
        self._loaded: tuple[Any, Any, Any, frozenset[str]] | None = None

    def embed(self, texts: Sequence[str]) -> NDArray[np.float32]:
        """Float32 vectors of length one: shape (number of texts, 384).

        Raises ConfigurationError without the extra, NotFound if the model was not pulled, ChecksumMismatch if it is
        damaged. Blocks some milliseconds a text: call it in a thread from async code.
        """
        numpy, session, tokenizer, inputs = self._load()
        vectors = numpy.zeros((len(texts), dimensions), dtype=numpy.float32)
        for row, text in enumerate(texts):
            encoding = tokenizer.encode(text[:text_chars_max])
            identifiers = numpy.array([encoding.ids], dtype=numpy.int64)
            mask = numpy.array([encoding.attention_mask], dtype=numpy.int64)
            given = {"input_ids": identifiers, "attention_mask": mask, "token_type_ids": numpy.zeros_like(identifiers)}
            hidden = session.run(None, {name: given[name] for name in inputs})[0][0]
            pooled = hidden.mean(axis=0)  # no padding: every token counts
            vectors[row] = pooled / max(float(numpy.linalg.norm(pooled)), 1e-12)
        return vectors

    def _load(self) -> tuple[Any, Any, Any, frozenset[str]]:
        with self._lock:
            if self._loaded is None:
                model, vocabulary = (verified(artifact, self._directory) for artifact in artifacts_of(minilm))
                numpy = required("numpy", "embedding")
                onnxruntime = required("onnxruntime", "embedding")
                tokenizer = required("tokenizers", "embedding").Tokenizer.from_file(str(vocabulary))
                tokenizer.enable_truncation(tokens_max)
                tokenizer.no_padding()
                options = onnxruntime.SessionOptions()
                options.intra_op_num_threads = 1
                options.inter_op_num_threads = 1
                options.log_severity_level = 3
                session = onnxruntime.InferenceSession(str(model), options, providers=["CPUExecutionProvider"])
                inputs = frozenset(str(item.name) for item in session.get_inputs())
                self._loaded = (numpy, session, tokenizer, inputs)
            return self._loaded
