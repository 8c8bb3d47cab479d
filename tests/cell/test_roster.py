from __future__ import annotations

from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, precondition, rule

from outlast.cell import event as news
from outlast.cell.bound import Bounds, PoolSize
from outlast.cell.child import Beat, Drain, Failed, Loading, Log, Ready
from outlast.cell.command import Command, Kill, Say, Start
from outlast.cell.roster import Roster


class Half:
    """Chance without chance."""

    def token(self, size: int) -> bytes:
        return bytes(size)

    def uniform(self) -> float:
        return 0.5


class Shop:
    """A roster and a host that does what it is told: starts are instant, the kills a test wants to see are kept."""

    def __init__(
        self, bounds: Bounds | None = None, *, server: bool = False, workers: int = 2, gateway: bool = False,
        writer: bool = True,
    ) -> None:  # fmt: skip
        self.now = 0.0
        self.bounds = bounds or Bounds()
        pools = {"default": PoolSize(workers, 100)}
        self.roster = Roster(self.bounds, pools, Half(), 0.0, server=server, gateway=gateway, writer=writer)
        self.alive: dict[str, Start] = {}
        self.beats: dict[str, int] = {}
        self.frozen: set[str] = set()
        self.log: list[Command] = []
        self.count = 0
        self.obey_kills = True

    def do(self, commands: list[Command]) -> list[Command]:
        self.log += commands
        for command in commands:
            if isinstance(command, Start):
                self.count += 1
                child = f"{command.kind}{self.count}"
                self.alive[child] = command
                self.do(self.roster.started(command.slot, child, self.count, self.now))
            elif isinstance(command, Kill) and self.obey_kills:
                self.die(command.child, -9)
        return commands

    def die(self, child: str, status: int = -9) -> list[Command]:
        if self.alive.pop(child, None) is None:
            return []
        return self.do(self.roster.died(child, status, self.now))

    def ready(self, child: str, *pools: str) -> list[Command]:
        self.beats[child] = 0
        return self.do(self.roster.heard(child, Ready(pools=pools), self.now))

    def beat(self, child: str) -> list[Command]:
        self.beats[child] += 1
        return self.do(self.roster.heard(child, Beat(self.beats[child]), self.now))

    def pass_time(self, seconds: float, step: float = 0.1) -> None:
        end = self.now + seconds
        while self.now < end:
            self.now += step
            for child in list(self.beats):
                if child in self.alive and child not in self.frozen:
                    self.beat(child)
            self.do(self.roster.tick(self.now))

    def of(self, kind: str) -> list[str]:
        return [child for child, start in self.alive.items() if start.kind == kind]

    def happened(self, kind: type) -> list[Command]:
        return [command for command in self.log if isinstance(command, kind)]


def opened(bounds: Bounds | None = None, *, server: bool = False, workers: int = 2) -> Shop:
    shop = Shop(bounds, server=server, workers=workers)
    shop.do(shop.roster.tick(0.0))
    shop.ready("writer1")
    while starting := [view.id for view in shop.roster.view() if view.state == "starting"]:
        for child in starting:
            shop.ready(child)
    return shop


def test_the_writer_comes_first_then_server_and_workers_and_the_spare_when_one_of_them_serves() -> None:
    shop = Shop(server=True)
    shop.do(shop.roster.tick(0.0))
    assert shop.of("writer") == ["writer1"]
    assert len(shop.alive) == 1
    shop.ready("writer1")
    first, second = shop.of("worker")
    assert len(shop.of("server")) == 1
    assert not shop.roster.ready()
    shop.ready(shop.of("server")[0])
    assert len(shop.of("worker")) == 2
    shop.ready(second)
    assert len(shop.of("worker")) == 3
    assert shop.roster.ready()
    shop.ready(first)
    shop.die(first)
    shop.die(second)
    shop.pass_time(0.2)
    assert len(shop.of("worker")) == 3, "a spare that was started once is always there"


def test_where_the_store_needs_no_writer_workers_and_server_start_at_once_and_ending_waits_for_none() -> None:
    shop = Shop(server=True, writer=False)
    shop.do(shop.roster.tick(0.0))
    assert sorted(start.kind for start in shop.alive.values()) == ["server", "worker", "worker"]
    for child in list(shop.alive):
        shop.ready(child)
    shop.ready(shop.of("worker")[2])
    assert shop.roster.ready()
    assert not shop.roster.with_writer
    shop.die(shop.of("worker")[0])
    shop.pass_time(1.0)
    shop.do(shop.roster.drain(shop.now))
    for child in list(shop.alive):
        assert not shop.happened(news.CellStopped)
        shop.die(child, 0)
    assert len(shop.happened(news.CellStopped)) == 1
    assert not any(isinstance(start, Start) and start.kind == "writer" for start in shop.log)


def test_a_gateway_needs_no_journal_and_stays_when_the_users_code_is_started_anew() -> None:
    shop = Shop(gateway=True, server=True)
    shop.do(shop.roster.tick(0.0))
    (gateway,) = shop.of("gateway")
    shop.ready(gateway)
    assert not shop.roster.ready()
    shop.ready(*shop.of("writer"))
    while starting := [view.id for view in shop.roster.view() if view.state == "starting"]:
        for child in starting:
            shop.ready(child)
    assert shop.roster.ready()
    shop.do(shop.roster.reload(shop.now))
    shop.pass_time(0.2)
    assert shop.of("gateway") == [gateway]
    assert len(shop.of("server")) == 2  # the old one drains
    shop.die(gateway)
    assert not shop.roster.ready()
    shop.pass_time(5.0)
    (again,) = shop.of("gateway")
    assert again != gateway
    shop.do(shop.roster.drain(shop.now))
    assert [said.child for said in shop.happened(Say) if isinstance(said, Say)].count(again) == 1


def test_pools_that_the_app_names_get_workers_too() -> None:
    shop = opened()
    shop.do(shop.roster.heard(shop.of("worker")[0], Ready(pools=("default", "gpu")), shop.now))
    assert len(shop.of("worker")) == 3  # a second `ready` is ignored
    shop = Shop()
    shop.do(shop.roster.tick(0.0))
    shop.ready("writer1")
    shop.ready(shop.of("worker")[0], "default", "gpu")
    for child in shop.of("worker"):
        if shop.alive[child].pool == "gpu":
            shop.ready(child)
    assert sorted(start.pool for start in shop.alive.values()) == ["", *["default"] * 3, *["gpu"] * 3]


def test_a_dead_worker_is_replaced_at_once_and_a_dying_one_ever_later() -> None:
    shop = opened(workers=1)
    shop.die(shop.of("worker")[0])
    shop.pass_time(0.1)
    assert len(shop.of("worker")) == 2
    for _ in range(8):
        while len(shop.of("worker")) < 2:
            shop.pass_time(0.01, 0.01)
        shop.die(shop.of("worker")[-1])
    delays = [event.restart_in_s for event in shop.happened(news.ChildDead)]  # type: ignore[attr-defined]
    assert delays[0] == 0.0
    assert any(delay is not None and delay > 0.3 for delay in delays)


def test_a_silent_worker_is_replaced_and_not_yet_killed() -> None:
    shop = opened()
    victim = shop.of("worker")[0]
    shop.frozen.add(victim)
    shop.pass_time(1.3)
    assert [event.id for event in shop.happened(news.ChildSilent)] == [victim]  # type: ignore[attr-defined]
    assert len(shop.of("worker")) == 4
    assert shop.happened(Kill) == []


def test_a_silent_worker_that_comes_back_leaves_when_its_replacement_serves() -> None:
    shop = opened()
    victim = shop.of("worker")[0]
    shop.frozen.add(victim)
    shop.pass_time(1.3)
    shop.frozen.clear()
    shop.pass_time(0.3)
    assert [event.id for event in shop.happened(news.ChildBack)] == [victim]  # type: ignore[attr-defined]
    assert shop.happened(news.ChildLeaving) == []
    shop.ready(shop.of("worker")[-1])
    shop.pass_time(0.3)
    assert [event.id for event in shop.happened(news.ChildLeaving)] == [victim]  # type: ignore[attr-defined]
    shop.die(victim, 0)
    shop.pass_time(5)
    assert len(shop.of("worker")) == 3


def test_a_hung_worker_is_killed() -> None:
    shop = opened()
    victim = shop.of("worker")[0]
    shop.frozen.add(victim)
    shop.pass_time(10.3)
    assert [kill.child for kill in shop.happened(Kill)] == [victim]  # type: ignore[attr-defined]
    assert len(shop.of("worker")) == 3


def test_a_stalled_writer_is_killed_and_started_again_at_once() -> None:
    shop = opened()
    shop.frozen.add("writer1")
    shop.pass_time(4.5)
    assert shop.happened(news.ChildSilent) == []
    shop.pass_time(0.8)
    assert [kill.child for kill in shop.happened(Kill)] == ["writer1"]  # type: ignore[attr-defined]
    assert len(shop.of("writer")) == 1
    assert len(shop.of("worker")) == 3


def test_a_child_that_does_not_become_ready_is_killed_and_one_that_will_not_die_is_killed_again() -> None:
    shop = Shop(Bounds(start_within_s=5.0))
    shop.obey_kills = False
    shop.do(shop.roster.tick(0.0))
    shop.pass_time(5.2)
    assert len(shop.happened(Kill)) == 1
    shop.pass_time(3.0)
    assert len(shop.happened(Kill)) == 4


def test_a_child_that_freezes_while_it_starts_is_seen_long_before_one_that_only_takes_its_time() -> None:
    shop = Shop(Bounds(start_within_s=60.0, start_silent_s=15.0))
    shop.do(shop.roster.tick(0.0))
    for n in range(40):
        shop.pass_time(1.0)
        shop.do(shop.roster.heard("writer1", Loading(n + 1), shop.now))
    assert shop.happened(Kill) == []
    shop.pass_time(14.0)
    shop.do(shop.roster.heard("writer1", Loading(40), shop.now))  # said before, and late
    assert shop.happened(Kill) == []
    shop.pass_time(1.2)
    assert [kill.child for kill in shop.happened(Kill)] == ["writer1"]  # type: ignore[attr-defined]
    assert shop.happened(news.ChildKilled)[0].why == "no sign of life for 15 s while it started"  # type: ignore[attr-defined]
    shop.pass_time(1.0)
    assert shop.of("writer") == ["writer2"], "and another one is started in its place"


def test_a_supervisor_that_was_paused_itself_blames_no_child_that_starts() -> None:
    shop = Shop(Bounds(start_silent_s=15.0))
    shop.do(shop.roster.tick(0.0))
    shop.pass_time(1.0)
    shop.now += 30.0
    shop.do(shop.roster.tick(shop.now))
    assert shop.happened(Kill) == []


def test_a_worker_that_swells_is_killed_and_the_writer_never_is() -> None:
    shop = opened()
    victim = shop.of("worker")[0]
    assert shop.do(shop.roster.weighed(victim, 100, shop.now)) == []
    assert shop.do(shop.roster.weighed("writer1", 1 << 40, shop.now)) == []
    shop.do(shop.roster.weighed(victim, 101, shop.now))
    assert [kill.child for kill in shop.happened(Kill)] == [victim]  # type: ignore[attr-defined]
    assert "memory" in shop.happened(news.ChildKilled)[0].why  # type: ignore[attr-defined]


def test_an_app_that_cannot_be_loaded_stops_the_cell_with_its_error() -> None:
    shop = Shop()
    shop.do(shop.roster.tick(0.0))
    shop.ready("writer1")
    shop.do(shop.roster.heard(shop.of("worker")[0], Failed("configuration", "app.py: no such file"), shop.now))
    assert shop.happened(news.CellFailed) == [news.CellFailed("configuration", "app.py: no such file")]
    assert shop.happened(news.CellStopped)
    assert shop.alive == {}


def test_once_it_has_served_a_broken_app_is_said_and_tried_again() -> None:
    shop = opened()
    shop.do(shop.roster.reload(shop.now))
    fresh = shop.of("worker")[-1]
    shop.do(shop.roster.heard(fresh, Failed("configuration", "syntax error"), shop.now))
    shop.die(fresh, 78)
    assert shop.happened(news.CellFailed) == []
    assert any(isinstance(said, news.ChildSaid) and "syntax error" in said.text for said in shop.log)
    shop.pass_time(1)
    assert shop.of("writer") == ["writer1"]


def test_children_that_always_die_before_they_serve_stop_the_cell() -> None:
    shop = Shop()
    shop.do(shop.roster.tick(0.0))
    shop.ready("writer1")
    for _ in range(200):
        if not shop.of("worker"):
            shop.pass_time(1)
        if shop.happened(news.CellFailed):
            break
        shop.die(shop.of("worker")[0], -11)
        shop.pass_time(0.1)
    (failed,) = shop.happened(news.CellFailed)
    assert "died 5 times in a row before it was ready (exit status -11); see logs/worker.log" in failed.message  # type: ignore[attr-defined]


def test_a_host_without_room_is_tried_again_later() -> None:
    shop = Shop()
    assert shop.roster.tick(0.0) == [Start("writer", "writer", "")]
    (said,) = shop.roster.refused("writer", "worker w cannot be started: no process left", 0.0)
    assert isinstance(said, news.ChildSaid)
    assert shop.roster.tick(2.0) == [Start("writer", "writer", "")]


def test_drain_lets_workers_end_first_and_the_writer_last() -> None:
    shop = opened(server=True)
    shop.do(shop.roster.drain(shop.now))
    said = {word.child for word in shop.happened(Say)}  # type: ignore[attr-defined]
    assert said == set(shop.of("worker") + shop.of("server"))
    for child in shop.of("worker"):
        shop.die(child, 0)
    assert "writer1" not in {word.child for word in shop.happened(Say)}  # type: ignore[attr-defined]
    shop.die(shop.of("server")[0], 0)
    assert shop.log[-1] == Say("writer1", Drain(5.0))
    shop.die("writer1", 0)
    assert shop.log[-1] == news.CellStopped()
    shop.pass_time(60)
    assert shop.alive == {}


def test_who_does_not_drain_in_time_is_killed() -> None:
    shop = opened(Bounds(drain_s=3.0))
    shop.do(shop.roster.drain(shop.now))
    shop.pass_time(3.5)
    assert shop.happened(Kill) == []
    shop.pass_time(7.0)
    assert shop.alive == {}
    assert shop.log[-1] == news.CellStopped()


def test_a_second_drain_stops_at_once() -> None:
    shop = opened(server=True)
    shop.do(shop.roster.drain(shop.now))
    shop.do(shop.roster.drain(shop.now))
    assert shop.alive == {}
    assert shop.happened(news.CellStopped) == [news.CellStopped()]


def test_reload_starts_new_workers_and_drains_the_old() -> None:
    shop = opened()
    old = shop.of("worker")
    shop.do(shop.roster.reload(shop.now))
    assert len(shop.of("worker")) == 6
    assert {word.child for word in shop.happened(Say)} == set(old)  # type: ignore[attr-defined]
    for child in old:
        shop.die(child, 0)
    shop.pass_time(5)
    assert len(shop.of("worker")) == 3


def test_a_trial_worker_is_started_for_one_run_and_not_replaced() -> None:
    shop = opened()
    (start,) = shop.do(shop.roster.trial("bad", "default", shop.now))
    assert isinstance(start, Start)
    assert start.solo_for == "bad"
    assert shop.do(shop.roster.trial("bad", "default", shop.now)) == []
    alone = shop.of("worker")[-1]
    told = shop.ready(alone)
    assert isinstance(told[0], news.ChildReady)
    assert told[0].solo_for == "bad"
    shop.die(alone, -11)
    shop.pass_time(5)
    assert len(shop.of("worker")) == 3
    assert len(shop.do(shop.roster.trial("bad", "default", shop.now))) == 1


def keeping(here: bool = True) -> Shop:
    shop = opened(server=False)
    shop.do(shop.roster.keep(shop.now, here=here))
    shop.pass_time(0.2)
    return shop


def test_a_keeper_runs_where_it_is_wanted_and_drains_where_it_is_not_any_more() -> None:
    shop = keeping(here=False)
    assert shop.of("keeper") == []
    shop.do(shop.roster.keep(shop.now, here=True))
    shop.pass_time(0.2)
    (keeper,) = shop.of("keeper")
    assert shop.roster.ready(), "nobody waits for it"
    shop.ready(keeper)
    shop.log.clear()
    assert shop.do(shop.roster.keep(shop.now, here=True)) == []
    shop.do(shop.roster.keep(shop.now, here=False))
    assert Say(keeper, Drain(shop.bounds.drain_s)) in shop.log
    shop.die(keeper, 0)
    shop.pass_time(5)
    assert shop.of("keeper") == []
    assert [event.restart_in_s for event in shop.log if isinstance(event, news.ChildDead)] == [None]


def test_a_keeper_that_dies_is_started_again_and_one_in_trouble_never_stops_the_cell() -> None:
    shop = keeping()
    (keeper,) = shop.of("keeper")
    shop.die(keeper)
    for _ in range(3 * shop.bounds.failed_starts_max):
        shop.pass_time(31)
        (keeper,) = shop.of("keeper")
        shop.do(shop.roster.heard(keeper, Log("error", "no bus"), shop.now))
        shop.do(shop.roster.heard(keeper, Failed("configuration", "no extra"), shop.now))
        shop.die(keeper, 78)
    assert not shop.happened(news.CellFailed)
    assert shop.roster.ready()
    assert {said.text for said in shop.log if isinstance(said, news.ChildSaid)} == {"no bus", "no extra"}


def test_a_keeper_that_swells_is_killed() -> None:
    shop = keeping()
    (keeper,) = shop.of("keeper")
    shop.ready(keeper)
    shop.do(shop.roster.weighed(keeper, shop.bounds.keeper_memory_max, shop.now))
    assert keeper in shop.alive
    shop.do(shop.roster.weighed(keeper, shop.bounds.keeper_memory_max + 1, shop.now))
    assert keeper not in shop.alive
    (killed,) = shop.happened(news.ChildKilled)
    assert "keeper_memory_max is 1024 MiB" in killed.why  # type: ignore[attr-defined]


def test_a_cell_that_drains_waits_for_its_keeper_and_starts_none() -> None:
    shop = keeping()
    (keeper,) = shop.of("keeper")
    shop.ready(keeper)
    shop.do(shop.roster.drain(shop.now))
    assert Say(keeper, Drain(shop.bounds.drain_s)) in shop.log
    assert not shop.happened(news.CellStopped)
    for child in [child for child in shop.alive if not child.startswith("writer")]:
        shop.die(child, 0)
    shop.do(shop.roster.keep(shop.now, here=True))
    shop.pass_time(0.3)
    assert shop.of("keeper") == []


def test_words_for_people_are_passed_on() -> None:
    shop = opened()
    assert shop.do(shop.roster.heard("writer1", Log("warning", "disk is slow"), shop.now)) == [
        news.ChildSaid("writer1", "warning", "disk is slow")
    ]


def test_the_dead_and_the_unknown_are_ignored() -> None:
    shop = opened()
    assert shop.roster.died("nobody", 0, shop.now) == []
    assert shop.roster.heard("nobody", Beat(1), shop.now) == []
    assert shop.roster.weighed("nobody", 1 << 40, shop.now) == []
    assert shop.roster.retire("nobody", shop.now) == []


class Turmoil(RuleBasedStateMachine):
    """Deaths, freezes, thaws, drains in any order: when it is quiet again, exactly what should run runs."""

    def __init__(self) -> None:
        super().__init__()
        self.shop = opened(server=True)

    @precondition(lambda self: self.shop.alive)
    @rule(data=st.data(), what=st.sampled_from(["die", "freeze", "thaw", "ready", "swell", "retire"]))
    def something_happens(self, data: st.DataObject, what: str) -> None:
        shop = self.shop
        child = data.draw(st.sampled_from(sorted(shop.alive)))
        if what == "die":
            shop.die(child, data.draw(st.sampled_from([0, 1, -9, -11])))
        elif what == "freeze":
            shop.frozen.add(child)
        elif what == "thaw":
            shop.frozen.discard(child)
        elif what == "ready":
            shop.ready(child)
        elif what == "swell":
            shop.do(shop.roster.weighed(child, 1000, shop.now))
        else:
            shop.do(shop.roster.retire(child, shop.now))

    @rule()
    def reload(self) -> None:
        self.shop.do(self.shop.roster.reload(self.shop.now))

    @rule(run=st.sampled_from(["r1", "r2"]))
    def trial(self, run: str) -> None:
        self.shop.do(self.shop.roster.trial(run, "default", self.shop.now))

    @rule(seconds=st.floats(0.05, 3))
    def time_passes(self, seconds: float) -> None:
        self.shop.pass_time(seconds)

    @rule()
    def quiet_again(self) -> None:
        shop = self.shop
        shop.frozen.clear()
        for _ in range(8):
            for child in list(shop.alive):
                if child not in shop.beats:
                    shop.ready(child)
            for view in shop.roster.view():
                if view.state == "leaving" or view.solo_for:
                    shop.die(view.id, 0)
            shop.pass_time(11, 0.25)
        assert sorted(start.kind for start in shop.alive.values()) == ["server", "worker", "worker", "worker", "writer"]
        assert shop.roster.ready()

    @invariant()
    def there_is_one_writer_and_nobody_is_forgotten(self) -> None:
        assert len(self.shop.of("writer")) <= 1
        assert {view.id for view in self.shop.roster.view()} == set(self.shop.alive)

    @invariant()
    def the_number_of_workers_is_bounded(self) -> None:
        assert len(self.shop.happened(Start)) < 10_000


TestTurmoil = Turmoil.TestCase
TestTurmoil.settings = settings(max_examples=40, stateful_step_count=25, deadline=None)
