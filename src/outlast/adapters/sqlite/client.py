"""The journal as the other processes of a cell see it: they read the file themselves and append through the writer."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Sequence
from pathlib import Path

from outlast.adapters.sqlite.connection import Connection
from outlast.adapters.sqlite.database import open_readable
from outlast.adapters.sqlite.link import Link, answer_s_max
from outlast.adapters.sqlite.reader import SqliteReader
from outlast.journal.lineage import Lineage
from outlast.journal.notice import Listener, Listeners
from outlast.journal.removal import Ended
from outlast.journal.snapshot import Snapshot
from outlast.journal.stream import Append, Outcome, Reply, Unknown, check_append
from outlast.kernel.clock import Clock
from outlast.kernel.error import StoreCorrupt, StoreUnavailable


class SqliteClient(SqliteReader):
    """EventStore (also a QuickStore), RunIndex and SnapshotStore beside a writing process.

    It belongs to the event loop it was opened on. Appends of one turn of the loop travel together; any number may be
    in flight. An append whose answer is lost is Unknown: send the identical one again. The connection comes back by
    itself.
    """

    def __init__(self, connection: Connection, path: Path, lineage: Lineage, link: Link, listeners: Listeners) -> None:
        super().__init__(connection, path, lineage)
        self._link = link
        self._listeners = listeners

    @classmethod
    async def open(  # type: ignore[override] # a reader needs no loop
        cls,
        path: Path,
        socket_path: Path,
        *,
        wait_s: float = 10.0,
        answer_s: float = answer_s_max,
        clock: Clock | None = None,
    ) -> SqliteClient:
        """Reach the writing process of the journal `path` at `socket_path`, within `wait_s` seconds.

        `answer_s` is how long an answer is waited for before its outcome is Unknown. Raises StoreUnavailable,
        StoreCorrupt.
        """
        listeners = Listeners()
        link = Link(socket_path, listeners.tell, answer_s=answer_s, clock=clock)
        try:
            async with asyncio.timeout(wait_s):
                welcome = await asyncio.shield(link.welcome)
            connection, lineage = open_readable(path)
            if str(lineage) != welcome.lineage:
                connection.close()
                raise StoreCorrupt(
                    f"journal {path} has lineage {lineage}, the writing process at {socket_path} has "
                    f"{welcome.lineage}: they belong to different directories"
                )
        except TimeoutError:
            link.close()
            raise StoreUnavailable(
                f"the writing process did not answer at {socket_path} within {wait_s:g} s: is `outlast up` running?"
            ) from None
        except BaseException:
            link.close()
            raise
        return cls(connection, path, lineage, link, listeners)

    @property
    def connected(self) -> bool:
        """Whether there is a connection to the writing process now."""
        return self._link.connected

    async def append(self, append: Append) -> Outcome:
        future: asyncio.Future[Outcome] = asyncio.get_running_loop().create_future()
        self.submit(append, future)
        return await future

    def submit(self, append: Append, reply: Reply) -> None:
        """As in QuickStore."""
        check_append(append)
        self._link.append(append, reply)

    async def save(self, snapshot: Snapshot) -> None:
        _known(await self._link.save(snapshot))

    async def remove(self, runs: Sequence[Ended]) -> None:
        """As in Shrinking."""
        _known(await self._link.remove(runs))

    async def ping(self) -> None:
        """One round trip to the writing process. Raises StoreUnavailable."""
        _known(await self._link.ping())

    def listen(self, listener: Listener, *, steps: bool = True) -> Callable[[], None]:
        """As in EventStore."""
        leave = self._listeners.add(listener, steps=steps)
        self._link.subscribe(steps=self._listeners.steps)

        def stop() -> None:
            leave()
            self._link.subscribe(steps=self._listeners.steps)

        return stop

    def close(self) -> None:
        """End the connection and close the file; any number of times."""
        self._link.close()
        super().close()


def _known(result: Unknown | None) -> None:
    if result is not None:
        raise StoreUnavailable(f"{result.reason}; try again")
