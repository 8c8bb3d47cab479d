"""Servers that stand in for AWS, one of each for all tests of a session."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from tests.servers import dynalite as dynalites
from tests.servers import ministack as ministacks
from tests.servers import moto as motos
from tests.servers.microburst import Faults, microburst


@pytest.fixture(scope="session")
def ministack(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    with ministacks.ministack(tmp_path_factory.mktemp("ministack")) as address:
        yield address


@pytest.fixture(scope="session")
def moto(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    with motos.moto(tmp_path_factory.mktemp("moto")) as address:
        yield address


@pytest.fixture(autouse=True)
def _credentials(monkeypatch: pytest.MonkeyPatch) -> None:
    """Those of nobody: what a test asks stays on loopback, whatever the machine has."""
    for name in ("AWS_PROFILE", "AWS_SESSION_TOKEN", "AWS_ENDPOINT_URL", "AWS_DEFAULT_REGION", "AWS_REGION"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("AWS_ACCESS_KEY_ID", "test")
    monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", "test")
    monkeypatch.setenv("AWS_EC2_METADATA_DISABLED", "true")
    monkeypatch.setenv("AWS_CONFIG_FILE", "/dev/null")
    monkeypatch.setenv("AWS_SHARED_CREDENTIALS_FILE", "/dev/null")


@pytest.fixture(scope="session")
def _proxy(ministack: str, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Faults]:
    with microburst(ministack, tmp_path_factory.mktemp("microburst")) as proxy:
        yield proxy


@pytest.fixture
def faults(_proxy: Faults) -> Iterator[Faults]:
    """A proxy without rules, and without any when the test is over."""
    _proxy.set()
    yield _proxy
    _proxy.set()


@pytest.fixture(scope="session")
def dynalite(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    with dynalites.dynalite(tmp_path_factory.mktemp("dynalite")) as address:
        yield address
