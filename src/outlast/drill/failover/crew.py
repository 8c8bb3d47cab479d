"""The processes around the servers: the watcher, and those of the load. Ended by their input, killed if they do not."""

from __future__ import annotations

import asyncio
import sys
from collections.abc import Callable
from pathlib import Path
from types import TracebackType

import msgspec

from outlast.drill.failover.cluster import Cluster
from outlast.drill.failover.load import Account
from outlast.drill.failover.load import Orders as LoadOrders
from outlast.drill.failover.watcher import Orders as WatchOrders
from outlast.drill.failover.watcher import Promotion, Watched
from outlast.drill.recorder import AnyCall, read_book
from outlast.kernel.error import StoreUnavailable

ready_within_s = 60.0
end_within_s = 120.0


class Hand:
    """One process that speaks in lines; `async with` ends it."""

    def __init__(self, module: str, log: Path) -> None:
        self._module = module
        self.log = log
        self._child: asyncio.subprocess.Process | None = None

    @property
    def pid(self) -> int:
        assert self._child is not None
        return self._child.pid

    async def __aenter__(self) -> Hand:
        with self.log.open("ab") as log:
            self._child = await asyncio.create_subprocess_exec(
                sys.executable, "-m", self._module, stdin=asyncio.subprocess.PIPE, stdout=asyncio.subprocess.PIPE,
                stderr=log, limit=2**26,
            )  # fmt: skip
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        assert self._child is not None
        assert self._child.stdin is not None
        self._child.stdin.close()
        if error is not None and self._child.returncode is None:
            self._child.kill()
        try:
            async with asyncio.timeout(end_within_s):
                await self._child.wait()
        finally:
            if self._child.returncode is None:
                self._child.kill()
                await self._child.wait()

    def said(self) -> str:
        """The end of its log."""
        return self.log.read_text(errors="replace")[-2000:]

    async def tell(self, line: bytes) -> None:
        """One line to its input."""
        assert self._child is not None
        assert self._child.stdin is not None
        self._child.stdin.write(line + b"\n")
        await self._child.stdin.drain()

    async def hear(self, within_s: float) -> bytes:
        """One line of its output. Raises StoreUnavailable with the end of its log."""
        assert self._child is not None
        assert self._child.stdout is not None
        line = b""
        try:
            async with asyncio.timeout(within_s):
                line = await self._child.stdout.readline()
        except TimeoutError:
            pass
        if not line:
            raise StoreUnavailable(f"{self._module} said nothing within {within_s:g} s; its log ends:\n{self.said()}")
        return line.strip()


class WatchHand(Hand):
    """The watcher."""

    def __init__(self, cluster: Cluster, password: str) -> None:
        super().__init__("outlast.drill.failover.watcher", cluster.place / "watcher.log")
        servers = tuple(Watched(server.name, server.conninfo(), server.port) for server in cluster.servers)
        self._orders = WatchOrders(cluster.primary.name, servers, password)

    async def __aenter__(self) -> WatchHand:
        await super().__aenter__()
        await self.tell(msgspec.json.encode(self._orders))
        return self

    async def promotion(self, within_s: float) -> Promotion:
        """The next one."""
        return msgspec.json.decode(await self.hear(within_s), type=Promotion)


class LoadHand(Hand):
    """One process of the load, and its book as far as it was read."""

    def __init__(self, orders: LoadOrders) -> None:
        super().__init__("outlast.drill.failover.load", Path(orders.home) / f"load-{orders.number}.log")
        self._orders = orders
        self._read = 0
        self.calls: list[AnyCall] = []

    async def __aenter__(self) -> LoadHand:
        await super().__aenter__()
        try:
            await self.tell(msgspec.json.encode(self._orders))
            await self.hear(ready_within_s)
        except BaseException as error:
            await self.__aexit__(type(error), error, None)
            raise
        return self

    def read(self) -> list[AnyCall]:
        """What was written into its book since; complete lines only."""
        with self._orders.book.open("rb") as book:
            book.seek(self._read)
            data = book.read()
        whole = data[: data.rfind(b"\n") + 1]
        self._read += len(whole)
        new = read_book(whole.splitlines())
        self.calls.extend(new)
        return new

    async def finish(self) -> Account:
        """Have it end what it has begun."""
        await self.tell(b"stop")
        return msgspec.json.decode(await self.hear(end_within_s), type=Account)


Say = Callable[[str], None]
