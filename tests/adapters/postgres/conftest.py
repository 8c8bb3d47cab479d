from __future__ import annotations

from collections.abc import Iterator

import pytest

from tests.servers.postgres import PostgresServer, running


@pytest.fixture(scope="session")
def server() -> Iterator[PostgresServer]:
    """One server for all tests that leave it as it was; each takes a schema or a database of its own."""
    with running() as server:
        yield server


@pytest.fixture
def database(server: PostgresServer, request: pytest.FixtureRequest) -> str:
    """The URL of a new database."""
    taken = server.execute("SELECT count(*) FROM pg_database")[0][0]
    return server.create_database(f"t{taken}")
