"""The checker catches what it is there to catch, and refuses nothing that a good store may do."""

from __future__ import annotations

import pytest

from outlast.drill.linearizability import judge_history, judge_stream
from outlast.drill.recorder import Answer, AppendCall, HeadCall, Place, ReadCall, Seen, place_of
from outlast.drill.rival import Rivalry
from outlast.journal.chain import genesis
from tests.linearizability.history import recorded
from tests.linearizability.planted import VIOLATIONS

STREAM = "run/x@0.local.abcd"
START = place_of(genesis(STREAM))
A = Seen(1, 1, "a", "da", "ha")
B = Seen(1, 1, "b", "db", "hb")
AC = Seen(2, 1, "c", "dc", "hac")


def append(
    began: float, ended: float, made: Seen, answer: Answer, head: Place | None = None, at: Place = START
) -> AppendCall:
    return AppendCall(
        client="k", stream=STREAM, began=began, ended=ended, expected=at, made=made, answer=answer, head=head
    )


def head(began: float, ended: float, place: Place) -> HeadCall:
    return HeadCall(client="k", stream=STREAM, began=began, ended=ended, head=place)


def read(began: float, ended: float, *records: Seen, after: int = 0, limit: int = 10) -> ReadCall:
    return ReadCall(client="k", stream=STREAM, began=began, ended=ended, after=after, limit=limit, records=records)


@pytest.mark.parametrize("name", VIOLATIONS)
async def test_a_planted_violation_is_caught(name: str) -> None:
    caught = 0
    for seed in range(20):
        store = VIOLATIONS[name](seed)
        calls = await recorded(store, Rivalry(seed, clients=4, streams=1, calls=60))
        judged = judge_history(calls)
        assert store.struck or judged.holds
        caught += bool(judged.violations)
        if store.struck >= 3:
            assert judged.violations, f"seed {seed}: struck {store.struck} times and not caught"
    assert caught >= 15


def test_what_overlaps_may_be_seen_or_not() -> None:
    write = append(1, 5, A, "applied", A.place)
    for looked in (head(2, 3, START), head(2, 3, A.place), head(0, 1, START), head(5, 6, A.place)):
        assert judge_stream(STREAM, [write, looked]) == ""
    assert judge_stream(STREAM, [write, head(6, 7, START)])
    assert judge_stream(STREAM, [write, head(0, 0.5, A.place)])


def test_what_was_seen_once_is_not_unseen() -> None:
    write = append(1, 9, A, "applied", A.place)
    assert judge_stream(STREAM, [write, head(2, 3, START), head(4, 5, A.place)]) == ""
    assert "append a at 0" not in judge_stream(STREAM, [write, head(2, 3, START), head(4, 5, A.place)])
    assert judge_stream(STREAM, [write, head(2, 3, A.place), head(4, 5, START)])
    assert judge_stream(STREAM, [write, read(2, 3, A), read(4, 5)])


def test_an_unknown_append_may_come_late_or_never() -> None:
    lost = append(1, 2, A, "unknown")
    assert judge_stream(STREAM, [lost, head(3, 4, START), head(50, 51, START)]) == ""
    assert judge_stream(STREAM, [lost, head(3, 4, START), head(50, 51, A.place)]) == ""
    assert judge_stream(STREAM, [lost, head(3, 4, A.place), head(50, 51, START)])
    assert judge_stream(STREAM, [lost, head(0, 0.5, A.place)])


def test_of_two_unknown_rivals_at_most_one_is_applied() -> None:
    rivals = [append(1, 2, A, "unknown"), append(1, 2, B, "unknown")]
    assert judge_stream(STREAM, [*rivals, head(3, 4, A.place)]) == ""
    assert judge_stream(STREAM, [*rivals, head(3, 4, B.place)]) == ""
    assert judge_stream(STREAM, [*rivals, head(3, 4, A.place), head(5, 6, B.place)])


def test_a_wrong_turn_is_taken_back() -> None:
    """Nobody saw which of two unknown rivals came first, but only one of them leads to what was seen later."""
    rivals = [append(1, 2, B, "unknown"), append(1, 2, A, "unknown")]
    later = append(3, 4, AC, "applied", AC.place, at=A.place)
    assert judge_stream(STREAM, [*rivals, later, read(5, 6, AC, after=1)]) == ""


def test_the_second_copy_of_an_append_may_meet_the_first() -> None:
    assert judge_stream(STREAM, [append(1, 2, A, "conflict", A.place), head(3, 4, A.place)]) == ""
    assert judge_stream(STREAM, [append(1, 2, A, "unknown"), append(3, 4, A, "conflict", A.place)]) == ""
    assert judge_stream(STREAM, [append(1, 2, A, "unknown"), append(3, 4, A, "applied", A.place)]) == ""
    assert judge_stream(STREAM, [append(1, 2, A, "conflict", A.place), head(3, 4, START)])


def test_a_conflict_with_what_was_expected_is_none() -> None:
    assert judge_stream(STREAM, [append(1, 2, A, "conflict", START)])


def test_a_page_may_be_full_before_the_end() -> None:
    writes = [append(1, 2, A, "applied", A.place), append(3, 4, AC, "applied", AC.place, at=A.place)]
    assert judge_stream(STREAM, [*writes, read(5, 6, A, limit=1), read(5, 6, A, AC), read(5, 6, AC, after=1)]) == ""
    assert judge_stream(STREAM, [*writes, read(5, 6, A, limit=2)])
    assert judge_stream(STREAM, [*writes, read(5, 6, AC)])


def test_the_finding_names_what_does_not_fit() -> None:
    finding = judge_stream(STREAM, [append(1, 2, A, "applied", A.place), head(3, 4, START)])
    assert "1 of 2 calls fit up to event 1 (ha)" in finding
    assert "head -> 0" in finding
