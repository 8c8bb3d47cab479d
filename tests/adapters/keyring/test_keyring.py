"""Keys in a file: made once, never replaced, for their owner alone; and what is said when one is missing."""

from __future__ import annotations

import json
import stat
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from outlast.adapters.host.randomness import OsRandomness
from outlast.adapters.keyring.document import Document, keys_max, new_document, rotated
from outlast.adapters.keyring.file import make_keys, read_keys, rotate_keys
from outlast.adapters.keyring.keyring import Keyring
from outlast.journal.cipher import Key, key_bytes
from outlast.kernel.error import ConfigurationError, Conflict, StoreCorrupt, StoreSealed

CHANCE = OsRandomness()


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "keys.json"


def test_a_new_file_holds_one_key_and_is_its_owners_alone(path: Path) -> None:
    made = make_keys(path, CHANCE)
    assert read_keys(path) == made
    assert [entry.id for entry in made.keys] == ["k1"]
    assert stat.S_IMODE(path.stat().st_mode) == 0o600
    assert [child.name for child in path.parent.iterdir()] == ["keys.json"]


def test_a_file_that_is_there_is_never_replaced_by_a_new_one(path: Path) -> None:
    before = make_keys(path, CHANCE)
    with pytest.raises(Conflict, match="is there already"):
        make_keys(path, CHANCE)
    assert read_keys(path) == before
    assert [child.name for child in path.parent.iterdir()] == ["keys.json"]


def test_a_rotation_puts_a_new_key_first_and_keeps_all_others(path: Path) -> None:
    first = make_keys(path, CHANCE)
    assert [entry.id for entry in rotate_keys(path, CHANCE).keys] == ["k2", "k1"]
    assert [entry.id for entry in rotate_keys(path, CHANCE).keys] == ["k3", "k2", "k1"]
    assert read_keys(path).keys[-1] == first.keys[0]
    assert stat.S_IMODE(path.stat().st_mode) == 0o600
    named = Document.parse(read_keys(path).text().replace(b'"k3"', b'"mine"'), "here")
    assert rotated(named, CHANCE).keys[0].id == "k3"


def test_rotations_at_one_moment_lose_no_key(path: Path) -> None:
    first = make_keys(path, CHANCE)
    with ThreadPoolExecutor(4) as pool:
        made = list(pool.map(lambda _: rotate_keys(path, CHANCE).keys[0], range(40)))
    kept = read_keys(path).keys
    assert [entry.id for entry in kept] == [f"k{number}" for number in range(41, 0, -1)]
    assert {entry.key for entry in kept} == {entry.key for entry in [*made, *first.keys]}


@pytest.mark.parametrize("mode", [0o644, 0o640, 0o602, 0o660])
def test_a_file_that_others_can_open_is_refused(path: Path, mode: int) -> None:
    make_keys(path, CHANCE)
    path.chmod(mode)
    with pytest.raises(ConfigurationError, match=f"has mode {mode:04o}, expected 0600: run chmod 600"):
        read_keys(path)


def test_what_is_no_file_is_refused(path: Path) -> None:
    with pytest.raises(ConfigurationError, match="no such file"):
        read_keys(path)
    path.mkdir()
    with pytest.raises(ConfigurationError, match="is not a file"):
        read_keys(path)


GOOD = json.loads(new_document(CHANCE).text())["keys"][0]["key"]


@pytest.mark.parametrize(
    ("text", "found"),
    [
        ("hunter2", "holds no keys: expected"),
        ("{}", "holds no keys: expected"),
        ('{"keys": []}', "holds 0 keys"),
        ('{"keys": [{"id": "k1", "key": "hunter2?"}]}', "holds no keys: expected"),
        ('{"keys": [{"id": "k1", "key": "aHVudGVyMg=="}]}', f"key k1 has 7 bytes, expected {key_bytes}"),
        (json.dumps({"keys": [{"id": "k1", "key": GOOD}] * 2}), "two keys named k1"),
        (json.dumps({"keys": [{"id": "k 1", "key": GOOD}]}), "key name 'k 1' is not valid"),
        (json.dumps({"keys": [{"id": "k1", "key": GOOD, "secret": 1}]}), "holds no keys: expected"),
        ('{"keys": [' * 10_000, "holds no keys: expected"),
        ("x" * 300_000, "is larger than"),
    ],
)
def test_a_text_that_holds_no_keys_is_refused_and_never_repeated(text: str, found: str) -> None:
    with pytest.raises(Exception, match=found) as caught:
        Keyring.of_variable("KEYS", {"KEYS": text})
    assert caught.type.__module__ == "outlast.kernel.error"
    for secret in ("hunter2", "aHVudGVyMg", GOOD):
        assert secret not in str(caught.value)


def test_too_many_keys_are_refused() -> None:
    document = Document([new_document(CHANCE).keys[0]] * (keys_max + 1))
    with pytest.raises(ConfigurationError, match=f"expected 1 to {keys_max}"):
        document.check("here")


def test_a_variable_that_is_not_set_is_named() -> None:
    with pytest.raises(ConfigurationError, match="environment variable KEYS is not set or empty"):
        Keyring.of_variable("KEYS", {})


def test_no_key_is_shown_by_what_holds_it(path: Path) -> None:
    document = make_keys(path, CHANCE)
    secret = document.keys[0].key
    ring = Keyring.of_file(path)
    for text in (repr(document), repr(document.keys[0]), repr(ring), repr(ring.current), str(ring.current)):
        assert repr(secret)[2:12] not in text
        assert secret.hex()[:8] not in text


async def test_the_newest_key_seals_and_all_open(path: Path) -> None:
    make_keys(path, CHANCE)
    old = Keyring.of_file(path).current
    sealed = old.seal(b"plain", b"place")
    rotate_keys(path, CHANCE)
    ring = Keyring.of_file(path)
    assert ring.current.id != old.id
    key = ring.known(old.id)
    assert key is not None
    assert key.open(sealed, b"place") == b"plain"


async def test_a_process_that_runs_takes_up_a_new_key_when_it_meets_it(path: Path) -> None:
    make_keys(path, CHANCE)
    running = Keyring.of_file(path)
    before = running.current
    rotate_keys(path, CHANCE)
    new = Keyring.of_file(path).current
    assert running.known(new.id) is None
    assert running.current is before
    assert (await running.fetch(new.id)).id == new.id
    assert running.current.id == new.id
    assert running.known(before.id) is before


async def test_a_key_that_was_removed_still_opens_where_it_is_known(path: Path) -> None:
    make_keys(path, CHANCE)
    running = Keyring.of_file(path)
    old = running.current
    path.unlink()
    make_keys(path, CHANCE)
    with pytest.raises(StoreSealed):
        await running.fetch("k7.00000000")
    assert running.current.id != old.id
    assert running.known(old.id) is old


async def test_a_lost_key_a_wrong_key_and_a_lost_file_are_told_apart(path: Path) -> None:
    make_keys(path, CHANCE)
    ring = Keyring.of_file(path)
    with pytest.raises(StoreSealed, match=r"sealed with key k9\.00000000, and key file .* does not hold it.*is lost"):
        await ring.fetch("k9.00000000")
    with pytest.raises(StoreSealed, match=r"holds another key of that name, k1\.[0-9a-f]{8}: put back"):
        await ring.fetch("k1.00000000")
    path.unlink()
    with pytest.raises(StoreSealed, match="cannot be opened: no such file"):
        await ring.fetch("k9.00000000")


@pytest.mark.parametrize("plain", [b"", b"x", b"\x00" * 100_000])
def test_a_key_seals_the_same_alike_and_opens_only_what_it_sealed_where_it_was(plain: bytes) -> None:
    key = Key("k", bytes(range(key_bytes)))
    sealed = key.seal(plain, b"here")
    assert sealed == key.seal(plain, b"here")
    assert len(sealed) == len(plain) + 17
    assert key.open(sealed, b"here") == plain
    assert sealed[:16] != key.seal(plain, b"there")[:16]
    for wrong in (sealed[:-1], sealed + b"x", b"", sealed[:16], bytes([sealed[0] ^ 1]) + sealed[1:]):
        with pytest.raises(StoreCorrupt, match="key k is not what was written"):
            key.open(wrong, b"here")
    with pytest.raises(StoreCorrupt):
        key.open(sealed, b"there")
    with pytest.raises(StoreCorrupt):
        Key("k", bytes(key_bytes)).open(sealed, b"here")


def test_a_key_of_another_size_or_a_strange_name_is_refused() -> None:
    with pytest.raises(ConfigurationError, match=f"has 32 bytes, expected {key_bytes}"):
        Key("k", bytes(32))
    with pytest.raises(ConfigurationError, match="is not valid"):
        Key("k\n", bytes(64))
