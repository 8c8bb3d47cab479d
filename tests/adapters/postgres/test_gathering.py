"""A round holds each stream and each run once, in the order of streams; nobody is passed on their own stream."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from outlast.adapters.postgres.gathering import Gathering
from outlast.journal.index import HintPatch
from outlast.journal.stream import Append, Head

OFFERS = st.lists(st.tuples(st.integers(0, 5), st.integers(0, 3), st.integers(1, 60)), max_size=60)


@given(offers=OFFERS, count_max=st.integers(1, 6), bytes_max=st.integers(1, 100))
def test_every_request_is_taken_once_and_in_the_order_of_its_stream(
    offers: list[tuple[int, int, int]], count_max: int, bytes_max: int
) -> None:
    gathering: Gathering[int] = Gathering(count_max=count_max, bytes_max=bytes_max)
    for number, (stream, run, size) in enumerate(offers):
        hint = HintPatch(f"r{run}") if run else None
        gathering.offer(number, Append(f"s{stream}", Head(0, bytes(32)), f"a{number}", 1, b"x" * size, hint))
    taken: list[int] = []
    while len(gathering):
        round = gathering.take()
        streams = [append.stream for _, append in round]
        runs = [append.hint.run for _, append in round if append.hint]
        assert streams == sorted(set(streams))
        assert len(runs) == len(set(runs))
        assert 1 <= len(round) <= count_max
        assert len(round) == 1 or sum(len(append.body) for _, append in round) <= bytes_max
        taken += [ticket for ticket, _ in round]
    assert sorted(taken) == list(range(len(offers)))
    for stream in range(6):
        mine = [ticket for ticket in taken if offers[ticket][0] == stream]
        assert mine == sorted(mine)
