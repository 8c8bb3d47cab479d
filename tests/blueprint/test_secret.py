"""Secrets by reference."""

from __future__ import annotations

from pathlib import Path

import pytest

from outlast.blueprint.secret import Secret, secret_bytes_max
from outlast.kernel.error import ConfigurationError


def test_a_reference_reads_back_as_it_was_written() -> None:
    for text in ("env:WRITER_KEY", "file:.secrets/writer key.txt"):
        assert str(Secret.parse(text)) == text


@pytest.mark.parametrize(
    "text", ["sk-hunter2", "env:", "env:1A", "env:A B", "file:", "ENV:A", "file:a\nb", "vault:hunter2", ""]
)
def test_what_is_not_a_reference_is_refused_and_never_repeated(text: str) -> None:
    with pytest.raises(ConfigurationError) as caught:
        Secret.parse(text)
    assert "hunter2" not in str(caught.value)
    assert "env:NAME or file:PATH" in str(caught.value)


def test_an_environment_variable_is_read_without_white_space(tmp_path: Path) -> None:
    assert Secret.parse("env:KEY").resolve({"KEY": " hunter2\n"}, tmp_path) == "hunter2"


def test_a_file_is_found_from_the_project_directory(tmp_path: Path) -> None:
    (tmp_path / "key").write_text("hunter2\n")
    assert Secret.parse("file:key").resolve({}, tmp_path) == "hunter2"


@pytest.mark.parametrize(
    ("content", "found"),
    [
        (None, "no such file"),
        (b"", "the file is empty"),
        (b" \n", "the file is empty"),
        (b"\xff\xfe", "not text"),
        (b"a" * (secret_bytes_max + 1), "larger than"),
        (b"hunter2\nhunter3", "several lines"),
    ],
)
def test_a_file_that_holds_no_secret_is_named_and_not_shown(tmp_path: Path, content: bytes | None, found: str) -> None:
    if content is not None:
        (tmp_path / "key").write_bytes(content)
    with pytest.raises(ConfigurationError, match=found) as caught:
        Secret.parse("file:key").resolve({}, tmp_path)
    assert "file:key" in str(caught.value)
    assert "hunter" not in str(caught.value)


def test_a_missing_variable_is_named(tmp_path: Path) -> None:
    with pytest.raises(ConfigurationError, match="environment variable KEY is not set"):
        Secret.parse("env:KEY").resolve({}, tmp_path)
