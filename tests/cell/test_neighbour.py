from __future__ import annotations

from collections import Counter
from collections.abc import Sequence

from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, precondition, rule

from outlast.cell import neighbour
from outlast.cell.neighbour import Neighbours, Seen
from outlast.cell.presence import HostBeat

TAKEOVER_S = 1.0
FORGET_S = 60.0
EVERY_S = 0.2
RUNS = [f"run-{number}" for number in range(300)]


class Desk:
    """One observer, and what it reads. Its own entry is always there and moves, unless a test says otherwise."""

    def __init__(self, *workers: str) -> None:
        self.now = 100.0
        self.neighbours = Neighbours("me", TAKEOVER_S, FORGET_S)
        self.workers = workers
        self.draining = False
        self.count = 0
        self.entries: dict[str, HostBeat] = {}
        self.moving: set[str] = set()

    def beats(self, host: str, *workers: str) -> None:
        """From now on this host beats."""
        self.entries[host] = HostBeat(host, 1, workers)
        self.moving.add(host)

    def look(self, seconds: float = EVERY_S, *, own: bool = True) -> Seen:
        self.now += seconds
        for host in self.moving:
            entry = self.entries[host]
            self.entries[host] = HostBeat(host, entry.count + 1, entry.workers, entry.size, entry.draining)
        if own:
            self.count += 1
        mine = [HostBeat("me", self.count, self.workers, draining=self.draining)]
        return self.neighbours.read([*self.entries.values(), *mine], self.now)

    def looks(self, seconds: float) -> Seen:
        seen = Seen()
        end = self.now + seconds - EVERY_S / 2
        while self.now < end:
            more = self.look()
            seen = Seen(seen.orphaners + more.orphaners, seen.forgotten + more.forgotten)
        return seen

    def first_for(self) -> int:
        return sum(self.neighbours.rank(run) == 0 for run in RUNS)


def test_runs_of_a_host_that_beats_are_left_alone_and_those_of_a_silent_one_are_not() -> None:
    desk = Desk()
    desk.beats("b", "b1", "b2")
    assert desk.looks(60) == Seen()
    assert desk.neighbours.spares("b1")
    desk.moving.clear()
    assert desk.looks(TAKEOVER_S - EVERY_S) == Seen()
    assert desk.neighbours.spares("b1")
    assert desk.looks(3 * EVERY_S) == Seen(("b1", "b2"))
    assert not desk.neighbours.spares("b1")
    desk.moving.add("b")
    desk.look()
    assert desk.neighbours.spares("b1")


def test_a_worker_that_its_host_no_longer_lists_is_gone_and_its_host_comes_first() -> None:
    desk = Desk("w")
    desk.beats("b", "b1", "b2")
    desk.looks(1)
    desk.beats("b", "b2")
    desk.entries["b"] = HostBeat("b", 1000, ("b2",))
    assert desk.look() == Seen(("b1",))
    assert not desk.neighbours.spares("b1")
    assert desk.neighbours.home("b1") == desk.neighbours.home("b2") == "b"
    assert all(desk.neighbours.rank(run, "b") == 0 for run in RUNS)
    desk.moving.clear()
    assert desk.looks(2) == Seen(("b2",))
    assert desk.neighbours.home("b1") == ""


def test_an_owner_whom_nobody_lists_is_watched_first() -> None:
    desk = Desk()
    desk.looks(60)
    assert desk.neighbours.spares("unknown")
    assert desk.looks(TAKEOVER_S) == Seen()
    assert desk.looks(3 * EVERY_S) == Seen(("unknown",))
    assert not desk.neighbours.spares("unknown")


def test_an_owner_that_is_listed_while_it_is_watched_is_no_stranger() -> None:
    desk = Desk()
    assert desk.neighbours.spares("b1")
    desk.looks(0.6)
    desk.beats("b", "b1")
    assert desk.looks(60) == Seen()
    assert desk.neighbours.spares("b1")


def test_what_a_host_left_that_died_before_we_looked_is_taken_over_after_a_watch() -> None:
    desk = Desk("w")
    desk.entries["b"] = HostBeat("b", 77, ("b1",))
    desk.look()
    assert desk.neighbours.spares("b1")
    assert desk.looks(TAKEOVER_S + EVERY_S) == Seen(("b1",))


def test_an_outage_of_any_kind_blames_nobody() -> None:
    desk = Desk("w")
    desk.beats("b", "b1")
    desk.looks(2)
    before = [desk.neighbours.rank(run) for run in RUNS]
    desk.now += 600  # nothing could be read
    assert desk.look() == Seen()
    assert desk.neighbours.spares("b1")
    desk.moving.clear()
    for _ in range(100):  # an old copy, or a store that takes no beats: ours does not move either
        assert desk.look(own=False) == Seen()
    assert desk.neighbours.spares("b1")
    kept = desk.entries.pop("b")
    assert desk.look() == Seen()  # the table was lost: ours is back first
    assert desk.neighbours.spares("b1")
    desk.beats("b", "b1")
    desk.entries["b"] = HostBeat("b", kept.count + 1, ("b1",))
    assert desk.looks(2) == Seen()
    assert desk.neighbours.spares("b1")
    assert [desk.neighbours.rank(run) for run in RUNS] == before


def test_an_observer_that_stood_still_blames_nobody() -> None:
    desk = Desk()
    desk.beats("b", "b1")
    desk.looks(1)
    desk.moving.clear()
    assert desk.look(30) == Seen()
    assert desk.neighbours.spares("b1")


def test_who_has_left_takes_no_new_runs_at_once_and_owns_nothing_when_it_is_silent() -> None:
    desk = Desk("w")
    desk.beats("b", "b1")
    desk.looks(1)
    assert desk.first_for() < len(RUNS)
    desk.moving.clear()
    del desk.entries["b"]
    desk.look()
    assert desk.first_for() == len(RUNS)
    assert desk.neighbours.spares("b1")
    assert desk.looks(TAKEOVER_S + EVERY_S) == Seen(("b1",))


def test_the_entry_of_a_dead_host_is_removed_and_its_workers_stay_gone() -> None:
    desk = Desk()
    desk.beats("b", "b1")
    desk.looks(1)
    desk.moving.clear()
    assert desk.looks(FORGET_S) == Seen(("b1",))
    assert desk.looks(3 * EVERY_S) == Seen((), ("b",) * 3), "again, until it is removed"
    del desk.entries["b"]
    assert desk.looks(5) == Seen()
    assert not desk.neighbours.spares("b1")
    desk.beats("b", "b1")
    desk.look()
    assert desk.neighbours.spares("b1"), "it was only frozen"


def test_who_knows_nothing_yet_or_is_not_known_yet_comes_last() -> None:
    desk = Desk("w")
    assert desk.neighbours.rank("r") == 1
    desk.beats("b", "b1")
    desk.beats("c", "c1")
    for _ in range(neighbour.shown_min - 1):
        desk.look()
        assert {desk.neighbours.rank(run) for run in RUNS} == {2}
    desk.look()
    assert {desk.neighbours.rank(run) for run in RUNS} == {0, 1, 2}
    desk.workers = ()
    desk.look()
    desk.workers = ("w2",)
    desk.look()
    assert {desk.neighbours.rank(run) for run in RUNS} == {2}


def test_who_was_only_seen_once_may_be_dead_and_takes_nothing_from_us() -> None:
    desk = Desk("w")
    desk.looks(1)
    desk.entries["b"] = HostBeat("b", 7, ("b1",))
    desk.looks(0.6)
    assert desk.first_for() == len(RUNS)


def test_a_host_without_workers_is_the_first_for_nothing() -> None:
    desk = Desk("w")
    desk.beats("b")
    desk.looks(2)
    assert desk.first_for() == len(RUNS)


def test_workers_that_come_and_go_move_no_run_to_another_host() -> None:
    desk = Desk("w1", "w2", "w3")
    desk.beats("b", "b1", "b2", "b3")
    desk.looks(2)
    before = [desk.neighbours.rank(run) for run in RUNS]
    assert 100 < desk.first_for() < 200
    desk.entries["b"] = HostBeat("b", 1000, ("b3",), 3)
    desk.workers = ("w2", "w4", "w5")
    desk.look()
    assert [desk.neighbours.rank(run) for run in RUNS] == before


def test_a_host_takes_a_share_as_large_as_it_has_workers() -> None:
    desk = Desk("w1", "w2")
    desk.beats("b", *(f"b{number}" for number in range(6)))
    desk.looks(2)
    assert 45 < desk.first_for() < 105, "two of eight workers: about 75 of 300 runs"
    before = [desk.neighbours.rank(run) for run in RUNS]
    desk.entries["b"] = HostBeat("b", 1000, ("b1",), 6)
    desk.look()
    assert [desk.neighbours.rank(run) for run in RUNS] == before, "those that are started anew count"


def test_a_host_that_drains_gets_no_new_run_and_keeps_what_it_has() -> None:
    desk = Desk("w")
    desk.beats("b", "b1")
    desk.looks(2)
    assert 0 < desk.first_for() < len(RUNS)
    desk.entries["b"] = HostBeat("b", 1000, ("b1",), draining=True)
    desk.moving.clear()
    desk.look()
    assert desk.first_for() == len(RUNS)
    assert desk.neighbours.home("b1") == ""
    assert desk.neighbours.spares("b1"), "it finishes it"


def test_who_drains_itself_leaves_what_is_new_to_the_others_if_there_are_any() -> None:
    desk = Desk("w")
    desk.beats("b", "b1")
    desk.looks(2)
    desk.draining = True
    desk.look()
    assert {desk.neighbours.rank(run) for run in RUNS} == {1}
    del desk.entries["b"]
    desk.moving.clear()
    desk.look()
    assert desk.first_for() == len(RUNS)


def test_what_is_remembered_is_bounded() -> None:
    desk = Desk()
    for number in range(3):
        desk.beats(f"b{number}", *(f"w{number}-{worker}" for worker in range(6000)))
    desk.looks(1)
    desk.moving.clear()
    desk.looks(FORGET_S + 2)
    desk.entries.clear()
    desk.look()
    for number in range(neighbour.strangers_max + 10):
        assert desk.neighbours.spares(f"stranger-{number}")
    assert len(desk.neighbours._gone) <= neighbour.gone_max
    assert len(desk.neighbours._strangers) <= neighbour.strangers_max
    assert desk.neighbours._where == {}


class Hosts(RuleBasedStateMachine):
    """Hosts start, die, freeze; the store of their signs goes away, grows old, loses everything.

    Nobody who is there is ever blamed, whatever the store does; all who are dead are, once it works; and each run has
    one host that is first for it.
    """

    def __init__(self) -> None:
        super().__init__()
        self.now = 100.0
        self.entries: dict[str, HostBeat] = {}
        self.copy: Sequence[HostBeat] | None = None
        self.up: dict[str, Neighbours] = {}
        self.count: dict[str, int] = {}
        self.workers: dict[str, list[str]] = {}
        self.listed: dict[str, set[str]] = {}
        self.frozen: set[str] = set()
        self.suspects: set[str] = set()
        """Hosts that stood still, until all was well again."""
        self.dead: set[str] = set()
        self.born = 0
        self.readable = self.writable = True
        for _ in range(2):
            self.starts()

    def round(self, host: str) -> None:
        self.count[host] += 1
        if self.readable and self.writable:
            self.entries[host] = HostBeat(host, self.count[host], tuple(self.workers[host]))
            self.listed[host] |= set(self.workers[host])
        if self.readable:
            beats = self.copy if self.copy is not None else [self.entries[name] for name in sorted(self.entries)]
            for gone in self.up[host].read(beats, self.now).forgotten:
                assert gone in self.dead or gone in self.suspects
                self.entries.pop(gone, None)

    @rule(rounds=st.integers(1, 12))
    def time_passes(self, rounds: int) -> None:
        for _ in range(rounds):
            self.now += EVERY_S
            for host in list(self.up):
                if host not in self.frozen:
                    self.round(host)

    @precondition(lambda self: len(self.up) < 4)
    @rule()
    def starts(self) -> None:
        self.born += 1
        host = f"h{self.born}"
        self.up[host] = Neighbours(host, TAKEOVER_S, FORGET_S)
        self.count[host] = 0
        self.listed[host] = set()
        self.workers[host] = []
        self.worker_joins(host)

    def worker_joins(self, host: str) -> None:
        self.born += 1
        self.workers[host].append(f"w{self.born}")

    @precondition(lambda self: len(self.up) > 1)
    @rule(data=st.data(), leaves=st.booleans())
    def dies(self, data: st.DataObject, leaves: bool) -> None:
        host = data.draw(st.sampled_from(sorted(self.up)))
        del self.up[host]
        self.frozen.discard(host)
        self.dead |= self.listed[host] | {host}
        if leaves and self.readable and self.writable:
            self.entries.pop(host, None)

    @rule(data=st.data())
    def changes_workers(self, data: st.DataObject) -> None:
        host = data.draw(st.sampled_from(sorted(self.up)))
        if len(self.workers[host]) > 1 and data.draw(st.booleans()):
            gone = self.workers[host].pop(0)
            if gone in self.listed[host]:
                self.dead.add(gone)
        elif len(self.workers[host]) < 4:
            self.worker_joins(host)

    @rule(data=st.data())
    def freezes_or_thaws(self, data: st.DataObject) -> None:
        host = data.draw(st.sampled_from(sorted(self.up)))
        if host in self.frozen:
            self.frozen.remove(host)
        else:
            self.frozen.add(host)
            self.suspects.add(host)

    @rule(what=st.sampled_from(["unreadable", "not writable", "old copy", "lost", "well"]))
    def the_store(self, what: str) -> None:
        self.readable, self.writable, self.copy = what != "unreadable", what not in ("unreadable", "not writable"), None
        if what == "old copy":
            self.copy = [self.entries[name] for name in sorted(self.entries)]
        elif what == "lost":
            self.entries.clear()

    @rule()
    def all_is_well_for_a_while(self) -> None:
        self.the_store("well")
        self.frozen.clear()
        self.suspects.clear()
        for neighbours in self.up.values():
            for worker in self.dead:
                neighbours.spares(worker)
        self.time_passes(round((TAKEOVER_S + 4 * EVERY_S) / EVERY_S))
        for host, neighbours in self.up.items():
            for other in self.up:
                assert other == host or all(neighbours.spares(worker) for worker in self.workers[other])
            for worker in self.dead:
                assert not neighbours.spares(worker), f"{host} leaves runs with {worker}, which is dead"
        first = Counter(run for run in RUNS[:40] for neighbours in self.up.values() if neighbours.rank(run) == 0)
        assert first == Counter(RUNS[:40]), "a run that two hosts ring for, or none"

    @invariant()
    def nobody_who_is_there_is_blamed(self) -> None:
        for host, neighbours in self.up.items():
            for other in self.up:
                if other not in (host, *self.suspects) and self.listed[other]:
                    for worker in self.listed[other].intersection(self.workers[other]):
                        assert neighbours.spares(worker), f"{host} would take what {worker} of {other} owns"


TestHosts = Hosts.TestCase
TestHosts.settings = settings(max_examples=60, stateful_step_count=30, deadline=None)
