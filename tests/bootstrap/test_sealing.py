"""What ``stores.journal.encrypt`` leads to."""

from __future__ import annotations

from pathlib import Path

import pytest

from outlast.adapters.host.randomness import OsRandomness
from outlast.adapters.keyring.file import make_keys
from outlast.adapters.memory.blob import MemoryBlobs
from outlast.adapters.memory.store import MemoryStore
from outlast.blueprint.load import parse
from outlast.blueprint.schema import Blueprint
from outlast.bootstrap.engine import Engine
from outlast.bootstrap.sealing import open_sealer, sealing
from outlast.journal.sealed import SealedBlobs, SealedStore
from outlast.kernel.error import ConfigurationError


def blueprint(encrypt: str) -> Blueprint:
    return parse(f"stores: {{journal: {{encrypt: '{encrypt}'}}}}".encode())


async def test_a_file_and_a_variable_hold_the_same_keys(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = tmp_path / "keys.json"
    made = make_keys(path, OsRandomness())
    monkeypatch.setenv("KEYS", path.read_text())
    for encrypt in ("file:keys.json", "env:KEYS"):
        async with open_sealer(tmp_path, blueprint(encrypt), MemoryStore()) as sealer:
            assert sealer is not None
            assert sealer.current.id == made.keys[0].sealed_as


async def test_an_engine_is_sealed_whole_or_left_alone(tmp_path: Path) -> None:
    make_keys(tmp_path / "keys.json", OsRandomness())
    engine = Engine(MemoryStore(), MemoryBlobs())
    async with sealing(tmp_path, blueprint("file:keys.json"), engine) as found:
        assert isinstance(found.journal, SealedStore)
        assert isinstance(found.blobs, SealedBlobs)
    async with sealing(tmp_path, Blueprint(), engine) as found:
        assert found is engine


@pytest.mark.parametrize(
    ("encrypt", "found"), [("file:none.json", "no such file"), ("env:NONE", "NONE is not set or empty")]
)
async def test_keys_that_are_not_there_are_a_clear_error(tmp_path: Path, encrypt: str, found: str) -> None:
    with pytest.raises(ConfigurationError, match=found):
        async with open_sealer(tmp_path, blueprint(encrypt), MemoryStore()):
            pass
