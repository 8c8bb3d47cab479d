"""The group commit, as a machine: every order of calls, and a model that says what must come out."""

from __future__ import annotations

from collections.abc import Sequence

import hypothesis.strategies as st
import pytest
from hypothesis import settings
from hypothesis.stateful import Bundle, RuleBasedStateMachine, invariant, precondition, rule

from outlast.journal.chain import genesis, link
from outlast.journal.commit import GroupCommit, Write
from outlast.journal.stream import Append, Applied, Conflicted, Head, Outcome, Unknown
from outlast.kernel.error import InvariantBroken

STREAMS = [f"run/{name}@0.local.test" for name in "abc"]


def append(stream: str, expected: Head, body: bytes = b"{}", count: int = 1) -> Append:
    return Append(stream, expected, "id", count, body)


def after(head: Head, body: bytes = b"{}", count: int = 1) -> Head:
    return Head(head.seq + count, link(head.hash, body))


class Disk:
    """Drives one machine as a shell does; `ends` is what is durable."""

    def __init__(self, group: GroupCommit[int] | None = None) -> None:
        self.group = group or GroupCommit()
        self.ends: dict[str, Head] = {}
        self.looked_up: list[str] = []

    def begin(self) -> Sequence[Write]:
        wanted = self.group.take()
        self.looked_up += wanted
        return self.group.decide({stream: self.ends.get(stream, genesis(stream)) for stream in wanted})

    def round(self) -> dict[int, Outcome]:
        for write in self.begin():
            self.ends[write.append.stream] = write.head
        return dict(self.group.committed())


def test_of_two_for_one_place_the_first_wins() -> None:
    disk = Disk()
    start = genesis(STREAMS[0])
    disk.group.offer(1, append(STREAMS[0], start, b"one"))
    disk.group.offer(2, append(STREAMS[0], start, b"two"))
    first = after(start, b"one")
    assert disk.round() == {1: Applied(first), 2: Conflicted(first)}


def test_the_second_is_judged_against_the_first_ones_result() -> None:
    disk = Disk()
    start = genesis(STREAMS[0])
    middle = after(start, b"one", 3)
    disk.group.offer(1, append(STREAMS[0], start, b"one", 3))
    disk.group.offer(2, append(STREAMS[0], middle, b"two"))
    end = after(middle, b"two")
    assert disk.round() == {1: Applied(middle), 2: Applied(end)}
    assert disk.group.head(STREAMS[0]) == end


def test_one_conflict_leaves_its_neighbours_alone() -> None:
    disk = Disk()
    for number, stream in enumerate(STREAMS):
        disk.group.offer(number, append(stream, genesis(stream) if number != 1 else Head(5, bytes(32))))
    outcomes = disk.round()
    assert isinstance(outcomes[0], Applied)
    assert outcomes[1] == Conflicted(genesis(STREAMS[1]))
    assert isinstance(outcomes[2], Applied)


def test_a_resent_append_conflicts_with_its_own_result() -> None:
    disk = Disk()
    request = append(STREAMS[0], genesis(STREAMS[0]))
    disk.group.offer(1, request)
    applied = disk.round()[1]
    assert isinstance(applied, Applied)
    disk.group.offer(2, request)
    assert disk.round() == {2: Conflicted(applied.head)}


def test_after_a_failed_commit_all_is_unknown_and_all_is_looked_up_again() -> None:
    disk = Disk()
    for stream in STREAMS:
        disk.group.offer(0, append(stream, genesis(stream)))
    disk.round()
    disk.group.offer(1, append(STREAMS[0], disk.ends[STREAMS[0]]))
    disk.group.offer(2, append(STREAMS[1], genesis(STREAMS[1])))
    disk.begin()
    assert dict(disk.group.failed("disk")) == {1: Unknown("disk"), 2: Unknown("disk")}
    assert all(disk.group.head(stream) is None for stream in STREAMS)
    disk.looked_up.clear()
    for stream in STREAMS:
        disk.group.offer(3, append(stream, genesis(stream)))
    disk.round()
    assert disk.looked_up == STREAMS


def test_what_is_offered_during_a_round_waits_for_the_next() -> None:
    disk = Disk()
    disk.group.offer(1, append(STREAMS[0], genesis(STREAMS[0])))
    writes = disk.begin()
    disk.group.offer(2, append(STREAMS[1], genesis(STREAMS[1])))
    assert [write.append.stream for write in writes] == [STREAMS[0]]
    assert [ticket for ticket, _ in disk.group.committed()] == [1]
    assert disk.group.waiting == 1
    assert list(disk.round()) == [2]


def test_a_round_is_bounded_in_count_and_bytes() -> None:
    disk = Disk(GroupCommit(count_max=3, bytes_max=100))
    for number, size in enumerate([10, 10, 10, 10, 60, 60, 500, 10]):
        disk.group.offer(number, append(STREAMS[0], Head(9, bytes(32)), b"x" * size))
    assert disk.group.waiting_bytes == 670
    rounds = [list(disk.round()) for _ in range(5)]
    assert rounds == [[0, 1, 2], [3, 4], [5], [6], [7]]
    assert disk.group.waiting_bytes == 0


def test_only_the_latest_used_ends_are_remembered() -> None:
    disk = Disk(GroupCommit(heads_max=2))
    for stream in [*STREAMS, STREAMS[1]]:
        disk.group.offer(0, append(stream, Head(9, bytes(32))))
        disk.round()
    assert [stream for stream in STREAMS if disk.group.head(stream)] == [STREAMS[1], STREAMS[2]]


@pytest.mark.parametrize(
    "calls",
    [
        ["decide"],
        ["committed"],
        ["failed"],
        ["take", "take"],
        ["take", "committed"],
        ["take", "decide", "decide"],
        ["take", "decide", "take"],
        ["take", "decide", "committed", "committed"],
        ["take", "decide", "failed", "failed"],
        ["take", "failed", "committed"],
    ],
)
def test_an_illegal_order_of_calls_is_a_broken_invariant(calls: list[str]) -> None:
    group: GroupCommit[int] = GroupCommit()
    acts = {
        "take": group.take,
        "decide": lambda: group.decide({}),
        "committed": group.committed,
        "failed": lambda: group.failed("x"),
    }
    for call in calls[:-1]:
        acts[call]()
    with pytest.raises(InvariantBroken):
        acts[calls[-1]]()


class Machine(RuleBasedStateMachine):
    """Requests, rounds, failures (with the writes durable or not) in any order, against the plainest of models."""

    requests = Bundle("requests")

    def __init__(self) -> None:
        super().__init__()
        self.group: GroupCommit[int] = GroupCommit(count_max=4, bytes_max=64, heads_max=2)
        self.ends = {stream: genesis(stream) for stream in STREAMS}
        self.offered: dict[int, Append] = {}
        self.answered: dict[int, Outcome] = {}
        self.writes: Sequence[Write] = ()
        self.number = 0

    @rule(
        target=requests,
        stream=st.sampled_from(STREAMS),
        fits=st.booleans(),
        body=st.binary(min_size=1, max_size=20),
        count=st.integers(1, 3),
    )
    def make(self, stream: str, fits: bool, body: bytes, count: int) -> Append:
        return append(stream, self.ends[stream] if fits else Head(99, bytes(32)), body, count)

    @rule(request=requests)
    def offer(self, request: Append) -> None:
        self.number += 1
        self.offered[self.number] = request
        self.group.offer(self.number, request)

    @precondition(lambda self: self.group.phase == "idle")
    @rule()
    def begin(self) -> None:
        wanted = self.group.take()
        self.writes = self.group.decide({stream: self.ends[stream] for stream in wanted})

    @precondition(lambda self: self.group.phase == "decided")
    @rule()
    def commit(self) -> None:
        model = dict(self.ends)
        for ticket, outcome in self.group.committed():
            request = self.offered[ticket]
            if request.expected == model[request.stream]:
                model[request.stream] = after(request.expected, request.body, request.count)
                assert outcome == Applied(model[request.stream])
            else:
                assert outcome == Conflicted(model[request.stream])
            assert ticket not in self.answered
            self.answered[ticket] = outcome
        for write in self.writes:
            self.ends[write.append.stream] = write.head
        assert self.ends == model

    @precondition(lambda self: self.group.phase == "decided")
    @rule(durable=st.booleans())
    def fail(self, durable: bool) -> None:
        if durable:  # the disk had it after all
            for write in self.writes:
                self.ends[write.append.stream] = write.head
        for ticket, outcome in self.group.failed("disk"):
            assert isinstance(outcome, Unknown)
            assert ticket not in self.answered
            self.answered[ticket] = outcome

    @invariant()
    def remembered_ends_are_durable(self) -> None:
        for stream in STREAMS:
            assert self.group.head(stream) in (None, self.ends[stream])

    @invariant()
    def answers_keep_the_order_of_offers(self) -> None:
        assert list(self.answered) == list(range(1, len(self.answered) + 1))


TestMachine = Machine.TestCase
TestMachine.settings = settings(max_examples=80, stateful_step_count=40, deadline=None)
