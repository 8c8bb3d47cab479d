"""Connects what processes share to the Valkey or Redis server that a reference names."""

from __future__ import annotations

import asyncio
import importlib.util
import logging
import os
from collections.abc import Mapping
from pathlib import Path
from types import TracebackType
from typing import TypeVar

import msgspec

from outlast.adapters.host.clock import SystemClock
from outlast.adapters.host.randomness import OsRandomness
from outlast.adapters.valkey.address import Address
from outlast.adapters.valkey.connection import Connection
from outlast.adapters.valkey.shelf import ValkeyShelf
from outlast.blueprint.secret import Secret
from outlast.bootstrap.vault import vault
from outlast.kernel.error import ConfigurationError
from outlast.kernel.unit import Duration
from outlast.model.shared import Shared, SharedBounds
from outlast.model.shelf import ShelfUnavailable

T = TypeVar("T")

opening_s_max = 0.1
"""How long a caller waits for the address to be read; until it is there, the shelf is away."""


def connection(where: Secret, home: Path, environ: Mapping[str, str], timeout_s: float | None = None) -> Connection:
    """To the server whose URL is there; nothing is connected yet. Raises ConfigurationError.

    `timeout_s`: how long a caller waits for an answer, if not for the default of `ValkeyPlace`.
    """
    if importlib.util.find_spec("valkey") is None:
        raise ConfigurationError("Valkey needs the extra: pip install 'outlast[valkey]'")
    address = Address.parse(where.resolve(environ, home, vault()))
    place = address.place if timeout_s is None else msgspec.structs.replace(address.place, timeout_s=timeout_s)
    return Connection(place, SystemClock(), address.password)


class Valkey:
    """A Valkey or Redis server or cluster through which processes share answers. Extra ``valkey``.

    ``Valkey("env:VALKEY_URL")``: where the URL is, never the URL itself (`env:`, `file:` from the working directory,
    `aws-secret:`); it is read at the first question, so importing the app needs no server. The URL is
    ``valkeys://USER:PASSWORD@HOST:PORT``, with ``?cluster=true`` for a cluster. Where it cannot be read or asked,
    caches go on without it: that costs time, never an answer. For one event loop at a time; close it when done, or use
    it as ``async with``.
    """

    def __init__(self, where: str) -> None:
        """Raises ConfigurationError for what is no reference."""
        self._shelf = _LateShelf(Secret.parse(where))

    def __repr__(self) -> str:
        return f"<valkey of {self._shelf.where}>"

    def shared(
        self, name: str, ttl: Duration, *, version: str, type: type[T], bounds: SharedBounds | None = None
    ) -> Shared[T]:
        """One kind of answer, for ``Cache(..., shared=...)``: kept for `ttl`, read back as `type`.

        `version` must change when the same question gets other answers: with the model, the prompt, the code. Raises
        ConfigurationError, UsageError for a name or time that cannot be.
        """
        return Shared(
            name, self._shelf, ttl, version=version, type=type, clock=SystemClock(), randomness=OsRandomness(),
            bounds=bounds,
        )  # fmt: skip

    async def close(self) -> None:
        """Close its connections."""
        await self._shelf.close()

    async def __aenter__(self) -> Valkey:
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        await self.close()


class _LateShelf:
    """A shelf whose address is read when it is first asked."""

    def __init__(self, where: Secret) -> None:
        self.where = where
        self._opening: asyncio.Task[Connection] | None = None
        self._opened: ValkeyShelf | None = None
        self._said = False

    async def get(self, key: str) -> bytes | None:
        return await (await self._there()).get(key)

    async def put(self, key: str, value: bytes, ttl_s: float) -> None:
        await (await self._there()).put(key, value, ttl_s)

    async def forget(self, key: str) -> None:
        await (await self._there()).forget(key)

    async def lead(self, key: str, token: str, ttl_s: float) -> bool:
        return await (await self._there()).lead(key, token, ttl_s)

    async def leave(self, key: str, token: str) -> None:
        await (await self._there()).leave(key, token)

    def part(self, key: str) -> str:
        return "" if self._opened is None else self._opened.part(key)

    async def close(self) -> None:
        opening, self._opening = self._opening, None
        if opening is not None:
            await asyncio.wait((opening,))
            if opening.exception() is None:
                await opening.result().close()
        self._opened = None

    async def _there(self) -> ValkeyShelf:
        if self._opened is not None:
            return self._opened
        opening = self._opening
        if opening is None:
            reading = asyncio.to_thread(connection, self.where, Path.cwd(), os.environ)
            opening = self._opening = asyncio.get_running_loop().create_task(reading)
        await asyncio.wait((opening,), timeout=opening_s_max)
        if not opening.done():
            raise ShelfUnavailable(f"the address of Valkey ({self.where}) is still being read")
        try:
            found = opening.result()
        except ConfigurationError as error:
            self._give_up(opening, error)
            raise ShelfUnavailable(str(error)) from None
        if self._opened is None:
            self._opened = ValkeyShelf(found)
        return self._opened

    def _give_up(self, opening: asyncio.Task[Connection], error: ConfigurationError) -> None:
        if self._opening is opening:
            self._opening = None  # it may be there next time
        if not self._said:
            self._said = True
            logging.getLogger("outlast").warning("answers are not shared: %s", error)
