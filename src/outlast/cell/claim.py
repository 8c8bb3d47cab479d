"""Taking a run: read its history, append `claimed` at exactly the head that was read. No lock, nothing to leak."""

from __future__ import annotations

from collections.abc import Container

import msgspec

from outlast.agent import event as ev
from outlast.agent.create import run_key
from outlast.agent.history import History
from outlast.agent.orphan import Decided, conclude
from outlast.agent.orphan import decide as decide_orphan
from outlast.agent.platform import Platform
from outlast.cell.sweep import Sweep
from outlast.journal.chain import genesis, link
from outlast.journal.index import HintPatch
from outlast.journal.record import make_append
from outlast.journal.stream import Head
from outlast.journal.writer import Fenced, settle_append
from outlast.kernel.error import NotFound, StoreCorrupt
from outlast.kernel.identity import new_token
from outlast.policy.quarantine import Decision, Quarantine, decide

_page = 2_000
_races_max = 20
"""How many times a claim follows a head that moved while nobody else claimed."""


class Claimed(msgspec.Struct, frozen=True):
    """A run that this worker owns now: its stream, its history up to and including the claim, the claim's name."""

    stream: str
    history: History
    head: Head
    token: str


async def read_history(platform: Platform, run: str) -> tuple[History, Head]:
    """A run's whole history, its chain verified, and its head. Raises NotFound, StoreCorrupt."""
    stream = run_key(platform, run)
    history = History()
    head = genesis(stream)
    while True:
        records = await platform.store.read(stream, head.seq, _page)
        for record in records:
            if record.seq != head.seq + 1 or record.hash != link(head.hash, record.stored):
                raise StoreCorrupt(
                    f"run {run}: its events from {head.seq + 1} are not what was written: see `outlast audit verify`"
                )
            history.apply_all((ev.RUN.read(stream, record),))
            head = Head(record.seq + record.count - 1, record.hash)
        if len(records) < _page:
            break
    if history.created is None:
        raise NotFound(f"run {run} does not exist")
    return history, head


async def claim(platform: Platform, run: str, worker: str, solo: bool, agents: Container[str]) -> Claimed | None:
    """The run, owned by `worker`; None if there is nothing to do, or another worker was first.

    A run whose claims came to nothing `claims_without_progress_max` times is tried in a worker of its own; when
    `trials_alone_max` of those came to nothing too, it is quarantined. A run of an agent that is not among
    `agents` is held; what people decided about it is done (`agent/orphan.py`).
    """
    claims: int | None = None
    for _ in range(_races_max):
        try:
            history, head = await read_history(platform, run)
        except NotFound:
            return None
        if history.ended is not None:  # whoever ended it may have died before the index was told
            await Sweep(platform, _unsaid).mend(run)
            return None
        if claims is not None and history.claims != claims:
            return None
        claims = history.claims
        try:
            return await _claim_at(platform, run, worker, solo, agents, history, head)
        except Fenced:
            # not always another worker: what a dead owner sent last may become durable after it was read
            continue
    return None


def _unsaid(line: str) -> None:
    """The slow sweep says what cannot be told."""


async def _claim_at(
    platform: Platform, run: str, worker: str, solo: bool, agents: Container[str], history: History, head: Head
) -> Claimed | None:
    """Append what is to become of the run at `head`. Raises Fenced if the stream has moved on."""
    stream = run_key(platform, run)
    policy = Quarantine(platform.settings.claims_without_progress_max, platform.settings.trials_alone_max)
    decision: Decision = "claim"
    if history.quarantined is None:
        decision = decide(policy, history.fruitless, history.trials, solo)
    now = round(platform.clock.now(), 6)
    token = new_token(platform.randomness)
    owner: str = ""
    events: list[ev.RunEvent]
    created = history.created
    assert created is not None
    decided: Decided | None = None
    if created.agent not in agents:
        decided = await decide_orphan(platform, run, history)
        events, hint = decided.events, decided.hint
    elif decision == "quarantine":
        reason = f"{history.fruitless} workers died or hung with it, {history.trials} of them alone with it"
        events = [ev.RunQuarantined(history.fruitless, reason)]
        hint = HintPatch(run, state="quarantined", owner="", reason=reason, updated_at=now)
    elif decision == "trial":
        if history.on_trial:
            return None
        events = [ev.RunTrial(history.fruitless)]
        hint = HintPatch(run, state="trial", owner="", reason="to be tried alone", updated_at=now)
    else:
        owner = worker
        events = [ev.RunClaimed(worker, history.claims + 1, history.fruitless, solo)]
        hint = HintPatch(run, state="running", owner=worker, wake_at=0.0, reason="", updated_at=now)
    append = make_append(stream, head, token, now, events, hint)
    platform.points.reach("claim.before", run)
    head = await settle_append(platform.store, append, platform.clock, platform.settings.append_patience_s)
    platform.points.reach("claim.after", run)
    if decided is not None:
        await conclude(platform, run, history, decided)
    if not owner:
        return None
    for event in events:
        history.apply(event, now)
    return Claimed(stream, history, head, token)
