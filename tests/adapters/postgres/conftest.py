from __future__ import annotations

from collections.abc import Iterator

import pytest

from tests.adapters.postgres.opening import Site
from tests.servers.postgres import PostgresServer, running


@pytest.fixture(scope="session")
def server() -> Iterator[PostgresServer]:
    """One server for all tests that leave it as it was; each takes a schema or a database of its own."""
    with running() as server:
        yield server


@pytest.fixture
def site(server: PostgresServer) -> Site:
    """A schema of its own, not made yet."""
    return Site.on(server)
