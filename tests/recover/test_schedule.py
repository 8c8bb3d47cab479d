"""What is due when: full copies, what came since, tests and tidying, each after its time."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from outlast.blueprint.backup import Backup
from outlast.recover.schedule import Done, Plan, again_s, due, increment_every_s, lateness

DAY = 86400.0
whole = Plan.of(Backup(full_every=DAY, point_in_time=35 * DAY, test_restore="weekly"))


def test_what_the_blueprint_says_is_what_is_planned() -> None:
    assert whole == Plan(DAY, increment_every_s, 7 * DAY)
    assert Plan.of(Backup()) == Plan()
    assert whole.backup_every_s == increment_every_s
    assert Plan.of(Backup(full_every=DAY)).backup_every_s == DAY


def test_the_first_is_full_then_come_increments_and_a_full_one_a_day() -> None:
    done, now, log = Done(), 1000 * DAY, []
    for _ in range(int(2 * DAY / 60)):
        task = due(whole, done, now)
        if task in ("full", "increment"):
            log.append(task)
            done.newest_at = now
            if task == "full":
                done.full_at = now
        elif task == "test":
            log.append("test")
            done.tested_at = now
        elif task == "prune":
            done.pruned_at = now
        now += 60
    assert log[:3] == ["full", "test", "increment"]
    assert log.count("full") == 2
    assert log.count("test") == 1
    assert abs(log.count("increment") - 2 * DAY / increment_every_s) <= 4


def test_nothing_is_done_that_nobody_asked_for() -> None:
    assert due(Plan(), Done(), 1e9) is None
    assert due(Plan(full_every_s=DAY), Done(full_at=1e9, newest_at=1e9, pruned_at=1e9), 1e9 + 10) is None
    assert due(Plan(test_every_s=DAY), Done(), 1e9) is None, "there is nothing to test"


def test_what_failed_waits_a_while_and_lets_the_others_go_on() -> None:
    done = Done(newest_at=1e9 - 10 * DAY, full_at=1e9 - 10 * DAY, failed_at={"full": 1e9})
    assert due(whole, done, 1e9 + 1) == "increment"
    assert due(whole, done, 1e9 + again_s) == "full"


def test_what_is_late_is_said() -> None:
    now = 1e9
    assert lateness(whole, Done(full_at=now, newest_at=now, tested_at=now), now + 300) == []
    assert lateness(whole, Done(), now) == ["there was no backup yet", "there was no test yet"]
    assert "the last backup was 1.0 h ago" in lateness(whole, Done(newest_at=now - 3600, tested_at=now), now)


@given(st.floats(0, 100 * DAY), st.floats(0, 100 * DAY), st.floats(0, 100 * DAY))
def test_nothing_is_due_twice_in_a_row(full: float, newest: float, tested: float) -> None:
    now = 1e9
    done = Done(now - full, now - min(full, newest), now - tested, now)
    seen = set()
    while (task := due(whole, done, now)) is not None:
        assert task not in seen
        seen.add(task)
        if task == "full":
            done.full_at = done.newest_at = now
        elif task == "increment":
            done.newest_at = now
        else:
            done.tested_at = now
