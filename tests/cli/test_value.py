"""JSON from the command line."""

from __future__ import annotations

import io
import sys
from pathlib import Path

import pytest

from outlast.cli.value import read_json
from outlast.kernel.codec import payload_bytes_max
from outlast.kernel.error import PayloadTooLarge, UsageError


def test_it_is_read_from_the_argument_a_file_or_standard_input(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "a.json").write_text('{"a": [1]}')
    monkeypatch.setattr(sys, "stdin", io.TextIOWrapper(io.BytesIO(b"[2]")))
    assert read_json('"x"', "it") == "x"
    assert read_json(f"@{tmp_path}/a.json", "it") == {"a": [1]}
    assert read_json("-", "it") == [2]


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("approved", "text is written with quotes: '\"approved\"'"),
        ("{", "it is not JSON"),
        ("NaN", "NaN is not json"),
        ("[" * 100_000, "nested too deeply"),
        ("@/nowhere/a.json", "cannot be read: no such file"),
        ("@/tmp", "cannot be read: is a directory"),
    ],
)
def test_what_is_not_json_says_how_to_write_it(text: str, message: str) -> None:
    with pytest.raises(UsageError) as caught:
        read_json(text, "it")
    assert message.lower() in str(caught.value).lower()


def test_a_file_may_not_be_larger_than_a_payload(tmp_path: Path) -> None:
    (tmp_path / "big").write_bytes(b" " * (payload_bytes_max + 1))
    with pytest.raises(PayloadTooLarge):
        read_json(f"@{tmp_path}/big", "it")


def test_a_file_that_is_not_text_is_refused(tmp_path: Path) -> None:
    (tmp_path / "binary").write_bytes(b"\xff\xfe")
    with pytest.raises(UsageError, match="not UTF-8"):
        read_json(f"@{tmp_path}/binary", "it")
