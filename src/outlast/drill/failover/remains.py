"""What is left in the database: every stream as it stands, read through an engine of the judge's own."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from outlast.drill.recorder import AnyCall, HeadCall, ReadCall, Seen, place_of, seen
from outlast.journal.stream import EventStore
from outlast.kernel.clock import Clock
from outlast.kernel.randomness import Randomness

kinds = ("run", "inbox", "session", "agent")
_page = 500


async def remains(url: str, clock: Clock, randomness: Randomness) -> tuple[Mapping[str, Sequence[Seen]], list[AnyCall]]:
    """Every stream's records, and the looks at them as the last calls of a history. Raises StoreUnavailable."""
    from outlast.adapters.postgres.engine import PostgresEngine
    from outlast.adapters.postgres.options import PostgresOptions

    left: dict[str, Sequence[Seen]] = {}
    last: list[AnyCall] = []
    options = PostgresOptions(url=url, application="judge", migrate=False)
    async with PostgresEngine.open(options, clock, randomness) as engine:
        for kind in kinds:
            after = ""
            while page := await engine.journal.streams(kind, after, _page):
                for stream in page:
                    left[stream], calls = await _look(engine.journal, stream, clock)
                    last += calls
                after = page[-1]
    return left, last


async def _look(journal: EventStore, stream: str, clock: Clock) -> tuple[list[Seen], list[AnyCall]]:
    began = clock.monotonic()
    head = await journal.head(stream)
    between = clock.monotonic()
    records: list[Seen] = []
    while page := await journal.read(stream, records[-1].place.seq if records else 0, _page):
        records += [seen(record) for record in page]
    ended = clock.monotonic()
    looked = HeadCall(client="judge", stream=stream, began=began, ended=between, head=place_of(head))
    limit = len(records) + 1
    found = tuple(records)
    read = ReadCall(client="judge", stream=stream, began=between, ended=ended, after=0, limit=limit, records=found)
    return records, [looked, read]
