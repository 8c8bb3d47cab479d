"""A real server passes the suite of shelves; slow, frozen or gone, it costs no more than its time-out."""

from __future__ import annotations

import asyncio
import subprocess
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any, TypeVar

import pytest

from outlast.adapters.host.clock import SystemClock
from outlast.adapters.valkey.connection import Connection, ValkeyPlace
from outlast.adapters.valkey.shelf import ValkeyShelf
from outlast.kernel.error import ConfigurationError
from outlast.model.shelf import ShelfUnavailable
from tests.adapters.valkey.server import PASSWORD, Server, cluster, server
from tests.contracts.shelf import ShelfContract

pytest.importorskip("valkey")

T = TypeVar("T")


@pytest.fixture(scope="module")
def alone(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    with server(tmp_path_factory.mktemp("valkey")) as started:
        yield started


@pytest.fixture(scope="module")
def three(tmp_path_factory: pytest.TempPathFactory) -> Iterator[list[Server]]:
    with cluster(tmp_path_factory.mktemp("cluster")) as servers:
        yield servers


@asynccontextmanager
async def shelf_at(*nodes: str, **options: Any) -> AsyncIterator[ValkeyShelf]:
    password = options.pop("password", PASSWORD)
    place = ValkeyPlace(nodes, **{"timeout_s": 1.0, **options})
    connection = Connection(place, SystemClock(), lambda: password)
    try:
        yield ValkeyShelf(connection)
    finally:
        await connection.close()


class TestOneServer(ShelfContract):
    @pytest.fixture(autouse=True)
    def _there(self, alone: Server) -> None:
        alone.cli("flushall")
        self.server = alone

    @asynccontextmanager
    async def opened(self) -> AsyncIterator[ValkeyShelf]:
        async with shelf_at(self.server.node) as shelf:
            yield shelf

    async def test_a_frozen_server_costs_its_time_out_and_then_it_is_there_again(self) -> None:
        async with shelf_at(self.server.node, timeout_s=0.05, late_s=5.0) as shelf:
            await _awake(shelf)
            await _patiently(lambda: shelf.put("a", b"1", 60))
            await _patiently(lambda: shelf.put("b", b"2", 60))
            self.server.freeze()
            try:
                for key in ("a", "b", "a"):
                    with pytest.raises(ShelfUnavailable, match=r"did not answer within 0\.05 s"):
                        await shelf.get(key)
            finally:
                self.server.thaw()
            for _ in range(50):  # no late answer is taken for another's
                assert await _patiently(lambda: shelf.get("b")) == b"2"
                assert await _patiently(lambda: shelf.get("a")) == b"1"

    async def test_late_answers_are_bounded(self) -> None:
        async with shelf_at(self.server.node, timeout_s=0.02, late_s=5.0, late_max=3) as shelf:
            await _awake(shelf)
            self.server.freeze()
            try:
                for _ in range(3):
                    with pytest.raises(ShelfUnavailable, match="within"):
                        await shelf.get("a")
                with pytest.raises(ShelfUnavailable, match="3 answers are late already"):
                    await shelf.get("a")
            finally:
                self.server.thaw()

    async def test_a_wrong_password_is_said_without_saying_it(self) -> None:
        async with shelf_at(self.server.node, password="guessed") as shelf:
            with pytest.raises(ShelfUnavailable, match="valkey did not answer: ") as told:
                await shelf.get("a")
        assert "guessed" not in str(told.value)


class TestCluster(ShelfContract):
    @pytest.fixture(autouse=True)
    def _there(self, three: list[Server]) -> None:
        for each in three:
            each.cli("flushall")
        self.servers = three

    @asynccontextmanager
    async def opened(self) -> AsyncIterator[ValkeyShelf]:
        async with shelf_at(self.servers[0].node, cluster=True) as shelf:
            yield shelf

    async def test_keys_are_spread_over_three_parts(self) -> None:
        async with self.opened() as shelf:
            await _awake(shelf)
            assert len({shelf.part(f"key{number}") for number in range(100)}) == 3


async def test_a_server_that_is_gone_is_said(tmp_path: Path) -> None:
    with server(tmp_path) as started:
        node = started.node
    async with shelf_at(node) as shelf:
        with pytest.raises(ShelfUnavailable, match="valkey did not answer: "):
            await shelf.get("a")


async def test_tls_is_checked(tmp_path: Path) -> None:
    _certificate(tmp_path)
    files = ("--tls-cert-file", str(tmp_path / "cert.pem"), "--tls-key-file", str(tmp_path / "key.pem"))
    trust = ("--tls-ca-cert-file", str(tmp_path / "cert.pem"), "--tls-auth-clients", "no")
    with server(tmp_path / "data", "--tls-port", "PORT", "--port", "0", *files, *trust) as started:
        async with shelf_at(started.node, tls=True, ca_file=str(tmp_path / "cert.pem")) as shelf:
            await _awake(shelf)
            await shelf.put("a", b"1", 60)
            assert await shelf.get("a") == b"1"
        async with shelf_at(started.node, tls=True) as shelf:
            with pytest.raises(ShelfUnavailable, match="certificate"):
                await shelf.get("a")


@pytest.mark.parametrize("nodes", [(), ("localhost",), ("localhost:http",), (":6379",)])
def test_what_is_no_address_is_refused(nodes: tuple[str, ...]) -> None:
    with pytest.raises(ConfigurationError, match="host:port"):
        ValkeyPlace(nodes)


async def _awake(shelf: ValkeyShelf) -> None:
    """Connected, and nothing is late: the first connection may take longer than any answer."""
    await _patiently(lambda: shelf.get("awake"))
    await asyncio.gather(*shelf._connection._late, return_exceptions=True)


async def _patiently(ask: Callable[[], Awaitable[T]]) -> T:
    """The first answer that comes in time: on a busy machine one may not."""
    async with asyncio.timeout(20):
        while True:
            try:
                return await ask()
            except ShelfUnavailable:
                await asyncio.sleep(0.02)


def _certificate(directory: Path) -> None:
    subject = ["-subj", "/CN=127.0.0.1", "-addext", "subjectAltName=IP:127.0.0.1"]
    files = ["-keyout", str(directory / "key.pem"), "-out", str(directory / "cert.pem")]
    command = ["openssl", "req", "-x509", "-newkey", "rsa:2048", "-nodes", "-days", "2", *subject, *files]
    subprocess.run(command, check=True, capture_output=True, timeout=60)
