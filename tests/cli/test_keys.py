"""`outlast keys`: what it makes, what it prints, and that a key is never in what it prints."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from outlast.adapters.keyring.file import read_keys
from outlast.cli.exit import ExitCode
from outlast.cli.main import main


def test_keys_are_made_rotated_and_named_and_never_printed(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    path = tmp_path / "keys.json"
    for arguments in (["new"], ["rotate"], ["list"], ["list", "--json"]):
        assert main(["keys", *arguments, "--file", str(path)]) == ExitCode.OK
    out, err = capsys.readouterr()
    document = json.loads(out.splitlines()[-1])
    keys = read_keys(path).keys
    assert document == {
        "file": str(path),
        "current": keys[0].sealed_as,
        "keys": [key.sealed_as for key in keys],
    }
    assert [key.id for key in keys] == ["k2", "k1"]
    for entry in json.loads(path.read_text())["keys"]:
        assert entry["key"] not in out + err
        assert entry["key"][:12] not in out + err


def test_a_key_file_is_not_made_twice_and_not_rotated_before_it_is_made(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    path = tmp_path / "keys.json"
    assert main(["keys", "rotate", "--file", str(path)]) == ExitCode.USAGE
    assert main(["keys", "new", "--file", str(path), "--json"]) == ExitCode.OK
    assert main(["keys", "new", "--file", str(path), "--json"]) == ExitCode.CONFLICT
    assert "is there already" in capsys.readouterr().err
