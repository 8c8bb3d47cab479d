from __future__ import annotations

from outlast.cell.duty import Duty, settle_s
from outlast.cell.neighbour import Neighbours, shown_min
from outlast.cell.presence import HostBeat

TICK_S = 0.1


class Town:
    """Hosts that read each other's entries, each with one worker."""

    def __init__(self, *names: str) -> None:
        self.now = 0.0
        self.count = 0
        self.alive = list(names)
        self.neighbours = {name: Neighbours(name, 1.0, 60.0) for name in names}
        self.duties = {name: Duty("keeper", self.neighbours[name]) for name in names}
        self.here: dict[str, bool] = dict.fromkeys(names, False)

    def pass_time(self, seconds: float) -> None:
        end = self.now + seconds
        while self.now < end:
            self.now += TICK_S
            self.count += 1
            beats = [HostBeat(name, self.count, (f"{name}-worker",)) for name in self.alive]
            for name in self.alive:
                self.neighbours[name].read(beats, self.now)
                self.here[name] = self.duties[name].here(self.now)

    def dutiful(self) -> list[str]:
        return [name for name in self.alive if self.here[name]]


def test_where_nobody_shares_the_store_it_is_ours_at_once() -> None:
    assert Duty("keeper", None).here(0.0)


def test_of_several_hosts_one_has_it_and_another_takes_it_over() -> None:
    town = Town("a", "b", "c")
    town.pass_time(shown_min * TICK_S)
    assert town.dutiful() == []
    town.pass_time(settle_s + 1)
    (first,) = town.dutiful()
    town.alive.remove(first)
    town.pass_time(1.0 + settle_s + 1)
    (second,) = town.dutiful()
    assert second != first


def test_a_rank_that_changes_for_a_moment_moves_nothing() -> None:
    town = Town("a", "b")
    town.pass_time(settle_s + 2)
    (first,) = town.dutiful()
    (other,) = (name for name in ("a", "b") if name != first)
    town.alive.remove(first)
    town.pass_time(settle_s - 0.5)
    assert town.dutiful() == []
    town.alive.append(first)
    town.pass_time(settle_s + 2)
    assert town.dutiful() == [first]
    assert not town.here[other]
