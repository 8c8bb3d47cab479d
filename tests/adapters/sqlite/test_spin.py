"""Staying awake pays or is given up."""

from __future__ import annotations

from outlast.adapters.sqlite.spin import Spin, pause_s_first, pause_s_max, spin_s_max


class Core:
    """A core that is shared: giving it away takes as long as the others want it, looking takes 50 microseconds."""

    def __init__(self) -> None:
        self.now = 100.0
        self.taken_s = 0.0
        self.lost = 0

    def monotonic(self) -> float:
        return self.now

    def give_away(self) -> None:
        self.now += self.taken_s
        self.lost += self.taken_s > 0


def spin_on(core: Core) -> Spin:
    return Spin(core.monotonic, core.give_away)


def in_vain(spin: Spin, core: Core) -> None:
    while spin.again():
        core.now += 0.00005


def attempts(spin: Spin, core: Core, times: int) -> int:
    """How many of so many chances are tried, all in vain."""
    tried = 0
    for _ in range(times):
        core.now += 0.001
        if spin.begin():
            tried += 1
            in_vain(spin, core)
    return tried


def steps(spin: Spin, core: Core, seconds: float) -> tuple[int, int]:
    """Chances whose answers come 100 microseconds later, for so many seconds: how many were tried, and how many not."""
    tried = skipped = 0
    end = core.now + seconds
    while core.now < end:
        answered = core.now + 0.0001
        if spin.begin():
            tried += 1
            while core.now < answered and spin.again():
                core.now += 0.00001
            if core.now >= answered:
                spin.won()
        else:
            skipped += 1
        core.now = max(core.now, answered) + 0.0001
    return tried, skipped


def test_it_looks_again_until_its_bound() -> None:
    core = Core()
    spin = spin_on(core)
    begun = core.now
    assert spin.begin()
    in_vain(spin, core)
    assert spin_s_max <= core.now - begun < spin_s_max + 0.0001


def test_in_vain_it_becomes_rare() -> None:
    core = Core()
    spin = spin_on(core)
    assert attempts(spin, core, 1000) < 15
    assert attempts(spin, core, 2560) == 10


def test_success_makes_it_eager_again() -> None:
    core = Core()
    spin = spin_on(core)
    attempts(spin, core, 1000)
    while not spin.begin():
        pass
    spin.won()
    assert all(spin.begin() for _ in range(10))


def test_nobody_else_wants_the_core_and_every_answer_is_awaited_awake() -> None:
    core = Core()
    tried, skipped = steps(spin_on(core), core, 1.0)
    assert tried > 1000
    assert skipped == 0


def test_a_busy_neighbour_costs_a_few_time_slices_and_no_more() -> None:
    core = Core()
    core.taken_s = 0.003
    spin = spin_on(core)
    tried, skipped = steps(spin, core, 60.0)
    assert core.lost == tried < 2 * 60 / pause_s_max
    assert skipped > 100_000


def test_an_answer_that_came_while_the_core_was_lost_is_no_reason_to_go_on() -> None:
    core = Core()
    spin = spin_on(core)
    core.taken_s = 0.003
    assert spin.begin()
    assert spin.again()
    spin.won()
    assert not spin.begin()
    core.now += pause_s_first
    assert spin.begin()


def test_after_a_calm_time_a_loss_is_the_first_again() -> None:
    core = Core()
    spin = spin_on(core)
    core.taken_s = 0.003
    steps(spin, core, 60.0)
    core.taken_s = 0.0
    core.now += pause_s_max
    steps(spin, core, 5 * pause_s_max)
    core.taken_s = 0.003
    assert spin.begin()
    spin.again()
    core.now += pause_s_first
    assert spin.begin()
