"""What keeps a process from writing is said, and not over and over."""

from __future__ import annotations

from outlast.adapters.host.clock import SystemClock
from outlast.adapters.postgres.refusal import Refusals, again_s


class Hand(SystemClock):
    """A clock that is set by hand."""

    def __init__(self) -> None:
        self.at = 100.0

    def monotonic(self) -> float:
        return self.at


def test_trouble_is_said_when_it_begins_now_and_then_and_when_it_is_over() -> None:
    clock, said = Hand(), list[str]()
    refusals = Refusals(clock, said.append)
    refusals.accepted("a")
    assert said == [], "nothing was wrong"
    for _ in range(5):
        refusals.refused("nobody there", found=False)
    assert said == ["nothing can be written, runs wait: nobody there"]
    refusals.refused("no standby", found=True)
    assert said[1:] == ["nothing can be written, runs wait: no standby"], "another trouble does not wait its turn"
    clock.at += again_s
    refusals.refused("no standby", found=True)
    assert len(said) == 3
    refusals.accepted("a")
    refusals.accepted("a")
    assert said[3:] == ["postgres a takes writes: runs go on"]
    refusals.refused("no standby", found=True)
    assert len(said) == 5
