from __future__ import annotations

from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, precondition, rule

from outlast.cell.dispatch import Bell, Command, Dispatch, Dispatcher, Look, Retire, Trial
from outlast.journal.index import HintPatch, RunEntry

POOL = "default"


SUSPECT = RunEntry("bad", pool=POOL, state="trial")


def made(*workers: str, bounds: Dispatch | None = None) -> Dispatcher:
    dispatcher = Dispatcher(bounds)
    for worker in workers:
        assert dispatcher.joined(worker, POOL, 0.0) == []
    return dispatcher


def ready(run: str) -> HintPatch:
    return HintPatch(run, agent="a", pool=POOL, state="ready")


def claimed(run: str, worker: str) -> HintPatch:
    return HintPatch(run, state="running", owner=worker)


def test_a_ready_run_is_rung_at_the_least_loaded_worker_of_its_pool() -> None:
    dispatcher = made("w1", "w2")
    dispatcher.joined("other", "gpu", 0.0)
    dispatcher.loaded("w1", 5)
    assert dispatcher.noticed(ready("r1"), 0.0, 0.0) == [Bell("w2", "r1")]
    dispatcher.loaded("w1", 0)
    assert dispatcher.noticed(ready("r2"), 0.0, 0.0) == [Bell("w1", "r2")]
    assert dispatcher.noticed(HintPatch("r3", pool="gpu", state="ready"), 0.0, 0.0) == [Bell("other", "r3")]


def spike(dispatcher: Dispatcher, count: int, now: float, agent: str = "a") -> dict[str, int]:
    """So many runs of one agent are created and claimed: how many each worker got."""
    got: dict[str, int] = {}
    for number in range(count):
        run = f"{agent}{now}-{number}"
        patch = HintPatch(run, agent=agent, pool=POOL, state="ready")
        for bell in dispatcher.noticed(patch, now, 0.0):
            assert isinstance(bell, Bell)
            got[bell.worker] = got.get(bell.worker, 0) + 1
            dispatcher.noticed(claimed(run, bell.worker), now, 0.0)
    return got


def test_an_agent_that_is_alone_has_all_workers_however_many_runs_it_has() -> None:
    dispatcher = made("w1", "w2", "w3", "w4")
    assert set(spike(dispatcher, 400, 0.0)) == {"w1", "w2", "w3", "w4"}


def test_a_spike_of_one_agent_leaves_half_of_the_workers_to_its_neighbours() -> None:
    dispatcher = made("w1", "w2", "w3", "w4", "w5")
    spike(dispatcher, 3, 0.0, "b")
    spike(dispatcher, 32, 0.0)  # so many are few
    got = spike(dispatcher, 400, 1.0)
    assert len(got) == 2, "two of five"
    (elsewhere,) = dispatcher.noticed(HintPatch("b9", agent="b", pool=POOL, state="ready"), 2.0, 0.0)
    assert isinstance(elsewhere, Bell)
    assert elsewhere.worker not in got, "a neighbour finds one that is quiet"
    assert set(spike(dispatcher, 400, 1.0)) == set(got), "always the same ones"


def test_a_spike_has_all_workers_again_when_nobody_else_had_a_run_for_a_while_or_it_is_over() -> None:
    dispatcher = made("w1", "w2", "w3", "w4")
    spike(dispatcher, 1, 0.0, "b")
    spike(dispatcher, 100, 0.0)
    some = set(spike(dispatcher, 100, 59.0))
    assert len(some) == 2
    assert not set(spike(dispatcher, 100, 61.0)) & some, "the least loaded of all"
    spike(dispatcher, 1, 62.0, "b")
    assert set(spike(dispatcher, 200, 63.0)) == some
    for start, count in ((0.0, 100), (59.0, 100), (61.0, 100), (63.0, 200)):
        for number in range(count):
            dispatcher.noticed(HintPatch(f"a{start}-{number}", state="completed"), 64.0, 0.0)
    assert not set(spike(dispatcher, 20, 65.0)) & some


def test_a_spike_whose_workers_are_full_waits_in_the_index_and_its_neighbours_are_rung() -> None:
    dispatcher = made("w1", "w2", bounds=Dispatch(runs_max=50))
    spike(dispatcher, 1, 0.0, "b")
    assert sum(spike(dispatcher, 500, 0.0).values()) < 100
    assert dispatcher.noticed(HintPatch("a", agent="a", pool=POOL, state="ready"), 1.0, 0.0) == []
    assert len(spike(dispatcher, 5, 1.0, "b")) == 1


def test_doubled_notices_ring_once() -> None:
    dispatcher = made("w1", "w2")
    assert len(dispatcher.noticed(ready("r1"), 0.0, 0.0)) == 1
    assert dispatcher.noticed(ready("r1"), 0.1, 0.0) == []
    assert dispatcher.found([RunEntry("r1", pool=POOL)], 0.2, 0.0) == []


def test_a_ring_that_leads_to_no_claim_is_repeated_elsewhere() -> None:
    dispatcher = made("w1", "w2")
    assert dispatcher.noticed(ready("r1"), 0.0, 0.0) == [Bell("w1", "r1")]
    assert dispatcher.tick(1.9, 0.0) == []
    assert dispatcher.tick(2.0, 0.0) == [Look("r1")]
    assert dispatcher.found([RunEntry("r1", pool=POOL)], 2.0, 0.0) == [Bell("w2", "r1")]
    assert dispatcher.tick(4.0, 0.0) == [Look("r1")]
    assert dispatcher.found([RunEntry("r1", pool=POOL)], 4.0, 0.0) == [Bell("w1", "r1")]


def test_a_claim_answers_the_ring() -> None:
    dispatcher = made("w1", "w2")
    dispatcher.noticed(ready("r1"), 0.0, 0.0)
    assert dispatcher.noticed(claimed("r1", "w1"), 0.1, 0.0) == []
    assert dispatcher.tick(100.0, 0.0) == []


def test_a_claim_whose_notice_was_lost_answers_when_it_is_looked_up() -> None:
    dispatcher = made("w1", "w2")
    dispatcher.noticed(ready("r1"), 0.0, 0.0)
    assert dispatcher.tick(2.0, 0.0) == [Look("r1")]
    assert dispatcher.found([RunEntry("r1", pool=POOL, state="running", owner="w1")], 2.0, 0.0) == []
    assert dispatcher.tick(100.0, 0.0) == []


def test_a_dead_workers_rings_are_looked_up_and_its_runs_go_elsewhere() -> None:
    dispatcher = made("w1", "w2")
    dispatcher.noticed(ready("r1"), 0.0, 0.0)
    assert dispatcher.left("w1") == [Look("r1")]
    owned = [RunEntry(f"o{n}", pool=POOL, state="running", owner="w1") for n in range(3)]
    assert dispatcher.found(owned, 0.1, 0.0) == [Bell("w2", f"o{n}") for n in range(3)]
    assert dispatcher.found([RunEntry("r1", pool=POOL)], 0.1, 0.0) == [Bell("w2", "r1")]


def test_a_silent_worker_gets_nothing_until_it_is_back() -> None:
    dispatcher = made("w1", "w2")
    dispatcher.silent("w1")
    assert not dispatcher.alive("w1")
    owned = RunEntry("o1", pool=POOL, state="running", owner="w1")
    assert dispatcher.found([owned], 0.0, 0.0) == [Bell("w2", "o1")]
    dispatcher.loaded("w2", 9)
    assert dispatcher.back("w1", 1.0) == []
    assert dispatcher.noticed(ready("r1"), 0.0, 0.0) == [Bell("w1", "r1")]


def test_a_leaving_worker_keeps_what_it_has_and_gets_nothing_new() -> None:
    dispatcher = made("w1", "w2")
    dispatcher.leaving("w1")
    assert dispatcher.found([RunEntry("o1", pool=POOL, state="running", owner="w1")], 0.0, 0.0) == []
    assert dispatcher.noticed(ready("r1"), 0.0, 0.0) == [Bell("w2", "r1")]


def test_mail_rings_the_owner_if_it_lives_else_anybody() -> None:
    dispatcher = made("w1", "w2")
    assert dispatcher.noticed(HintPatch("r1", mail=3), 0.0, 0.0) == [Look("r1")]
    running = RunEntry("r1", pool=POOL, state="running", owner="w2", mail=3)
    assert dispatcher.found([running], 0.0, 0.0) == [Bell("w2", "r1")]
    parked = RunEntry("r2", pool=POOL, state="parked", owner="w2", mail=3)
    assert dispatcher.found([parked], 0.0, 0.0) == [Bell("w2", "r2")]
    dispatcher.left("w2")
    parked = RunEntry("r3", pool=POOL, state="parked", owner="w2", mail=3)
    assert dispatcher.found([parked], 0.0, 0.0) == [Bell("w1", "r3")]
    read = RunEntry("r4", pool=POOL, state="parked", owner="w2", mail=3, seen=3)
    assert dispatcher.found([read], 0.0, 0.0) == []


def test_a_timer_is_looked_up_when_its_time_has_come() -> None:
    dispatcher = made("w1")
    dispatcher.noticed(HintPatch("r1", state="parked", wake_at=1005.0, owner="w1"), 0.0, 1000.0)
    assert dispatcher.next_timer(1000.0) == 5.0
    assert dispatcher.tick(4.9, 1004.9) == []
    assert dispatcher.tick(5.0, 1005.0) == [Look("r1")]
    due = RunEntry("r1", pool=POOL, state="parked", wake_at=1005.0, owner="w1")
    assert dispatcher.found([due], 5.0, 1005.0) == [Bell("w1", "r1")]
    assert dispatcher.next_timer(1005.0) is None


def test_far_timers_are_left_to_the_scan() -> None:
    dispatcher = made("w1")
    dispatcher.noticed(HintPatch("r1", state="parked", wake_at=5000.0), 0.0, 1000.0)
    assert dispatcher.next_timer(1000.0) is None


def test_without_a_worker_nothing_is_rung_and_a_later_scan_finds_it() -> None:
    dispatcher = made()
    assert dispatcher.noticed(ready("r1"), 0.0, 0.0) == []
    dispatcher.joined("w1", POOL, 1.0)
    assert dispatcher.found([RunEntry("r1", pool=POOL)], 1.0, 0.0) == [Bell("w1", "r1")]


def test_a_run_of_a_pool_that_no_longer_exists_goes_to_the_default_pool() -> None:
    dispatcher = made("w1")
    dispatcher.serves([POOL, "gpu"])
    assert dispatcher.found([RunEntry("r1", pool="gone")], 0.0, 0.0) == [Bell("w1", "r1")]
    assert dispatcher.found([RunEntry("r2", pool="gpu")], 0.0, 0.0) == []  # its workers are about to come


def test_a_full_worker_gets_nothing_more() -> None:
    dispatcher = made("w1", bounds=Dispatch(runs_max=1))
    assert dispatcher.noticed(ready("r1"), 0.0, 0.0) == [Bell("w1", "r1")]
    assert dispatcher.noticed(ready("r2"), 0.0, 0.0) == []


def test_a_suspect_gets_a_worker_alone_which_gets_nothing_else() -> None:
    dispatcher = made("w1")
    dispatcher.noticed(ready("bad"), 0.0, 0.0)
    assert dispatcher.noticed(HintPatch("bad", state="trial", owner=""), 0.0, 0.0) == [Look("bad")]
    assert dispatcher.found([SUSPECT], 0.0, 0.0) == [Trial("bad", POOL)]
    assert dispatcher.found([SUSPECT], 0.5, 0.0) == []  # its trial is about to begin
    assert dispatcher.joined("alone", POOL, 1.0, "bad") == [Bell("alone", "bad", solo=True)]
    dispatcher.loaded("w1", 100)
    assert dispatcher.noticed(ready("r1"), 1.0, 0.0) == [Bell("w1", "r1")]
    dispatcher.noticed(claimed("bad", "alone"), 1.1, 0.0)
    assert dispatcher.noticed(HintPatch("bad", state="completed"), 2.0, 0.0) == [Retire("alone")]


def test_a_suspect_that_kills_its_trial_goes_back_to_the_others() -> None:
    dispatcher = made("w1")
    dispatcher.found([SUSPECT], 0.0, 0.0)
    dispatcher.joined("alone", POOL, 1.0, "bad")
    dispatcher.noticed(claimed("bad", "alone"), 1.1, 0.0)
    dispatcher.left("alone")
    orphan = RunEntry("bad", pool=POOL, state="running", owner="alone")
    assert dispatcher.found([orphan], 1.2, 0.0) == [Bell("w1", "bad")]


def test_a_trial_whose_run_is_not_there_any_more_is_over() -> None:
    dispatcher = made("w1")
    dispatcher.found([SUSPECT], 0.0, 0.0)
    dispatcher.joined("alone", POOL, 1.0, "bad")
    assert Retire("alone") in dispatcher.tick(100.0, 0.0)
    assert dispatcher.joined("late", POOL, 101.0, "bad") == [Retire("late")]


def test_a_trial_worker_that_comes_back_from_silence_goes_on_with_the_trial() -> None:
    dispatcher = made("w1")
    dispatcher.found([SUSPECT], 0.0, 0.0)
    dispatcher.joined("solo", POOL, 1.0, solo_for="bad")
    assert dispatcher.silent("solo") == [Look("bad")]
    assert dispatcher.found([SUSPECT], 2.0, 0.0) == [Trial("bad", POOL)]  # refused: its only worker is still there
    assert dispatcher.back("solo", 3.0) == [Bell("solo", "bad", solo=True)]


def test_a_trial_worker_that_comes_back_when_its_trial_is_over_goes() -> None:
    dispatcher = made("w1")
    dispatcher.found([SUSPECT], 0.0, 0.0)
    dispatcher.joined("solo", POOL, 1.0, solo_for="bad")
    dispatcher.silent("solo")
    assert dispatcher.back("solo", 3.0) == [Retire("solo")]


def test_a_trial_asked_for_while_its_worker_was_silent_is_asked_for_again_when_that_dies() -> None:
    dispatcher = made("w1")
    dispatcher.found([SUSPECT], 0.0, 0.0)
    dispatcher.joined("solo", POOL, 1.0, solo_for="bad")
    dispatcher.silent("solo")
    dispatcher.found([SUSPECT], 2.0, 0.0)
    dispatcher.left("solo")
    assert dispatcher.found([SUSPECT], 11.0, 0.0) == [Trial("bad", POOL)]


def test_trials_are_bounded() -> None:
    dispatcher = made("w1", bounds=Dispatch(trials_max=1))
    assert dispatcher.found([SUSPECT], 0.0, 0.0) == [Trial("bad", POOL)]
    worse = RunEntry("worse", pool=POOL, state="trial")
    assert dispatcher.found([worse], 0.0, 0.0) == []
    dispatcher.joined("alone", POOL, 1.0, "bad")
    dispatcher.loaded("alone", 1)
    assert dispatcher.found([worse], 61.0, 0.0) == [Trial("worse", POOL)]  # a long trial keeps nobody waiting


def test_a_trial_that_nobody_claimed_begins_again() -> None:
    dispatcher = made("w1")
    dispatcher.found([SUSPECT], 0.0, 0.0)
    dispatcher.joined("alone", POOL, 1.0, "bad")
    assert dispatcher.left("alone") == [Look("bad")]
    assert dispatcher.found([SUSPECT], 1.1, 0.0) == [Trial("bad", POOL)]


class Cell(RuleBasedStateMachine):
    """Workers come, freeze and die; notices are lost at will. A scan always brings every run to a living worker."""

    runs = st.sampled_from([f"r{n}" for n in range(4)])
    names = st.sampled_from([f"w{n}" for n in range(5)])

    def __init__(self) -> None:
        super().__init__()
        self.dispatcher = Dispatcher(Dispatch(trials_max=2, trial_workers_max=4))
        self.now = 0.0
        self.entries: dict[str, RunEntry] = {}
        self.workers: dict[str, str] = {}  # name -> live | silent | leaving
        self.born = 0

    def carry_out(self, commands: list[Command], *, claims: bool = True) -> None:
        """What the shell does: look up, and (if `claims`) the rung worker claims."""
        queue = list(commands)
        for _ in range(200):
            if not queue:
                return
            command = queue.pop(0)
            if isinstance(command, Look) and command.run in self.entries:
                queue += self.dispatcher.found([self.entries[command.run]], self.now, self.now)
            elif isinstance(command, Look):
                self.dispatcher.lost(command.run)
            elif isinstance(command, Trial):
                self.born += 1
                self.workers[f"w{self.born}"] = "live"
                queue += self.dispatcher.joined(f"w{self.born}", POOL, self.now, command.run)
            elif isinstance(command, Retire):
                self.workers.pop(command.worker, None)
                queue += self.dispatcher.left(command.worker)
            elif isinstance(command, Bell):
                assert self.workers.get(command.worker) != "silent", "a silent worker was rung"
                assert command.worker in self.workers, "a dead worker was rung"
                if self.entries[command.run].state == "trial":
                    assert command.solo, "a suspect was rung at a worker that holds others"
                if claims and self.entries[command.run].state in ("ready", "trial", "running", "parked"):
                    self.change(command.run, state="running", owner=command.worker, told=True)
        raise AssertionError("looking up and ringing does not end")

    def change(self, run: str, *, told: bool, **fields: object) -> None:
        patch = HintPatch(run, **fields)  # type: ignore[arg-type]
        self.entries[run] = self.entries.get(run, RunEntry(run, pool=POOL)).patched(patch)
        if told:
            self.carry_out(self.dispatcher.noticed(patch, self.now, self.now))

    @rule(run=runs, told=st.booleans())
    def created(self, run: str, told: bool) -> None:
        if run not in self.entries:
            self.change(run, told=told, state="ready", pool=POOL)

    @rule(run=runs, told=st.booleans(), wait=st.floats(0, 5))
    def parks(self, run: str, told: bool, wait: float) -> None:
        if run in self.entries and self.entries[run].state == "running":
            self.change(run, told=told, state="parked", wake_at=self.now + wait)

    @rule(run=runs, told=st.booleans())
    def gets_mail(self, run: str, told: bool) -> None:
        if run in self.entries:
            self.change(run, told=told, mail=self.entries[run].mail + 1)

    @rule(run=runs, told=st.booleans())
    def ends(self, run: str, told: bool) -> None:
        if run in self.entries and self.entries[run].state == "running":
            self.change(run, told=told, state="completed", owner="")

    @rule(run=runs, told=st.booleans())
    def is_suspected(self, run: str, told: bool) -> None:
        if run in self.entries and self.entries[run].state == "running":
            self.change(run, told=told, state="trial", owner="")

    @rule()
    def worker_joins(self) -> None:
        if len(self.workers) < 6:
            self.born += 1
            self.workers[f"w{self.born}"] = "live"
            self.carry_out(self.dispatcher.joined(f"w{self.born}", POOL, self.now))

    @precondition(lambda self: self.workers)
    @rule(data=st.data(), what=st.sampled_from(["silent", "back", "leaving", "left", "beats"]))
    def worker_changes(self, data: st.DataObject, what: str) -> None:
        name = data.draw(st.sampled_from(sorted(self.workers)))
        if what == "beats":
            self.dispatcher.loaded(name, data.draw(st.integers(0, 5)))
        elif what == "back":
            self.dispatcher.back(name, self.now)
            if self.workers[name] == "silent":
                self.workers[name] = "live"
        else:
            commands = getattr(self.dispatcher, what)(name)
            if what == "left":
                del self.workers[name]
            else:
                self.workers[name] = what
            self.carry_out(commands)

    @rule(step=st.floats(0.01, 3))
    def time_passes(self, step: float) -> None:
        self.now += step
        self.carry_out(self.dispatcher.tick(self.now, self.now))

    @rule()
    def everything_is_rung_in_the_end(self) -> None:
        """Quiet times: a few scans and ticks. Then no run that wants a worker is without one, if one lives."""
        for _ in range(60):
            self.now += 2.5
            wanting = [e for e in self.entries.values() if e.due(self.now) or e.state == "running"]
            orphans = [e for e in wanting if e.state != "running" or not self.dispatcher.alive(e.owner)]
            self.carry_out(self.dispatcher.found(orphans, self.now, self.now))
            self.carry_out(self.dispatcher.tick(self.now, self.now))
        if any(state == "live" and not self.dispatcher._workers[w].solo_for for w, state in self.workers.items()):
            for entry in self.entries.values():
                assert not entry.due(self.now) or entry.state in ("held", "quarantined"), f"{entry} waits for ever"
                if entry.state == "running":
                    assert self.workers.get(entry.owner) in ("live", "leaving"), f"{entry} has a dead owner"

    @invariant()
    def what_is_kept_is_bounded(self) -> None:
        assert len(self.dispatcher._rings) <= len(self.entries)
        assert len(self.dispatcher._trials) <= 4


TestCell = Cell.TestCase
TestCell.settings = settings(max_examples=60, stateful_step_count=40, deadline=None)
