"""Whoever races for the same streams from several processes: each place has one winner, and histories are chains."""

from __future__ import annotations

import asyncio
import itertools

from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from outlast.adapters.postgres.engine import PostgresEngine
from outlast.journal.chain import genesis, link
from outlast.journal.index import HintPatch
from outlast.journal.record import append_id_of
from outlast.journal.stream import Applied, Conflicted, Head, Unknown
from tests.adapters.postgres.opening import Site, opened
from tests.contracts.note import everything, key, note, settle

# who appends, to which stream, how many events, whether with a hint about which run, from how old an end
MOVES = st.lists(
    st.tuples(st.integers(0, 2), st.integers(0, 3), st.integers(1, 3), st.integers(0, 2), st.integers(0, 2)),
    min_size=1,
    max_size=60,
)


_salts = itertools.count()
"""Each example has streams and runs of its own."""


@settings(max_examples=15, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(moves=MOVES)
def test_of_all_who_append_to_a_place_one_wins_and_all_learn_the_same(
    site: Site, moves: list[tuple[int, int, int, int, int]]
) -> None:
    asyncio.run(_race(site, moves, next(_salts)))


async def _race(site: Site, moves: list[tuple[int, int, int, int, int]], salt: int) -> None:
    async with opened(site) as a, opened(site) as b, opened(site) as c:
        engines = (a, b, c)
        ends: dict[str, list[Head]] = {}
        won: dict[str, Head] = {}

        async def move(number: int, who: int, where: int, count: int, run: int, age: int) -> None:
            store = engines[who].journal
            stream = key(store, f"s{salt}-{where}")
            known = ends.setdefault(stream, [genesis(stream)])
            expected = known[max(0, len(known) - 1 - age)]
            hint = HintPatch(f"r{salt}-{run}", mail=number) if run else None
            name = f"{number}"
            append = note(stream, expected, name, *[f"{name}.{index}" for index in range(count)], hint=hint)
            outcome = await settle(store, append)
            assert not isinstance(outcome, Unknown)
            known.append(outcome.head)
            if isinstance(outcome, Applied):
                won[name] = outcome.head
                assert outcome.head == Head(expected.seq + count, link(expected.hash, append.body))
            else:
                assert outcome.head != expected

        await asyncio.gather(*(move(number, *what) for number, what in enumerate(moves)))
        stored = {}
        for stream in ends:
            seen = [await everything(engine.journal, stream) for engine in engines]
            assert seen[0] == seen[1] == seen[2]
            stored.update({append_id_of(record): record.seq + record.count - 1 for record in seen[0]})
        assert stored == {name: head.seq for name, head in won.items()}
        for run in (1, 2):
            told = [number for number, what in enumerate(moves) if what[3] == run and str(number) in won]
            entry = await a.journal.entry(f"r{salt}-{run}")
            assert (entry.mail if entry else 0) == max(told, default=0)


async def test_opposite_orders_of_streams_and_runs_never_end_in_a_deadlock(site: Site) -> None:
    async with opened(site, lock_s_max=30, statement_s_max=40, answer_s_max=60) as one, opened(site) as two:

        async def burst(engine: PostgresEngine, names: list[str], mine: str) -> list[object]:
            store = engine.journal
            appends = []
            for index, name in enumerate(names):
                stream = key(store, f"{name}{mine}")
                appends.append(note(stream, genesis(stream), mine, hint=HintPatch(names[-1 - index], mail=1)))
            return list(await asyncio.gather(*map(store.append, appends)))

        for number in range(20):
            names = [f"r{number}-{index}" for index in range(200)]
            # streams of their own, the same runs: both hold some rows and want the others'
            outcomes = await asyncio.gather(burst(one, names, "a"), burst(two, names[::-1], "b"))
            assert all(isinstance(outcome, Applied) for each in outcomes for outcome in each)
            # the same streams: one of the two gets each
            mine, theirs = await asyncio.gather(burst(one, names[:12], "c"), burst(two, names[11::-1], "c"))
            for left, right in zip(mine, theirs[::-1], strict=True):
                assert isinstance(left, Applied | Conflicted)
                assert isinstance(right, Applied | Conflicted)
