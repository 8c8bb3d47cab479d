"""What the crash tests of several engines share."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator

import pytest

from tests.crash.engines import Servers


@pytest.fixture(scope="session")
def servers(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Servers]:
    with contextlib.ExitStack() as stack:
        yield Servers(tmp_path_factory.mktemp("servers"), stack)

