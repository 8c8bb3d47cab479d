"""Conversations: an ordered stream of turns, each a run; the state is folded from how they ended.

A turn's change stands in its run's terminal event, so that a turn ends, and changes the session, in one append.
"""

from __future__ import annotations

from collections.abc import Iterator, MutableMapping
from typing import Any

import msgspec

from outlast.agent import event as ev
from outlast.agent.ending import last_event, last_recorded, read_ending
from outlast.agent.platform import Platform
from outlast.journal.blob import load_payload
from outlast.journal.chain import genesis, verify
from outlast.journal.record import make_append
from outlast.journal.snapshot import Snapshot
from outlast.journal.stream import Head, StoredRecord, StreamKey
from outlast.journal.writer import Fenced, settle_append
from outlast.kernel.clock import stamp
from outlast.kernel.codec import decode, encode
from outlast.kernel.error import Conflict, NotFound, OutlastError, StoreCorrupt
from outlast.kernel.identity import check_name, new_id
from outlast.model.endpoint import Message

snapshot_version = 1
_page = 500
_tail_first = 16
_race_rounds_max = 200


class SessionState(msgspec.Struct, frozen=True):
    """What a session is after some of its turns: the last messages, the state by key, how many turns it took in."""

    messages: list[tuple[str, str]] = []
    state: dict[str, msgspec.Raw] = {}
    turns: int = 0
    last_at: float = 0.0

    def after(self, change: ev.SessionChange | None, at: float, messages_max: int) -> SessionState:
        """This state after one turn."""
        if change is None:
            return msgspec.structs.replace(self, turns=self.turns + 1, last_at=at)
        state = {key: value for key, value in self.state.items() if key not in change.removed} | change.state
        messages = [*self.messages, *change.messages][-messages_max:]
        return SessionState(messages, state, self.turns + 1, at)


class Turn(msgspec.Struct, frozen=True):
    """One entry of a session's order: the number of its event, the run, when it was queued."""

    seq: int
    run: str
    at: float


def session_key(platform: Platform, session: str) -> str:
    """The key of a session's stream."""
    return str(StreamKey("session", check_name("session", session), platform.store.lineage))


class Tail(msgspec.Struct, frozen=True):
    """The end of a session's stream: turns since `begin`, which of them are skipped, the numbers of the expiries."""

    begin: int
    turns: list[Turn]
    skipped: set[str]
    expiries: list[int]
    head: Head
    last_at: float

    @property
    def expired_at_seq(self) -> int:
        """The last expiry; 0 if there is none here."""
        return self.expired_before(self.head.seq)

    def expired_before(self, seq: int) -> int:
        """The last expiry before an event; 0 if there is none here."""
        return max((expiry for expiry in self.expiries if expiry < seq), default=0)


async def read_tail(platform: Platform, session: str, after: int) -> Tail:
    """What a session's stream holds after event `after`, its chain verified from there. Raises StoreCorrupt."""
    key = session_key(platform, session)
    turns: list[Turn] = []
    skipped: set[str] = set()
    expiries: list[int] = []
    last_at = 0.0
    head = genesis(key)
    before = None if after else head
    cursor = after
    while True:
        records = await platform.store.read(key, cursor, _page)
        for record in records:
            if before is not None:
                verify(key, (record,), before)
            envelope = ev.SESSION.read(key, record)
            before = head = _head_of(record)
            last_at = envelope.at
            for index, event in enumerate(envelope.events):
                match event:
                    case ev.TurnQueued():
                        turns.append(Turn(record.seq + index, event.run, envelope.at))
                    case ev.TurnSkipped():
                        skipped.add(event.run)
                    case ev.SessionExpired():
                        expiries.append(record.seq + index)
        if len(records) < _page:
            break
        cursor = head.seq
    return Tail(after, turns, skipped, expiries, head, last_at)


def _head_of(record: StoredRecord) -> Head:
    return Head(record.seq + record.count - 1, record.hash)


async def _append(platform: Platform, session: str, head: Head, events: list[ev.SessionEvent]) -> Head:
    token = new_id("turn", platform.clock, platform.randomness)
    append = make_append(session_key(platform, session), head, token, stamp(platform.clock), events)
    return await settle_append(platform.store, append, platform.clock, platform.settings.append_patience_s)


async def queue_turn(platform: Platform, session: str, run: str, ttl_s: float, since: int = 0) -> Turn:
    """Give a run its place in the session's order (once); an idle time over `ttl_s` expires the session first.

    `since`: where the session ended before the run existed; nobody can have queued it earlier, so that a new turn does
    not look through a long conversation.
    """
    for _ in range(_race_rounds_max):
        head = await platform.store.head(session_key(platform, session))
        turn, tail = await _find(platform, session, run, head, since)
        if turn is not None:
            return turn
        events: list[ev.SessionEvent] = [ev.TurnQueued(run)]
        idle_s = await _idle_s(platform, session, tail, ttl_s)
        if idle_s is not None:
            events.insert(0, ev.SessionExpired(idle_s))
        try:
            new = await _append(platform, session, tail.head, events)
        except Fenced:
            continue
        return Turn(new.seq, run, platform.clock.now())
    raise Conflict(f"session {session}: too many turns are being queued at once; try again")


async def _find(platform: Platform, session: str, run: str, head: Head, since: int) -> tuple[Turn | None, Tail]:
    """A run's turn, looked for from the end: a turn that is asked about is nearly always among the last."""
    span = _tail_first
    while True:
        tail = await read_tail(platform, session, max(0, head.seq - span))
        for turn in tail.turns:
            if turn.run == run:
                return turn, tail
        if span >= head.seq - since:
            return None, tail
        span *= 8


async def _idle_s(platform: Platform, session: str, tail: Tail, ttl_s: float) -> float | None:
    """Seconds since anything happened in a session, if that is longer than `ttl_s`.

    None before the first turn, and while one is open, wherever it stands: those behind it may have been cancelled while
    they waited. The runs' own streams decide, the index is not asked: what expires is over.
    """
    now = platform.clock.now()
    if ttl_s <= 0 or now - tail.last_at <= ttl_s:
        return None
    last_at = tail.last_at
    for _ in range(2):
        turns = _counting(tail)
        certain = tail.begin == 0 or tail.expired_at_seq > 0
        for turn in reversed(turns):
            last = await last_recorded(platform, turn.run)
            if last is None or not isinstance(last[0], ev.RunCompleted | ev.RunFailed | ev.RunCancelledEvent):
                return None
            last_at = max(last_at, last[1])
            if isinstance(last[0], ev.RunCompleted):  # it had its turn: all before it had ended
                certain = True
                break
        if certain:
            return now - last_at if turns and now - last_at > ttl_s else None
        tail = await read_tail(platform, session, 0)
    return None


def _counting(tail: Tail) -> list[Turn]:
    """The turns since the last expiry that are not skipped."""
    return [turn for turn in tail.turns if turn.seq > tail.expired_at_seq and turn.run not in tail.skipped]


class Entered(msgspec.Struct, frozen=True):
    """A turn's own place and the state it begins with; or the run before it that has not ended."""

    turn: Turn
    state: SessionState | None
    waits_for: str = ""


async def enter_turn(platform: Platform, session: str, run: str, ttl_s: float, skip_held: bool) -> Entered:
    """The state before a run's turn, or for whom it must wait. With `skip_held`, held turns before it are skipped."""
    while True:
        turn = await queue_turn(platform, session, run, ttl_s)
        base, base_seq, tail = await _load_base(platform, session, turn.seq - 1)
        expired = tail.expired_before(turn.seq)
        if base_seq < expired:
            base, base_seq = SessionState(), expired
        state = base
        for before in tail.turns:
            if before.seq <= base_seq or before.seq >= turn.seq or before.run in tail.skipped:
                continue
            ending = await read_ending(platform, before.run)
            if ending is None:
                if skip_held and await _is_held(platform, before.run):
                    break
                return Entered(turn, None, before.run)
            change = None
            if ending.session is not None:
                change = decode(await load_payload(ending.session, platform.blobs), ev.SessionChange)
            state = state.after(change, before.at, platform.settings.session_messages_max)
        else:
            return Entered(turn, state)
        try:
            await _append(platform, session, tail.head, [ev.TurnSkipped(before.run)])
        except Fenced:
            continue


async def _is_held(platform: Platform, run: str) -> bool:
    """Whether a run waits for a person: its own last event decides, whatever the index says."""
    match await last_event(platform, run):
        case ev.RunHeld() | ev.RunQuarantined():
            return True
        case ev.RunParked() as parked:
            return parked.reason.startswith("still ")
        case _:
            return False


async def _load_base(platform: Platform, session: str, upto: int) -> tuple[SessionState, int, Tail]:
    """A state of a session, the number of the event up to which it holds, and what the stream holds behind that."""
    state, seq, run = await _load_snapshot(platform, session, upto)
    tail = await read_tail(platform, session, seq)
    if run in tail.skipped:  # it ended after it had been skipped: its change is no part of the session
        return SessionState(), 0, await read_tail(platform, session, 0)
    return state, seq, tail


async def _load_snapshot(platform: Platform, session: str, upto: int) -> tuple[SessionState, int, str]:
    """The latest snapshot up to event `upto` that fits the stream, and whose turn it ends with; else the empty state.

    A snapshot is only a short cut: one that cannot be read is not used.
    """
    nothing = SessionState(), 0, ""
    key = session_key(platform, session)
    try:
        snapshot = await platform.snapshots.load(key)
    except StoreCorrupt:
        return nothing
    if snapshot is None or snapshot.v != snapshot_version or not 0 < snapshot.seq <= upto:
        return nothing
    records = await platform.store.read(key, snapshot.seq - 1, 1)
    if not records or _head_of(records[0]) != Head(snapshot.seq, snapshot.hash):
        return nothing
    last = ev.SESSION.read(key, records[0]).events[-1]
    if not isinstance(last, ev.TurnQueued):
        return nothing
    try:
        return decode(snapshot.body, SessionState, "session snapshot"), snapshot.seq, last.run
    except OutlastError:
        return nothing


async def save_snapshot(platform: Platform, session: str, turn: Turn, state: SessionState) -> None:
    """Keep the state after `turn`, whose run has ended."""
    key = session_key(platform, session)
    records = await platform.store.read(key, turn.seq - 1, 1)
    if not records or records[0].seq + records[0].count - 1 != turn.seq:
        return  # an expiry shares the record with this turn: the next turn's snapshot will do
    platform.points.reach("snapshot.before", session)
    body = encode(state, f"snapshot of session {session}")
    await platform.snapshots.save(Snapshot(key, turn.seq, records[0].hash, snapshot_version, body))
    platform.points.reach("snapshot.after", session)


async def read_session(platform: Platform, session: str, ttl_s: float) -> tuple[SessionState, Tail]:
    """The state after all turns that have ended, without an expired past; raises NotFound."""
    head = await platform.store.head(session_key(platform, session))
    if head.seq == 0:
        raise NotFound(f"session {session} does not exist")
    base, base_seq, tail = await _load_base(platform, session, head.seq)
    if tail.expired_at_seq > base_seq:
        base, base_seq = SessionState(), tail.expired_at_seq
    state = base
    for turn in tail.turns:
        if turn.seq <= base_seq or turn.run in tail.skipped:
            continue
        ending = await read_ending(platform, turn.run)
        if ending is None:
            break
        change = None
        if ending.session is not None:
            change = decode(await load_payload(ending.session, platform.blobs), ev.SessionChange)
        state = state.after(change, turn.at, platform.settings.session_messages_max)
    recent = tail if tail.turns else await read_tail(platform, session, max(0, head.seq - _tail_first))
    idle_s = await _idle_s(platform, session, recent, ttl_s)
    if idle_s is not None:
        raise NotFound(
            f"session {session} has expired: it was idle for {idle_s:.0f} s, its time to live is {ttl_s:.0f} s"
        )
    return state, tail


async def next_turn(platform: Platform, session: str, turn: Turn) -> str | None:
    """The run whose turn comes after `turn` and has not ended, if one is queued."""
    tail = await read_tail(platform, session, turn.seq)
    for after in tail.turns:
        if after.run not in tail.skipped and await read_ending(platform, after.run) is None:
            return after.run
    return None


class StateView(MutableMapping[str, Any]):
    """A session's state inside a turn: a mapping of JSON values. What changes is written when the run completes."""

    def __init__(self, state: dict[str, msgspec.Raw]) -> None:
        self._values: dict[str, Any] = {key: msgspec.json.decode(raw) for key, raw in state.items()}
        self._before = {key: bytes(raw) for key, raw in state.items()}

    def __getitem__(self, key: str) -> Any:
        return self._values[key]

    def __setitem__(self, key: str, value: Any) -> None:
        self._values[key] = value

    def __delitem__(self, key: str) -> None:
        del self._values[key]

    def __iter__(self) -> Iterator[str]:
        return iter(self._values)

    def __len__(self) -> int:
        return len(self._values)

    def changes(self) -> tuple[dict[str, msgspec.Raw], list[str]]:
        """Keys set, encoded, and keys removed; values changed in place count. Raises TypeMismatch."""
        encoded = {key: encode(value, f"session state {key!r}") for key, value in self._values.items()}
        changed = {key: msgspec.Raw(raw) for key, raw in encoded.items() if self._before.get(key) != raw}
        return changed, [key for key in self._before if key not in encoded]


class Session:
    """The conversation that a run is a turn of: ``run.session``."""

    def __init__(self, id: str, state: SessionState) -> None:
        self.id = id
        self.state = StateView(state.state)
        self._before = [Message(role, content) for role, content in state.messages]  # type: ignore[arg-type] # roles were checked when said
        self._said: list[Message] = []
        self.turn = state.turns + 1
        """1 for the first."""

    @property
    def messages(self) -> list[Message]:
        """The last `session_messages_max` messages of earlier turns, and those of this one."""
        return [*self._before, *self._said]

    def say(self, role: str, content: str) -> None:
        """Add a message; it becomes part of the session when the run completes."""
        if role not in ("system", "user", "assistant"):
            raise ValueError(f"role {role!r} is not known: use system, user or assistant")
        self._said.append(Message(role, content))

    def change(self) -> ev.SessionChange:
        """What this turn changes."""
        state, removed = self.state.changes()
        return ev.SessionChange([(message.role, message.content) for message in self._said], state, removed)
