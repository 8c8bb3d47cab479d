"""What the tests of the server share."""

from __future__ import annotations

from collections.abc import AsyncIterator

import pytest

from outlast.agent.control import Control
from outlast.agent.platform import Platform
from tests.server.site import Site, desk, memory_platform, running


@pytest.fixture
def platform() -> Platform:
    return memory_platform()


@pytest.fixture
def control(platform: Platform) -> Control:
    return Control(platform, desk())


@pytest.fixture
async def site(control: Control) -> AsyncIterator[Site]:
    """A server with default bounds, without a token."""
    async with running(control, desk()) as site:
        yield site
