"""What a pool promises whoever calls it, with endpoints in memory."""

from __future__ import annotations

import asyncio

import pytest

from outlast.adapters.host.clock import SystemClock
from outlast.kernel.error import ConfigurationError
from outlast.model.attempt import Attempt
from outlast.model.endpoint import EndpointRefused, EndpointUnavailable, Interrupted
from outlast.model.member import Target
from outlast.model.pool import Ask, Pool, RetryTree
from tests.model.virtual import SeededRandomness


def pool(*names: str) -> Pool:
    return Pool("writer", [Target(name, model=f"m-{name}") for name in names], SystemClock(), SeededRandomness())


async def test_a_call_is_answered_by_a_member_in_the_callers_own_task() -> None:
    tasks: list[object] = []

    async def send(attempt: Attempt) -> str:
        tasks.append(asyncio.current_task())
        attempt.commit()
        return attempt.member.name

    served = await pool("a").call(send, Ask(10.0))
    assert (served.value, served.endpoint, served.model) == ("a", "a", "m-a")
    assert (served.attempts, served.degraded, served.hedged) == (1, False, False)
    assert tasks == [asyncio.current_task()]


async def test_what_fails_before_commit_is_asked_elsewhere() -> None:
    asked: list[str] = []

    async def send(attempt: Attempt) -> str:
        asked.append(attempt.member.name)
        if len(asked) == 1:
            raise EndpointUnavailable("down")
        return "fine"

    served = await pool("a", "b").call(send, Ask(10.0))
    assert served.value == "fine"
    assert served.attempts == 2
    assert sorted(asked) == ["a", "b"]
    assert served.endpoint == asked[1]


async def test_what_fails_after_commit_is_interrupted_and_never_asked_again() -> None:
    asked: list[str] = []

    async def send(attempt: Attempt) -> str:
        asked.append(attempt.member.name)
        attempt.commit()
        raise EndpointUnavailable("broke off")

    with pytest.raises(Interrupted, match="broke off"):
        await pool("a", "b").call(send, Ask(10.0))
    assert len(asked) == 1


async def test_the_callers_own_fault_is_not_tried_again_and_a_wrong_key_is() -> None:
    asked: list[str] = []

    async def refuse(attempt: Attempt) -> str:
        asked.append(attempt.member.name)
        raise EndpointRefused("no", elsewhere=len(asked) == 1)

    with pytest.raises(EndpointRefused):
        await pool("a", "b", "c").call(refuse, Ask(10.0))
    assert len(asked) == 2


async def test_an_endpoint_that_says_nothing_is_stopped_at_the_deadline() -> None:
    stopped: list[str] = []

    async def send(attempt: Attempt) -> str:
        attempt.on_abort(lambda: stopped.append(attempt.member.name))
        await asyncio.Event().wait()
        return "never"

    one = pool("a")
    with pytest.raises(EndpointUnavailable, match="did not answer within"):
        await one.call(send, Ask(0.05))
    assert stopped == ["a"]
    assert one.members[0].in_flight == 0


async def test_a_tree_bounds_the_attempts_of_all_that_one_request_leads_to() -> None:
    asked = 0

    async def send(attempt: Attempt) -> str:
        nonlocal asked
        asked += 1
        raise EndpointUnavailable("down")

    tree = RetryTree(attempts=3)
    for _ in range(3):
        with pytest.raises(EndpointUnavailable):
            await pool("a", "b").call(send, Ask(10.0, tree=tree))
    assert asked == 3


def test_a_pool_without_endpoints_is_refused() -> None:
    with pytest.raises(ConfigurationError, match="has no endpoints"):
        pool()


async def test_what_there_is_to_see_of_a_pool() -> None:
    one = pool("a", "b")

    async def send(attempt: Attempt) -> str:
        if attempt.member.name == "b":
            raise EndpointUnavailable("down")
        attempt.usage(10, 20)
        return "fine"

    for _ in range(20):
        await one.call(send, Ask(10.0))
    one.drain("a")
    one.eject("b", 60.0)
    view = one.view()
    assert (view.name, view.requests, view.queued, view.fallback) == ("writer", 20, 0, None)
    assert view.amplification == (20 + view.extra + view.moved) / 20
    a, b = view.members
    assert (a.state, a.answered, a.input_tokens, a.output_tokens) == ("drained", 20, 200, 400)
    assert b.state == "ejected"
    assert b.out_for_s is not None
    assert 50.0 < b.out_for_s <= 60.0
    assert b.failed == view.extra + view.moved
    assert b.opened == 1
    one.undrain("a")
    assert one.view().members[0].state == "warming"


async def test_a_session_sticks_to_its_member_while_that_is_well_and_comes_back_to_it() -> None:
    one = pool("a", "b", "c")

    async def send(attempt: Attempt) -> str:
        return attempt.member.name

    async def homes() -> dict[str, str]:
        return {key: (await one.call(send, Ask(10.0, affinity=key))).value for key in map(str, range(60))}

    at_first = await homes()
    assert set(at_first.values()) == {"a", "b", "c"}
    assert await homes() == at_first
    one.drain("b")
    without = await homes()
    assert all(without[key] == home for key, home in at_first.items() if home != "b")
    assert "b" not in without.values()
    one.undrain("b")
    assert await homes() == at_first


async def test_what_another_replica_saw_is_checked_and_not_believed() -> None:
    here, there = pool("a", "b"), pool("a", "b")

    async def send(attempt: Attempt) -> str:
        if attempt.member.name == "b":
            raise EndpointUnavailable("down")
        return "fine"

    for _ in range(20):
        await there.call(send, Ask(10.0))
    here.hint(there.view())
    assert [member.suspect for member in here.members] == [False, True]
    assert [member.state for member in here.view().members] == ["in", "in"]


async def test_a_member_is_sent_no_more_than_its_quota() -> None:
    targets = [Target("a", quota_per_s=2.0), Target("b")]
    one = Pool("writer", targets, SystemClock(), SeededRandomness())

    async def send(attempt: Attempt) -> str:
        return attempt.member.name

    served = [(await one.call(send, Ask(10.0))).value for _ in range(100)]
    assert 10 <= served.count("a") <= 12  # what it may be sent in 5 s at once, and a little
    assert one.view().members[0].state == "resting"
