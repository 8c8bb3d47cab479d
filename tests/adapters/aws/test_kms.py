"""Data keys wrapped by KMS: made before use, durable before use, unwrapped once; and what happens when KMS says no.

On ministack and moto, which are not AWS.
"""

from __future__ import annotations

import asyncio
import json
import time
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import pytest

from outlast.adapters.aws.client import Place
from outlast.adapters.aws.kms import KmsSealer
from outlast.adapters.aws.secretsmanager import SecretsManager
from outlast.adapters.host.clock import SystemClock
from outlast.adapters.host.randomness import OsRandomness
from outlast.adapters.keyring.file import make_keys
from outlast.adapters.memory.blob import MemoryBlobs
from outlast.adapters.memory.store import MemoryStore
from outlast.blueprint.load import parse
from outlast.blueprint.secret import Secret
from outlast.bootstrap.sealing import open_sealer
from outlast.journal.audit import audit
from outlast.journal.chain import genesis, verify
from outlast.journal.sealed import SealedStore, sealed
from outlast.journal.sealers import Sealers
from outlast.journal.stream import Append, Outcome, StreamKey, Unknown
from outlast.kernel.error import ConfigurationError, StoreCorrupt, StoreSealed, StoreUnavailable
from tests.adapters.aws.stand_in import Proxy, proxied
from tests.contracts.note import fill, note
from tests.journal.ring import Ring, key_named
from tests.servers.ministack import ministack
from tests.servers.moto import moto
from tests.servers.process import free_port

STREAM = "run/r@0.local.memory"


@pytest.fixture(autouse=True)
def _credentials(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("AWS_ACCESS_KEY_ID", "testing")
    monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", "testing")


@pytest.fixture(scope="module", params=["ministack", "moto"])
def emulator(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    start = ministack if request.param == "ministack" else moto
    with start(tmp_path_factory.mktemp("emulator")) as url:
        yield url


def client_of(service: str, url: str, **more: Any) -> Any:
    import botocore.session

    return botocore.session.get_session().create_client(service, endpoint_url=url, region_name="eu-west-1", **more)


@pytest.fixture(scope="module")
def kms_key(emulator: str) -> str:
    """One for all tests that leave it as it is: moto looks for large primes to make one."""
    whose = {"aws_access_key_id": "testing", "aws_secret_access_key": "testing"}
    return client_of("kms", emulator, **whose).create_key()["KeyMetadata"]["Arn"]


@asynccontextmanager
async def sealer(journal: Any, kms: str, url: str, **more: Any) -> AsyncIterator[KmsSealer]:
    place = Place("eu-west-1", url)
    opened = await KmsSealer.open(kms, "desk", journal, SystemClock(), OsRandomness(), place=place, **more)
    try:
        yield opened
    finally:
        await opened.close()


@pytest.fixture
async def proxy(emulator: str) -> AsyncIterator[Proxy]:
    async with proxied(emulator) as proxy:
        yield proxy


async def test_what_one_process_seals_another_reads_and_kms_is_asked_once(proxy: Proxy, kms_key: str) -> None:
    journal = MemoryStore()
    async with sealer(journal, kms_key, proxy.url) as one:
        await fill(SealedStore(journal, one), STREAM, 5)
        assert proxy.calls == ["GenerateDataKey"]
    proxy.calls.clear()
    async with sealer(journal, kms_key, proxy.url, write=False) as other:
        store = SealedStore(journal, other)
        assert proxy.calls == []
        pages = await asyncio.gather(*(store.read(STREAM) for _ in range(10)))
        assert [json.loads(record.body)["events"][0]["text"] for record in pages[0]] == [f"x{n}" for n in range(5)]
        assert verify(STREAM, pages[0]) == await journal.head(STREAM)
        assert proxy.calls == ["Decrypt"]
        with pytest.raises(StoreSealed, match="only reads"):
            await store.append(note(STREAM, await store.head(STREAM), "late"))


async def test_each_process_has_a_key_of_its_own_and_reads_those_of_all(emulator: str, kms_key: str) -> None:
    journal = MemoryStore()
    async with sealer(journal, kms_key, emulator) as one, sealer(journal, kms_key, emulator) as other:
        assert one.current.id != other.current.id
        for each in (one, other, one):
            await fill(SealedStore(journal, each), STREAM, 1)
        for each in (one, other):
            assert len(await SealedStore(journal, each).read(STREAM)) == 3


async def test_the_wrapped_key_is_in_the_journal_before_it_is_used_and_passes_the_audit(
    emulator: str, kms_key: str
) -> None:
    journal: Any = MemoryStore()
    async with sealer(journal, kms_key, emulator) as one:
        id = one.current.id
        assert StreamKey.parse(id).kind == "key"
        (record,) = await journal.read(id)
        event = json.loads(record.body)["events"][0]
        assert (event["type"], event["kms"], event["system"]) == ("key.wrapped", kms_key, "desk")
        assert one.current._cipher is not None

    async def none() -> list[tuple[str, str]]:
        return []

    journal.damaged_snapshots = none
    report = await audit(journal)
    assert report.whole
    assert report.records == 1


class Away(MemoryStore):
    async def append(self, append: Append) -> Outcome:
        return Unknown("away")


async def test_no_key_is_given_out_that_is_not_durable(
    emulator: str, kms_key: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("outlast.adapters.aws.kms.patience_s", 0.1)
    with pytest.raises(StoreUnavailable, match="outcome of an append stays unknown"):
        async with sealer(Away(), kms_key, emulator):
            pytest.fail("it was given out")


async def test_kms_away_at_the_start_is_a_clear_error() -> None:
    url = f"http://127.0.0.1:{free_port()}"
    with pytest.raises(StoreUnavailable, match="KMS does not answer about a data key of KMS key alias/outlast"):
        async with sealer(MemoryStore(), "alias/outlast", url):
            pass


async def test_kms_away_later_stops_nothing_but_keys_of_others(proxy: Proxy, kms_key: str) -> None:
    journal = MemoryStore()
    async with sealer(journal, kms_key, proxy.url) as one, sealer(journal, kms_key, proxy.url) as other:
        await fill(SealedStore(journal, other), STREAM, 1)
        store = SealedStore(journal, one)
        proxy.errors, proxy.for_ever = [(0, "")], True
        own = STREAM.replace("/r@", "/own@")
        await fill(store, own, 3)
        assert len(await store.read(own)) == 3
        with pytest.raises(StoreUnavailable, match="KMS does not answer about data key key/"):
            await store.read(STREAM)
        proxy.errors, proxy.for_ever = [], False
        assert len(await store.read(STREAM)) == 1, "as soon as it is back"
        proxy.errors, proxy.for_ever = [(0, "")], True
        assert len(await store.read(STREAM)) == 1, "and from then on without it"


@pytest.mark.parametrize(
    "error", [(400, "ThrottlingException"), (500, "KMSInternalException"), (503, "ServiceUnavailable"), (0, "")]
)
async def test_a_throttled_or_failing_kms_is_asked_again_within_a_bound(
    proxy: Proxy, kms_key: str, error: tuple[int, str]
) -> None:
    journal = MemoryStore()
    proxy.errors = [error, error]
    async with sealer(journal, kms_key, proxy.url) as one:
        await fill(SealedStore(journal, one), STREAM, 1)
    assert len(proxy.calls) == 3
    proxy.calls.clear()
    proxy.errors, proxy.for_ever = [error], True
    with pytest.raises(StoreUnavailable):
        async with sealer(journal, kms_key, proxy.url):
            pass
    assert len(proxy.calls) == 3


async def test_a_key_that_kms_refuses_is_an_error_that_says_so_and_is_not_asked_for_again_and_again(
    proxy: Proxy, kms_key: str
) -> None:
    journal = MemoryStore()
    async with sealer(journal, kms_key, proxy.url) as one:
        await fill(SealedStore(journal, one), STREAM, 1)
    proxy.calls.clear()
    proxy.errors, proxy.for_ever = [(400, "AccessDeniedException")], True
    async with sealer(journal, kms_key, proxy.url, write=False) as other:
        for _ in range(3):
            with pytest.raises(StoreSealed, match=r"AccessDeniedException about data key key/.*allow this process"):
                await SealedStore(journal, other).read(STREAM)
    assert proxy.calls == ["Decrypt"]


async def test_a_missing_kms_key_and_a_refusal_at_the_start_are_configuration_errors(proxy: Proxy) -> None:
    with pytest.raises(ConfigurationError, match=r"NotFoundException about a data key of KMS key alias/none"):
        async with sealer(MemoryStore(), "alias/none", proxy.url):
            pass
    proxy.errors = [(400, "AccessDeniedException")]
    with pytest.raises(ConfigurationError, match="kms:GenerateDataKey"):
        async with sealer(MemoryStore(), "alias/none", proxy.url):
            pass


async def test_a_disabled_kms_key_opens_nothing_until_it_is_enabled(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("outlast.adapters.aws.kms.refused_for_s", 0.0)
    with ministack(tmp_path) as url:
        kms = client_of("kms", url)
        arn = kms.create_key()["KeyMetadata"]["Arn"]
        journal = MemoryStore()
        async with sealer(journal, arn, url) as one:
            await fill(SealedStore(journal, one), STREAM, 1)
        kms.disable_key(KeyId=arn)
        async with sealer(journal, arn, url, write=False) as other:
            with pytest.raises(StoreSealed, match=r"DisabledException.*enable the key"):
                await SealedStore(journal, other).read(STREAM)
            kms.enable_key(KeyId=arn)
            assert len(await SealedStore(journal, other).read(STREAM)) == 1


async def test_a_role_without_the_permission_to_decrypt_writes_and_does_not_read(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    with moto(tmp_path, calls_before_policies=4) as url:
        arn = client_of("kms", url).create_key()["KeyMetadata"]["Arn"]
        iam = client_of("iam", url)
        iam.create_user(UserName="writer")
        made = iam.create_access_key(UserName="writer")["AccessKey"]
        allowed = {"Effect": "Allow", "Action": "kms:GenerateDataKey", "Resource": "*"}
        policy = json.dumps({"Version": "2012-10-17", "Statement": [allowed]})
        iam.put_user_policy(UserName="writer", PolicyName="p", PolicyDocument=policy)
        monkeypatch.setenv("AWS_ACCESS_KEY_ID", made["AccessKeyId"])
        monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", made["SecretAccessKey"])
        journal = MemoryStore()
        async with sealer(journal, arn, url) as one:
            await fill(SealedStore(journal, one), STREAM, 1)
        async with sealer(journal, arn, url, write=False) as other:
            with pytest.raises(StoreSealed, match=r"allow this process's role kms:GenerateDataKey and kms:Decrypt"):
                await SealedStore(journal, other).read(STREAM)


async def test_a_wrapped_key_that_was_moved_or_lost_opens_nothing(emulator: str, kms_key: str) -> None:
    journal, moved = MemoryStore(), MemoryStore()
    async with sealer(journal, kms_key, emulator) as one:
        await fill(SealedStore(journal, one), STREAM, 1)
        id = one.current.id
    other = id.replace("key/", "key/x")
    (record,) = await journal.read(id)
    body = record.body.replace(id.encode(), other.encode())
    await moved.append(Append(other, genesis(other), "a", 1, body))
    async with sealer(moved, kms_key, emulator, write=False) as reading:
        with pytest.raises((StoreSealed, StoreCorrupt)):
            await reading.fetch(other)
        with pytest.raises(StoreSealed, match="whose wrapped form is not in the journal"):
            await reading.fetch(id)
        with pytest.raises(StoreSealed, match="none of KMS"):
            await reading.fetch("k1.12345678")


async def test_keys_that_are_kept_are_bounded_and_come_back(
    proxy: Proxy, kms_key: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("outlast.adapters.aws.kms.keys_max", 2)
    journal, streams = MemoryStore(), [STREAM.replace("/r@", f"/r{n}@") for n in range(4)]
    for stream in streams:
        async with sealer(journal, kms_key, proxy.url) as each:
            await fill(SealedStore(journal, each), stream, 1)
    async with sealer(journal, kms_key, proxy.url) as reading:
        for stream in streams + streams:
            assert len(await SealedStore(journal, reading).read(stream)) == 1
        assert len(reading._keys) == 2
        assert reading.known(reading.current.id) is reading.current


async def test_a_system_moves_from_a_key_file_to_kms(emulator: str, kms_key: str) -> None:
    journal, old = MemoryStore(), Ring(key_named("old"))
    await fill(SealedStore(journal, old), STREAM, 1)
    async with sealer(journal, kms_key, emulator) as kms:
        both, blobs = sealed(journal, MemoryBlobs(), Sealers(kms, old))
        await fill(both, STREAM, 1)
        assert len(await both.read(STREAM)) == 2
        assert await blobs.get(await blobs.put(b"payload")) == b"payload"
        with pytest.raises(StoreSealed, match=r"none of KMS.*; .*is not here"):
            await Sealers(kms, old).fetch("k9.00000000")


# -- Secrets Manager --------------------------------------------------------------------------------------------------


def test_a_secret_of_aws_is_read_once_and_only_when_it_is_needed(emulator: str) -> None:
    name = f"outlast/test-{time.monotonic_ns()}"
    client_of("secretsmanager", emulator).create_secret(
        Name=name, SecretString=json.dumps({"writer": "hunter2", "number": 7})
    )
    vault = SecretsManager(Place("eu-west-1", emulator))
    resolve = lambda text: Secret.parse(text).resolve({}, Path(), vault)  # noqa: E731
    assert resolve(f"aws-secret:{name}#writer") == "hunter2"
    assert "hunter2" in resolve(f"aws-secret:{name}")
    for field, found in (("none", "no field none"), ("number", "whose field number is text")):
        with pytest.raises(ConfigurationError, match=found) as caught:
            resolve(f"aws-secret:{name}#{field}")
        assert "hunter2" not in str(caught.value)
    with pytest.raises(ConfigurationError, match=r"Secrets Manager answered ResourceNotFoundException.*see its name"):
        resolve("aws-secret:none")
    assert "hunter2" not in repr(vault)


def test_a_secrets_manager_that_is_away_is_a_configuration_error() -> None:
    vault = SecretsManager(Place("eu-west-1", f"http://127.0.0.1:{free_port()}"))
    with pytest.raises(ConfigurationError, match="Secrets Manager does not answer about secret name"):
        Secret.parse("aws-secret:name").resolve({}, Path(), vault)
    with pytest.raises(ConfigurationError, match="cannot be read by this command"):
        Secret.parse("aws-secret:name#field").resolve({}, Path())


async def test_the_configuration_names_kms_or_a_secret_that_holds_keys(
    emulator: str, kms_key: str, tmp_path: Path
) -> None:
    name = f"outlast/keys-{time.monotonic_ns()}"
    made = make_keys(tmp_path / "keys.json", OsRandomness())
    text = (tmp_path / "keys.json").read_text()
    client_of("secretsmanager", emulator).create_secret(Name=name, SecretString=text)
    for encrypt, id in ((f"aws-secret:{name}", made.keys[0].sealed_as), (f"kms:{kms_key}", "key/")):
        journal = MemoryStore()
        engine = f'dynamodb: {{bucket: abc, region: eu-west-1, endpoint_url: "{emulator}"}}'
        blueprint = parse(f"stores: {{journal: {{encrypt: '{encrypt}', {engine}}}}}".encode())
        async with open_sealer(tmp_path, blueprint, journal) as opened:
            assert opened is not None
            assert opened.current.id.startswith(id)
            await fill(SealedStore(journal, opened), STREAM, 1)
            assert len(await SealedStore(journal, opened).read(STREAM)) == 1
