"""A client of one AWS service: made when it is first needed, without retries of its own, closed with its owner."""

from __future__ import annotations

import asyncio
import functools
from contextlib import AsyncExitStack
from typing import Any, cast

import msgspec

from outlast.kernel.error import ConfigurationError

connect_timeout_s = 3.0
"""Bound of one connection, TLS included."""
connections_max = 256
"""Requests under way at once; more wait for a connection."""


class Place(msgspec.Struct, frozen=True):
    """Where a service is: its region (None: from the environment) and, for emulators and private links, its address."""

    region: str | None = None
    endpoint_url: str | None = None


@functools.cache
def _loader() -> Any:
    """Reads the services' models, each once in a process."""
    from botocore import loaders  # pyright: ignore[reportMissingTypeStubs] (it ships none)

    return cast("Any", loaders).create_loader()


class Client:
    """One service's client, from the standard credential chain."""

    def __init__(
        self, service: str, place: Place, read_timeout_s: float, connections_max: int = connections_max
    ) -> None:
        self._service = service
        self._place = place
        self._read_timeout_s = read_timeout_s
        self._connections_max = connections_max
        self._stack = AsyncExitStack()
        self._making: asyncio.Task[Any] | None = None
        self._closing: asyncio.Task[None] | None = None

    async def get(self) -> Any:
        """The client. Raises ConfigurationError without the extra ``aws``, and what botocore raises."""
        if self._making is None or (self._making.done() and (self._making.cancelled() or self._making.exception())):
            self._making = asyncio.get_running_loop().create_task(self._make())
        return await asyncio.shield(self._making)

    async def _make(self) -> Any:
        try:
            from aiobotocore import config as configs  # pyright: ignore[reportMissingTypeStubs] (it ships none)
            from aiobotocore import session as sessions  # pyright: ignore[reportMissingTypeStubs] (nor here)
        except ImportError:
            raise ConfigurationError("AWS needs the extra: pip install 'outlast[aws]'") from None
        config = configs.AioConfig(
            retries={"total_max_attempts": 1, "mode": "standard"},  # the pool retries, elsewhere and on a budget
            connect_timeout=connect_timeout_s,
            read_timeout=self._read_timeout_s,
            max_pool_connections=self._connections_max,
            s3=None if self._place.endpoint_url is None else {"addressing_style": "path"},  # it has no host per bucket
        )
        session: Any = sessions.get_session()  # pyright: ignore[reportUnknownMemberType] (no stubs)
        # Reading a service's model takes a tenth of a second and more: not in the loop.
        loader = _loader()
        session.register_component("data_loader", loader)
        for kind in ("service-2", "endpoint-rule-set-1"):
            await asyncio.to_thread(loader.load_service_model, self._service, kind)
        made = session.create_client(
            self._service, region_name=self._place.region, endpoint_url=self._place.endpoint_url, config=config
        )
        return await self._stack.enter_async_context(made)

    def close(self) -> None:
        """Close its connections, in the background."""
        if self._making is not None and self._closing is None:
            self._making.cancel()
            self._closing = asyncio.get_running_loop().create_task(self._stack.aclose())

    async def closed(self) -> None:
        """Close and wait for it."""
        self.close()
        if self._closing is not None:
            await self._closing
