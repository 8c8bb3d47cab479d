"""What `stores.journal.encrypt` may say."""

from __future__ import annotations

from pathlib import Path

import pytest

from outlast.adapters.host.randomness import OsRandomness
from outlast.adapters.keyring.file import make_keys
from outlast.adapters.memory.store import MemoryStore
from outlast.bootstrap.encryption import open_sealer
from outlast.kernel.error import ConfigurationError


async def test_a_file_and_a_variable_hold_the_same_keys(tmp_path: Path) -> None:
    path = tmp_path / "keys.json"
    made = make_keys(path, OsRandomness())
    for encrypt, environ in (("file:keys.json", {}), ("env:KEYS", {"KEYS": path.read_text()})):
        async with open_sealer(encrypt, tmp_path, environ, system="desk", journal=MemoryStore()) as sealer:
            assert sealer.current.id == made.keys[0].sealed_as


@pytest.mark.parametrize("encrypt", ["aHVudGVyMg==", "file:", "vault:hunter2", ""])
async def test_what_is_no_reference_is_refused_and_not_repeated(tmp_path: Path, encrypt: str) -> None:
    with pytest.raises(ConfigurationError, match="expected env:NAME, file:PATH, aws-secret:NAME or kms:KEY") as caught:
        async with open_sealer(encrypt, tmp_path, {}, system="desk", journal=MemoryStore()):
            pass
    assert "hunter2" not in str(caught.value)
    assert "aHVudGVy" not in str(caught.value)


@pytest.mark.parametrize(
    ("encrypt", "found"), [("file:none.json", "no such file"), ("env:NONE", "NONE is not set or empty")]
)
async def test_keys_that_are_not_there_are_a_clear_error(tmp_path: Path, encrypt: str, found: str) -> None:
    with pytest.raises(ConfigurationError, match=found):
        async with open_sealer(encrypt, tmp_path, {}, system="desk", journal=MemoryStore()):
            pass
