"""Runs learn what a failover, or a restore, took from them: by a letter in their inbox, before they go on.

An engine that finds acknowledged events missing notes them in the `Losses` of its process. Whoever claims a run looks
there first, and each worker tells all the others in the background, so that they learn of it wherever they are. A run
that finds such a letter is held (`Execution.mail`); driven on, it presumes of each `once` step that it may have been
done (`once.py`).

Behind a fork of the history a `once` step is presumed possibly done: an outcome that is unknown is never guessed.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Sequence

from outlast.agent import event as ev
from outlast.agent.create import run_key
from outlast.agent.ending import last_event
from outlast.agent.mail import Letter, inbox_key, post, read_inbox
from outlast.agent.platform import Platform
from outlast.agent.switch import stopped_reason, switch
from outlast.journal.loss import Gap
from outlast.journal.stream import StreamKey
from outlast.kernel.error import Conflict, OutlastError

_again_s = 0.5


async def tell(platform: Platform, run: str) -> None:
    """Tell a run what this process knows to be missing of it; durable when this returns. Raises as `post` does."""
    for stream in (run_key(platform, run), inbox_key(platform, run)):
        gap = platform.losses.of(stream)
        if gap is not None:
            await _tell(platform, gap)


async def keep_telling(platform: Platform, report: Callable[[str], None]) -> None:
    """Tell all whom it concerns what this process finds missing of its own, until cancelled."""
    grown = asyncio.Event()
    stop = platform.losses.listen(grown.set)
    try:
        while True:
            grown.clear()
            if await tell_all(platform, report):
                await grown.wait()
            else:
                await platform.clock.sleep(_again_s)
    finally:
        stop()


async def tell_all(platform: Platform, report: Callable[[str], None]) -> bool:
    """Tell all whom it concerns, once; False, and a line for each, if some could not be told."""
    complete = True
    for gap in platform.losses.untold():
        if not gap.ours:
            continue  # whose it is tells it, or who claims that run here
        try:
            await _tell(platform, gap)
        except OutlastError as error:
            complete = False
            report(f"{gap.lost.stream} cannot be told of its loss yet: {error}")
    return complete


async def _tell(platform: Platform, gap: Gap) -> None:
    key = StreamKey.parse(gap.lost.stream)
    if key.lineage == platform.store.lineage:
        if key.kind in ("run", "inbox"):
            await _tell_run(platform, key, gap)
        elif key.kind == "agent":
            reason = "a failover lost what its switch was told last, which may have been to stop: look, then resume it"
            await stop_agent(platform, key.id, reason)
    platform.losses.told(gap)


async def _tell_run(platform: Platform, key: StreamKey, gap: Gap) -> None:
    last = await last_event(platform, key.id)
    if isinstance(last, ev.RunEnd):
        return
    of = "run" if key.kind == "run" else "inbox"
    about = f"lost:{gap.failover}:{of}:"
    letters, _ = await read_inbox(platform, key.id)
    if _is_among(letters, about, gap.worker):
        return
    mail = ev.MailLost(about + gap.worker, of, gap.lost.first, gap.lost.last, gap.worker)
    try:
        await post(platform, key.id, mail, unborn=last is None)
    except Conflict:  # another process has told it, of other numbers
        letters, _ = await read_inbox(platform, key.id)
        if not _is_among(letters, about, gap.worker):
            raise
    if last is None and await last_event(platform, key.id) is not None:  # asked for again meanwhile
        await post(platform, key.id, ev.MailWake(about + "again", key.id))


def run_lost(mail: ev.MailLost, number: int) -> ev.RunLost:
    """What a run records of letter `number`."""
    return ev.RunLost(mail.of, mail.first, mail.last, number, mail.worker, mail.cause)


def why_lost(told: Sequence[ev.RunLost]) -> str:
    """Why a run is held, for the person who is to decide."""
    what = "; ".join(map(lost_events, told))
    advice = "look what it has done, then redrive it (or cancel it)"
    if any(one.of == "run" for one in told):
        advice += ": each `once` step from there on is first asked for by its verify, or by `outlast resolve`"
    if any(one.cause == "restore" for one in told):
        return f"the journal was restored from a backup, and what came later is not in it: {what}; {advice}"
    return f"a failover lost what was acknowledged: {what}; {advice}"


def lost_events(lost: ev.RunLost) -> str:
    """Which ones, in words."""
    if lost.last < lost.first:
        return f"{_WHERE[lost.of]} from {lost.first} on, if there were any"
    return f"{_WHERE[lost.of]} {lost.first} to {lost.last}"


_WHERE = {"run": "its events", "inbox": "the messages to it"}


def _is_among(letters: Sequence[Letter], about: str, worker: str) -> bool:
    """Whether the run was told of this failover; by the worker that acted, if that is who would tell it."""
    ids = {letter.mail.id for letter in letters}
    return about + worker in ids if worker else any(id.startswith(about) for id in ids)


async def stop_agent(platform: Platform, agent: str, reason: str) -> None:
    """What was lost may have been a stop: it stands until somebody has looked."""
    if await stopped_reason(platform, agent) is None:
        await switch(platform, agent, ev.AgentStopped(reason))
