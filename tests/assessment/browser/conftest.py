"""One Chromium for all tests of this folder, and what they look at."""

from __future__ import annotations

from collections.abc import AsyncIterator, Iterator

import pytest

from tests.servers.chromium import Page, axe, chromium, page


@pytest.fixture(scope="session")
def browser(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """The address of a Chromium that was started for this."""
    with chromium(tmp_path_factory.mktemp("chromium")) as address:
        yield address


@pytest.fixture(scope="session")
def axe_source() -> str:
    """axe-core, to be evaluated in a page."""
    return axe()


@pytest.fixture
async def tab(browser: str) -> AsyncIterator[Page]:
    """A new tab."""
    async with page(browser) as found:
        yield found
