from __future__ import annotations

from outlast.cell.neighbour import Neighbours
from outlast.cell.presence import HostBeat
from outlast.cell.turn import Patience, Turns

RUNS = [f"run-{number}" for number in range(100)]


def shared(*others: HostBeat, patience: Patience | None = None) -> Turns:
    """Turns of a host with the worker w, among others that beat."""
    neighbours = Neighbours("me", 1.0, 60.0)
    for count in range(1, 4):
        beats = [HostBeat(other.host, count, other.workers) for other in others]
        neighbours.read([*beats, HostBeat("me", count, ("w",))], count / 5)
    turns = Turns(neighbours, patience)
    turns.joined("w")
    return turns


B = HostBeat("b", 1, ("b1",))
C = HostBeat("c", 1, ("c1",))


def test_without_others_everything_is_ours_at_once() -> None:
    for turns in (Turns(None), shared()):
        assert all(turns.comes(run, 0.0) and turns.looks(run) for run in RUNS)
        assert turns.comes("r", 0.0, "an unknown owner")
        assert turns.over(100.0) == []
    assert Turns(None).keeps("r")
    assert not Turns(None).spares("an unknown owner")


def test_who_is_not_the_first_for_a_run_waits_its_turn() -> None:
    turns = shared(B, C)
    late = {run: [] for run in RUNS if not turns.comes(run, 10.0)}
    assert 40 < len(late) < 90
    for tick in range(80):
        for run in turns.over(10.0 + tick * 0.05):
            late[run].append(tick * 0.05)
    assert all(len(times) == 1 for times in late.values())
    assert {round(times[0]) for times in late.values()} >= {1}
    assert min(times[0] for times in late.values()) == 0.5
    assert all(turns.comes(run, 14.0) for run in late)


def test_a_run_that_somebody_claimed_is_not_looked_at_again() -> None:
    turns = shared(B)
    run = next(run for run in RUNS if not turns.comes(run, 0.0))
    turns.answered(run)
    assert turns.over(100.0) == []
    assert not turns.comes(run, 100.0), "it begins anew"


def test_doubled_news_does_not_make_the_wait_longer() -> None:
    turns = shared(B)
    run = next(run for run in RUNS if not turns.comes(run, 0.0))
    assert not turns.comes(run, 0.4)
    assert turns.over(0.5) == [run]
    assert turns.comes(run, 0.5)


def test_a_run_whose_last_owner_was_here_is_ours_and_one_of_another_host_is_left_to_that_for_longer() -> None:
    turns = shared(B)
    assert all(turns.comes(run, 0.0, "w") for run in RUNS)
    assert not any(turns.comes(run, 0.0, "b1") for run in RUNS)
    assert turns.over(1.99) == []
    assert turns.over(2.0) != []


def test_time_is_kept_and_mail_looked_at_where_the_last_owner_was() -> None:
    turns = shared(B)
    theirs = next(run for run in RUNS if not turns.looks(run))
    turns.claimed(theirs, "w")
    assert turns.keeps(theirs)
    assert turns.looks(theirs)
    turns.claimed(theirs, "")
    assert turns.keeps(theirs)
    turns.claimed(theirs, "b1")
    assert not turns.keeps(theirs)
    turns.claimed(theirs, "w")
    turns.ended(theirs)
    assert not turns.keeps(theirs)
    ours = next(run for run in RUNS if turns.looks(run))
    assert not turns.keeps(ours)


def test_own_dead_workers_are_spared_nothing() -> None:
    turns = shared(B)
    assert not turns.spares("w")
    assert turns.spares("b1")
    assert turns.spares("an unknown owner")


def test_looks_and_waits_are_bounded() -> None:
    turns = shared(B, patience=Patience(waits_max=10, looks_max=3))
    runs = [f"many-{number}" for number in range(1000)]
    for run in runs:
        turns.comes(run, 0.0)
    turns.over(0.0)
    found: list[str] = []
    while more := turns.over(10.0):
        assert len(more) <= 3
        found += more
    assert len(found) == len(turns._waits) == 10
    assert len(turns._queue) <= 20
