"""Dispatchers of several hosts that share a store: who rings for what, and who leaves it alone."""

from __future__ import annotations

from collections import Counter, deque
from collections.abc import Callable

from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, precondition, rule

from outlast.cell.dispatch import Bell, Command, Dispatch, Dispatcher, Look, Retire, Trial
from outlast.cell.neighbour import Neighbours
from outlast.cell.presence import HostBeat
from outlast.journal.index import HintPatch, RunEntry

POOL = "default"
TAKEOVER_S = 1.0
EVERY_S = 0.2
TICK_S = 0.05
TRIAL_START_S = 5.0
SCAN_S = 1.0


class Host:
    """A dispatcher, what it knows of the others, and workers that claim whatever they are rung for."""

    def __init__(self, town: Town, name: str) -> None:
        self.town = town
        self.name = name
        self.neighbours = Neighbours(name, TAKEOVER_S, 60.0)
        self.dispatcher = Dispatcher(Dispatch(trial_start_s=TRIAL_START_S), self.neighbours)
        self.workers: dict[str, str] = {}  # name -> the run that it was started for
        self.count = 0
        self.born = 0
        self.looks = 0
        self.full = False

    def joins(self, solo_for: str = "") -> str:
        self.born += 1
        worker = f"{self.name}.{self.born}"
        self.workers[worker] = solo_for
        self.carry_out(self.dispatcher.joined(worker, POOL, self.town.now, solo_for))
        return worker

    def loses(self, worker: str) -> None:
        del self.workers[worker]
        self.carry_out(self.dispatcher.left(worker))
        self.find(lambda entry: entry.state == "running" and entry.owner == worker)

    def beat(self) -> None:
        self.count += 1
        if self.town.presence:
            self.town.beats[self.name] = HostBeat(self.name, self.count, tuple(self.workers))
            seen = self.neighbours.read(list(self.town.beats.values()), self.town.now)
            if seen.orphaners:
                self.find(lambda entry: entry.state == "running" and entry.owner in seen.orphaners)
                self.scan()

    def scan(self) -> None:
        self.find(lambda entry: entry.due(self.town.now))
        self.find(lambda entry: entry.state == "running" and not self.dispatcher.alive(entry.owner))

    def find(self, wanted: Callable[[RunEntry], bool]) -> None:
        found = [entry for entry in self.town.entries.values() if wanted(entry)]
        self.carry_out(self.dispatcher.found(found, self.town.now, self.town.now))

    def carry_out(self, commands: list[Command]) -> None:
        town = self.town
        for command in commands:
            if isinstance(command, Look):
                self.looks += 1
                entry = town.entries.get(command.run)
                if entry is None:
                    self.dispatcher.lost(command.run)
                else:
                    self.carry_out(self.dispatcher.found([entry], town.now, town.now))
            elif isinstance(command, Bell) and command.worker in self.workers and not self.full:
                town.claim(command.run, command.worker)
            elif isinstance(command, Trial):
                town.trials[command.run] += 1
                if not town.slow_starts:
                    self.joins(command.run)
            elif isinstance(command, Retire):
                self.workers.pop(command.worker, None)
                self.dispatcher.left(command.worker)


class Town:
    """Hosts, the index that they share, their signs of life. `notices`: whether appends are told to everybody."""

    def __init__(self, *names: str, workers: int = 2, notices: bool = True) -> None:
        self.now = 100.0
        self.presence = True
        self.slow_starts = False
        self.notices = notices
        self.untold: deque[HintPatch] = deque()
        self.telling = False
        self.beats: dict[str, HostBeat] = {}
        self.entries: dict[str, RunEntry] = {}
        self.claims: Counter[str] = Counter()
        self.trials: Counter[str] = Counter()
        self.claimed_at: dict[str, float] = {}
        self.hosts: dict[str, Host] = {}
        self.ticks = 0
        for name in names:
            self.start(name, workers)
        self.passes(1.0)

    def start(self, name: str, workers: int = 2) -> Host:
        host = self.hosts[name] = Host(self, name)
        host.beat()
        for _ in range(workers):
            host.joins()
        return host

    def die(self, name: str) -> None:
        """Whole: nobody says goodbye."""
        del self.hosts[name]

    def change(self, run: str, *, told: bool = True, **fields: object) -> None:
        patch = HintPatch(run, **fields)  # type: ignore[arg-type]
        self.entries[run] = self.entries.get(run, RunEntry(run, pool=POOL)).patched(patch)
        if told and self.notices:
            self.untold.append(patch)
        while self.untold and not self.telling:  # everybody hears everything in the order in which it was written
            self.telling = True
            told_now = self.untold.popleft()
            for host in list(self.hosts.values()):
                host.carry_out(host.dispatcher.noticed(told_now, self.now, self.now))
            self.telling = False

    def create(self, run: str) -> None:
        self.change(run, state="ready", pool=POOL, owner="")

    def claim(self, run: str, worker: str) -> None:
        if self.entries[run].state in ("ready", "trial", "running", "parked"):
            self.claims[run] += 1
            self.claimed_at[run] = self.now
            self.change(run, state="running", owner=worker, seen=self.entries[run].mail)

    def passes(self, seconds: float) -> None:
        for _ in range(round(seconds / TICK_S)):
            self.now += TICK_S
            self.ticks += 1
            for place, host in enumerate(list(self.hosts.values())):
                host.carry_out(host.dispatcher.tick(self.now, self.now))
                if (self.ticks + place) % round(EVERY_S / TICK_S) == 0:
                    host.beat()
                if (self.ticks + 7 * place) % round(SCAN_S / TICK_S) == 0:
                    host.scan()

    def host_of(self, run: str) -> str:
        return self.entries[run].owner.partition(".")[0]


def test_work_spreads_and_every_new_run_is_claimed_once() -> None:
    town = Town("a", "b", "c")
    for number in range(300):
        town.create(f"r{number}")
    assert len(town.claims) == 300, "at once"
    town.passes(10)
    assert set(town.claims.values()) == {1}
    spread = Counter(town.host_of(run) for run in town.entries)
    assert set(spread) == {"a", "b", "c"}
    assert min(spread.values()) > 60
    assert sum(host.looks for host in town.hosts.values()) == 0, "who hears of claims need not look"


def test_where_nothing_is_told_scans_find_every_run_and_it_is_claimed_once() -> None:
    town = Town("a", "b", "c", notices=False)
    for number in range(300):
        town.create(f"r{number}")
    town.passes(1.0)
    assert len(town.claims) == 300
    town.passes(20)
    assert set(town.claims.values()) == {1}


def test_a_host_that_comes_later_takes_its_share_and_disturbs_nobody() -> None:
    town = Town("a")
    for number in range(50):
        town.create(f"old{number}")
    town.start("b")
    for number in range(200):
        town.create(f"r{number}")
        town.passes(0.05)
    town.passes(5)
    assert set(town.claims.values()) == {1}
    assert 50 < sum(town.host_of(f"r{number}") == "b" for number in range(200)) < 150
    assert all(town.host_of(f"old{number}") == "a" for number in range(50))


def test_a_run_whose_first_host_cannot_take_it_is_rung_at_the_next() -> None:
    town = Town("a", "b", "c")
    town.hosts["b"].full = True
    begun = town.now
    for number in range(100):
        town.create(f"r{number}")
    town.passes(2.0)
    assert len(town.claims) == 100
    assert max(town.claimed_at.values()) - begun <= 1.1
    assert set(town.claims.values()) == {1}


def test_a_host_that_is_killed_whole_is_taken_over_within_takeover_after_and_a_second_each_run_once() -> None:
    for notices in (True, False):
        town = Town("a", "b", "c", notices=notices)
        for number in range(200):
            town.create(f"r{number}")
        town.passes(3)
        lost = [run for run in town.entries if town.host_of(run) == "b"]
        for run in lost[:20]:
            town.change(run, state="parked", wake_at=town.now + 0.5)
        town.die("b")
        died = town.now
        town.create("new1")
        town.create("new2")
        town.passes(TAKEOVER_S + 1)
        assert len(lost) > 30
        for run in [*lost, "new1", "new2"]:
            assert town.host_of(run) in ("a", "c"), f"{town.entries[run]} {notices}"
            assert town.claimed_at[run] - died <= TAKEOVER_S + 1
        town.passes(10)
        assert {town.claims[run] for run in lost} == {2}
        assert {town.claims[run] for run in town.entries if run not in lost} == {1}


def test_an_owner_that_nobody_knows_is_watched_and_then_taken_over() -> None:
    town = Town("a")
    town.change("r1", state="running", owner="of an earlier life")
    town.passes(TAKEOVER_S)
    assert not town.claims
    town.passes(SCAN_S + 1)
    assert town.claims["r1"] == 1


def test_an_outage_of_the_signs_moves_no_run_and_new_ones_are_taken_as_before() -> None:
    town = Town("a", "b", "c")
    for number in range(100):
        town.create(f"r{number}")
    town.passes(1)
    town.presence = False
    town.passes(30)
    for number in range(100):
        town.create(f"in the outage {number}")
    town.passes(30)
    town.presence = True
    town.passes(30)
    assert len(town.claims) == 200
    assert set(town.claims.values()) == {1}


def test_a_host_that_froze_and_is_back_takes_nothing_back() -> None:
    town = Town("a", "b")
    for number in range(50):
        town.create(f"r{number}")
    frozen = town.hosts.pop("b")
    town.passes(5)
    assert all(town.host_of(run) == "a" for run in town.entries)
    town.hosts["b"] = frozen
    frozen.carry_out(frozen.dispatcher.tick(town.now, town.now))
    town.passes(10)
    assert all(town.host_of(run) == "a" for run in town.entries)
    assert set(town.claims.values()) == {1, 2}
    for number in range(50):
        town.create(f"new{number}")
    assert {town.host_of(f"new{number}") for number in range(50)} == {"a", "b"}


def test_a_worker_that_dies_is_replaced_on_its_own_host_and_nowhere_else() -> None:
    town = Town("a", "b", "c")
    for number in range(100):
        town.create(f"r{number}")
    victim = next(iter(town.hosts["b"].workers))
    lost = [run for run, entry in town.entries.items() if entry.owner == victim]
    town.hosts["b"].loses(victim)
    assert lost
    assert all(town.host_of(run) == "b" for run in lost), "at once"
    town.passes(10)
    assert {town.claims[run] for run in lost} == {2}


def test_what_the_last_worker_of_a_host_owned_goes_to_other_hosts() -> None:
    town = Town("a", "b", workers=1)
    for number in range(40):
        town.create(f"r{number}")
    lost = [run for run in town.entries if town.host_of(run) == "b"]
    town.hosts["b"].loses("b.1")
    died = town.now
    town.passes(1)
    assert all(town.host_of(run) == "a" for run in lost)
    assert max(town.claimed_at.values()) - died < 1


def test_a_suspect_is_tried_on_one_host() -> None:
    town = Town("a", "b", "c")
    for number in range(10):
        town.change(f"bad{number}", state="trial", owner="", pool=POOL)
    town.passes(50)
    assert set(town.trials.values()) == {1}
    assert set(town.claims.values()) == {1}


def test_a_trial_that_takes_its_time_to_start_is_not_started_on_other_hosts_meanwhile() -> None:
    for told in (True, False):
        town = Town("a", "b", "c")
        town.slow_starts = True
        for number in range(8):
            town.change(f"bad{number}", told=told, state="trial", owner="", pool=POOL)
        town.passes(TRIAL_START_S - 0.2)
        assert set(town.trials.values()) == {1}
        assert len(town.trials) == 8


def test_a_suspect_whose_host_dies_before_it_is_tried_is_tried_elsewhere() -> None:
    town = Town("a", "b")
    town.notices = False
    for number in range(4):
        town.change(f"bad{number}", state="trial", owner="", pool=POOL)
    town.die("b")
    town.passes(5)
    assert len(town.claims) == 4


def test_a_trial_worker_that_is_ready_when_another_host_has_begun_takes_nothing_and_goes() -> None:
    town = Town("a", "b")
    late = town.hosts["a"]
    bad = next(f"bad{number}" for number in range(100) if late.neighbours.rank(f"bad{number}") == 0)
    town.change(bad, state="trial", owner="", pool=POOL, told=False)
    assert late.dispatcher.found([town.entries[bad]], town.now, town.now) == [Trial(bad, POOL)]
    town.change(bad, state="running", owner=next(iter(town.hosts["b"].workers)), told=False)
    alone = late.joins(bad)
    assert not town.claims
    assert alone not in late.workers


def test_mail_is_looked_at_where_the_owner_was_and_by_one_other_host_at_most() -> None:
    town = Town("a", "b", "c", "d")
    for number in range(100):
        town.create(f"r{number}")
    for number in range(100):
        town.change(f"r{number}", state="parked")
    for number in range(100):
        owner = town.host_of(f"r{number}")
        town.change(f"r{number}", mail=1)
        assert town.host_of(f"r{number}") == owner
    assert set(town.claims.values()) == {2}
    assert 100 <= sum(host.looks for host in town.hosts.values()) <= 200


def test_a_timer_rings_where_the_owner_was() -> None:
    town = Town("a", "b", "c")
    for number in range(30):
        town.create(f"r{number}")
    owners = {run: entry.owner for run, entry in town.entries.items()}
    due = town.now + 3
    for run in owners:
        town.change(run, state="parked", wake_at=due)
    town.passes(3.2)
    assert {run: entry.owner for run, entry in town.entries.items()} == owners
    assert max(town.claimed_at.values()) <= due + TICK_S
    assert sum(host.looks for host in town.hosts.values()) == 30


class Streets(RuleBasedStateMachine):
    """Hosts and workers come and die, signs and notices are lost: in quiet times every run has a living owner."""

    def __init__(self) -> None:
        super().__init__()
        self.town = Town("h1")
        self.born = 1
        self.runs = 0

    @precondition(lambda self: len(self.town.hosts) < 4)
    @rule(workers=st.integers(1, 2))
    def host_starts(self, workers: int) -> None:
        self.born += 1
        self.town.start(f"h{self.born}", workers)

    @precondition(lambda self: len(self.town.hosts) > 1)
    @rule(data=st.data())
    def host_dies(self, data: st.DataObject) -> None:
        self.town.die(data.draw(st.sampled_from(sorted(self.town.hosts))))

    @rule(data=st.data())
    def worker_dies(self, data: st.DataObject) -> None:
        host = self.town.hosts[data.draw(st.sampled_from(sorted(self.town.hosts)))]
        if host.workers:
            host.loses(data.draw(st.sampled_from(sorted(host.workers))))
        host.joins()

    @rule(told=st.booleans(), what=st.sampled_from(["ready", "trial"]))
    def created(self, told: bool, what: str) -> None:
        if self.runs < 12:
            self.runs += 1
            self.town.change(f"r{self.runs}", told=told, state=what, pool=POOL, owner="")

    @precondition(lambda self: self.runs)
    @rule(data=st.data(), told=st.booleans(), what=st.sampled_from(["parks", "mail", "ends"]))
    def changes(self, data: st.DataObject, told: bool, what: str) -> None:
        run = f"r{data.draw(st.integers(1, self.runs))}"
        entry = self.town.entries[run]
        if what == "mail":
            self.town.change(run, told=told, mail=entry.mail + 1)
        elif entry.state == "running" and what == "parks":
            self.town.change(run, told=told, state="parked", wake_at=self.town.now + data.draw(st.floats(0, 3)))
        elif entry.state == "running":
            self.town.change(run, told=told, state="completed", owner="")

    @rule(on=st.booleans())
    def notices(self, on: bool) -> None:
        self.town.notices = on

    @rule(on=st.booleans())
    def presence(self, on: bool) -> None:
        self.town.presence = on

    @rule(seconds=st.floats(0.05, 3))
    def time_passes(self, seconds: float) -> None:
        self.town.passes(seconds)

    @rule()
    def quiet(self) -> None:
        town = self.town
        town.presence = True
        for host in town.hosts.values():
            host.joins()
        town.passes(4 * TRIAL_START_S)  # a trial that came to nothing begins again
        for entry in town.entries.values():
            assert not entry.due(town.now), f"{entry} waits for ever"
            if entry.state == "running":
                assert any(entry.owner in host.workers for host in town.hosts.values()), f"{entry} has a dead owner"
        before = Counter(town.claims)
        town.passes(4)
        assert town.claims == before, "runs wander though nothing happens"

    @invariant()
    def what_is_kept_is_bounded(self) -> None:
        assert all(len(host.dispatcher._turns._waits) <= self.runs for host in self.town.hosts.values())


TestStreets = Streets.TestCase
TestStreets.settings = settings(max_examples=25, stateful_step_count=20, deadline=None)
