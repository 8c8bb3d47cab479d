"""Sessions against a model in plain Python: turns queued by many at once and again, ended in and out of turn, held,
skipped, expired, folded into snapshots, under a store that loses answers and senders that die at any step."""

from __future__ import annotations

import asyncio
from typing import Any

import hypothesis.strategies as st
import msgspec
from hypothesis import settings
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, precondition, rule

from outlast.adapters.host.randomness import OsRandomness
from outlast.adapters.memory.blob import MemoryBlobs
from outlast.adapters.memory.executor import MemoryExecutors
from outlast.adapters.memory.store import MemoryStore
from outlast.agent import event as ev
from outlast.agent.create import run_key
from outlast.agent.platform import Platform, Settings
from outlast.agent.session import (
    Entered,
    SessionState,
    Turn,
    enter_turn,
    next_turn,
    queue_turn,
    read_session,
    save_snapshot,
    session_key,
)
from outlast.journal.blob import Payload
from outlast.journal.index import HintPatch
from outlast.journal.record import make_append
from outlast.journal.snapshot import Snapshot
from outlast.journal.stream import Append, Applied, Head, Outcome, StoredRecord, Unknown
from outlast.kernel.codec import encode
from outlast.kernel.error import NotFound
from tests.agent.desk import Killed

TTL_S = 100.0
MESSAGES_MAX = 4
FATES = ("ok", "lost", "late", "dies before", "dies behind")
"""Of an append: written and answered · neither · written, not answered · its sender dies before or behind it."""
fates = st.lists(st.sampled_from(FATES), max_size=4)
numbers = st.integers(0, 1000)
said = st.lists(st.text("ab", max_size=2), max_size=2)
values = st.dictionaries(st.sampled_from("xyz"), st.none() | st.integers(0, 3), max_size=2)
"""What a turn does to the state: None removes the key."""


class Time:
    """A clock that only a rule moves on."""

    def __init__(self) -> None:
        self.at = 1000.0
        self._slept = 0.0

    def now(self) -> float:
        return self.at

    def monotonic(self) -> float:
        return self.at + self._slept

    async def sleep(self, seconds: float) -> None:
        self._slept += seconds
        await asyncio.sleep(0)


class Shaky:
    """A store that lets others go first at every question, and gives appends their fates."""

    def __init__(self, behind: MemoryStore) -> None:
        self._behind = behind
        self.fates: list[str] = []

    def __getattr__(self, name: str) -> Any:
        return getattr(self._behind, name)

    async def head(self, stream: str) -> Head:
        await asyncio.sleep(0)
        return await self._behind.head(stream)

    async def read(self, stream: str, after: int = 0, limit: int = 1000) -> Any:
        await asyncio.sleep(0)
        found: list[StoredRecord] = list(await self._behind.read(stream, after, limit))
        await asyncio.sleep(0)
        return found

    async def append(self, append: Append) -> Outcome:
        await asyncio.sleep(0)
        fate = self.fates.pop() if self.fates else "ok"
        if fate == "dies before":
            raise Killed
        if fate == "lost":
            return Unknown("lost")
        outcome = await self._behind.append(append)
        if fate == "dies behind":
            raise Killed
        return Unknown("answer lost") if fate == "late" else outcome


class Model:
    """What the session's stream says, and how its runs ended."""

    def __init__(self) -> None:
        self.log: list[tuple[str, str]] = []
        """What happened to which turn: queued, skipped; or expired. In order."""
        self.changes: dict[str, tuple[list[str], dict[str, int | None]] | None] = {}
        """Runs that have ended: what they said and did to the state, None if they failed or were cancelled."""
        self.held: set[str] = set()
        self.touched_at = 0.0
        """When something last happened."""

    def begin(self, upto: int) -> int:
        """Where what counts at place `upto` of the log begins."""
        return max((place + 1 for place, (what, _) in enumerate(self.log[:upto]) if what == "expired"), default=0)

    def turns(self, upto: int) -> list[str]:
        """The turns that count before a place of the log."""
        skipped = {run for what, run in self.log if what == "skipped"}
        return [run for what, run in self.log[self.begin(upto) : upto] if what == "queued" and run not in skipped]

    def open(self) -> list[str]:
        return [run for run in self.turns(len(self.log)) if run not in self.changes]

    def fold(self, turns: list[str]) -> tuple[list[str], dict[str, int], int]:
        messages: list[str] = []
        state: dict[str, int] = {}
        for run in turns:
            change = self.changes[run]
            if change is not None:
                messages = [*messages, *change[0]][-MESSAGES_MAX:]
                state = {key: value for key, value in (state | change[1]).items() if value is not None}
        return messages, state, len(turns)

    def place(self, run: str) -> int:
        return self.log.index(("queued", run))

    def is_idle(self, now: float) -> bool:
        return bool(self.turns(len(self.log))) and not self.open() and now - self.touched_at > TTL_S


def seen(state: SessionState) -> tuple[list[str], dict[str, Any], int]:
    return (
        [content for _, content in state.messages],
        {key: msgspec.json.decode(raw) for key, raw in state.state.items()},
        state.turns,
    )


class Sessions(RuleBasedStateMachine):
    """Every rule acts as the product would: what a run does, only the turn that may does."""

    @initialize()
    def begin(self) -> None:
        self.loop = asyncio.new_event_loop()
        self.time, self.memory, self.model = Time(), MemoryStore(), Model()
        self.store: Any = Shaky(self.memory)
        self.platform = Platform(
            self.time, OsRandomness(), self.store, self.memory, self.memory, MemoryBlobs(), MemoryExecutors(),
            settings=Settings(session_messages_max=MESSAGES_MAX),
        )  # fmt: skip
        self.runs: list[str] = []
        self.entered: dict[str, Entered] = {}
        self.snapshots: list[Snapshot] = []

    def teardown(self) -> None:
        if hasattr(self, "loop"):
            self.loop.close()

    def do(self, *work: Any, fates: list[str] | None = None) -> list[Any]:
        """Do it all at once; what dies gives None."""

        async def together() -> list[Any]:
            return await asyncio.gather(*(alone(one) for one in work))

        async def alone(one: Any) -> Any:
            try:
                return await one
            except Killed:
                return None

        self.store.fates = list(fates or ())
        try:
            return self.loop.run_until_complete(together())
        finally:
            self.store.fates = []

    def pick(self, among: list[str], number: int) -> str:
        return among[number % len(among)]

    # -- the order of turns -------------------------------------------------------------------------------------------

    @rule(new=st.integers(1, 4), again=st.lists(numbers, max_size=3), fates=fates)
    def queue(self, new: int, again: list[int], fates: list[str]) -> None:
        """Many at once, some of them once more than once; who died asks again."""
        fresh = [f"r{len(self.runs) + index}" for index in range(new)]
        old = [self.pick(self.runs, number) for number in again if self.runs]
        self.runs += fresh
        self.do(*(self._create(run) for run in fresh))
        asked = [*fresh, *fresh[:1], *old]
        expires = self.model.is_idle(self.time.at) and any(("queued", run) not in self.model.log for run in asked)
        self.do(*(self._queue(run) for run in asked), fates=fates)
        turns: list[Turn] = self.do(*(self._queue(run) for run in asked))
        places = {run: turn.seq - 1 for run, turn in zip(asked, turns, strict=True)}
        assert all(places[run] == turn.seq - 1 for run, turn in zip(asked, turns, strict=True)), "one place each"
        if expires:
            self.model.log.append(("expired", ""))
        for run in sorted(set(asked), key=places.__getitem__):
            if ("queued", run) not in self.model.log:
                self.model.log.append(("queued", run))
                self.model.touched_at = self.time.at
            assert places[run] == self.model.place(run)

    async def _queue(self, run: str) -> Turn:
        return await queue_turn(self.platform, "s", run, TTL_S)

    @rule(which=numbers, skip=st.booleans(), fates=fates)
    @precondition(lambda self: self.runs)
    def enter(self, which: int, skip: bool, fates: list[str]) -> None:
        """A run looks whether it is its turn; its owner may die at that, and the next one looks again."""
        run = self.pick(self.runs, which)
        self.do(self._enter(run, skip), fates=fates)
        (found,) = self.do(self._enter(run, skip))
        place = self.model.place(run)
        for before in self.model.turns(place):
            if before not in self.model.changes:
                if not (skip and before in self.model.held):
                    assert (found.state, found.waits_for) == (None, before)
                    return
                self.model.log.append(("skipped", before))
                self.model.touched_at = self.time.at
        assert found.state is not None
        assert seen(found.state) == self.model.fold(self.model.turns(place))
        assert found.turn.seq == place + 1
        if run not in self.model.changes:
            self.entered[run] = found

    async def _enter(self, run: str, skip: bool) -> Entered:
        return await enter_turn(self.platform, "s", run, TTL_S, skip)

    # -- how turns end ------------------------------------------------------------------------------------------------

    def _acting(self) -> list[str]:
        return [run for run in self.entered if run not in self.model.changes]

    @rule(which=numbers, words=said, state=values, fails=st.booleans(), folds=st.booleans())
    @precondition(lambda self: self._acting())
    def end(self, which: int, words: list[str], state: dict[str, int | None], fails: bool, folds: bool) -> None:
        """Also of a turn that was held, and skipped meanwhile."""
        run = self.pick(self._acting(), which)
        entered = self.entered[run]
        assert entered.state is not None
        before = entered.state.state
        change = ev.SessionChange(
            [("user", word) for word in words],
            {key: msgspec.Raw(encode(value)) for key, value in state.items() if value is not None},
            [key for key, value in state.items() if value is None and key in before],
        )
        if fails:
            self.do(self._append(run, ev.RunFailed(ev.Failure("E", "failed")), "failed"))
        else:
            payload = Payload(msgspec.Raw(encode(change)))
            self.do(self._append(run, ev.RunCompleted(Payload(msgspec.Raw(b"null")), payload), "completed"))
        self._ended(run, None if fails else (words, state))
        if folds:
            after = entered.state.after(None if fails else change, entered.turn.at, MESSAGES_MAX)
            self.do(save_snapshot(self.platform, "s", entered.turn, after))
            kept = self.memory.snapshots().get(session_key(self.platform, "s"))
            self.snapshots += [kept] if kept is not None else []

    @rule(which=numbers)
    @precondition(lambda self: self.model.open())
    def cancel(self, which: int) -> None:
        """Whether it waits for its turn or has it."""
        run = self.pick(self.model.open(), which)
        self.do(self._append(run, ev.RunCancelledEvent("enough"), "cancelled"))
        self._ended(run, None)

    @rule(which=numbers)
    @precondition(lambda self: self._acting())
    def hold(self, which: int) -> None:
        run = self.pick(self._acting(), which)
        if run not in self.model.held:
            self.do(self._append(run, ev.RunHeld("in_doubt", "who knows", "1"), "held"))
            self.model.held.add(run)

    def _ended(self, run: str, change: tuple[list[str], dict[str, int | None]] | None) -> None:
        self.model.changes[run] = change
        self.model.held.discard(run)
        self.model.touched_at = self.time.at

    async def _create(self, run: str) -> None:
        created = ev.RunCreated("talk", Payload(msgspec.Raw(b"{}")), "", "", 0.0, session="s")
        await self._append(run, created, "ready")

    async def _append(self, run: str, event: ev.RunEvent, state: Any) -> None:
        stream = run_key(self.platform, run)
        hint = HintPatch(run, state=state, updated_at=self.time.at)
        head = await self.memory.head(stream)
        append = make_append(stream, head, f"{run}-{head.seq}", self.time.at, [event], hint)
        assert isinstance(await self.memory.append(append), Applied)

    # -- what helps, and must not matter ------------------------------------------------------------------------------

    @rule(seconds=st.sampled_from([1.0, 60.0, 100.0, 101.0, 5000.0]))
    def wait(self, seconds: float) -> None:
        self.time.at += seconds

    @rule(which=numbers)
    def exchange_snapshot(self, which: int) -> None:
        """For an earlier one, or none."""
        kept = self.memory._snapshots
        kept.clear()
        if self.snapshots and which % 3:
            snapshot = self.snapshots[which % len(self.snapshots)]
            kept[snapshot.stream] = snapshot

    @rule(which=numbers, state=st.sampled_from(["ready", "running", "held", "completed", "cancelled"]))
    @precondition(lambda self: self.runs)
    def mislead(self, which: int, state: Any) -> None:
        """The index is a hint."""
        self.memory.patch(HintPatch(self.pick(self.runs, which), state=state))

    @invariant()
    def it_is_what_its_turns_made_it(self) -> None:
        if not hasattr(self, "model") or not self.model.log:
            return
        asked = read_session(self.platform, "s", TTL_S)
        try:
            ((state, _),) = self.do(asked)
        except NotFound:
            assert self.model.is_idle(self.time.at)
            return
        assert not self.model.is_idle(self.time.at)
        turns = self.model.turns(len(self.model.log))
        ended = next((at for at, run in enumerate(turns) if run not in self.model.changes), len(turns))
        assert seen(state) == self.model.fold(turns[:ended])

    @invariant()
    def the_next_turn_is_the_first_that_has_not_ended(self) -> None:
        if not hasattr(self, "model"):
            return
        skipped = {run for what, run in self.model.log if what == "skipped"}
        for run, entered in list(self.entered.items())[-2:]:
            behind = [run for what, run in self.model.log[entered.turn.seq :] if what == "queued"]
            expected = [run for run in behind if run not in skipped and run not in self.model.changes]
            (found,) = self.do(next_turn(self.platform, "s", self.entered[run].turn))
            assert found == (expected[0] if expected else None)


TestSessions = Sessions.TestCase
TestSessions.settings = settings(max_examples=150, stateful_step_count=25, deadline=None)
