"""The kill switch of an agent: a stream that says whether it may begin anything."""

from __future__ import annotations

from collections.abc import Iterable

from outlast.agent import event as ev
from outlast.agent.platform import Platform
from outlast.journal.chain import genesis, verify
from outlast.journal.index import RunEntry
from outlast.journal.record import make_append
from outlast.journal.stream import Head, StreamKey
from outlast.journal.writer import Fenced, settle_append
from outlast.kernel.clock import stamp
from outlast.kernel.error import Conflict, StoreCorrupt, StoreSealed
from outlast.kernel.identity import check_name, new_id

_race_rounds_max = 50


def agent_key(platform: Platform, agent: str) -> str:
    """The key of an agent's switch."""
    return str(StreamKey("agent", check_name("agent", agent), platform.store.lineage))


async def stopped_reason(platform: Platform, agent: str) -> str | None:
    """Why an agent is stopped; None if it is not. Raises StoreCorrupt."""
    key = agent_key(platform, agent)
    head = await platform.store.head(key)
    if head.seq == 0:
        return None
    records = await platform.store.read(key, max(0, head.seq - 2), 2)  # each holds one event
    if not records:
        return None
    start = genesis(key) if records[0].seq == 1 else Head(records[0].seq, records[0].hash)
    verify(key, records if records[0].seq == 1 else records[1:], start)
    match ev.AGENT.read(key, records[-1]).events[-1]:
        case ev.AgentStopped() as stopped:
            return stopped.reason
        case ev.AgentResumed():
            return None


def is_held_by(entry: RunEntry, agent: str) -> bool:
    """Whether a run is held because its agent was stopped, as far as the index knows."""
    return entry.state == "held" and entry.reason.startswith(f"agent {agent} is stopped")


async def read_stopped(platform: Platform, agents: Iterable[str]) -> dict[str, str]:
    """The stopped ones among `agents`, with reasons; one whose switch is damaged or sealed counts as stopped."""
    found: dict[str, str] = {}
    for agent in agents:
        try:
            reason = await stopped_reason(platform, agent)
        except (StoreCorrupt, StoreSealed) as error:
            reason = str(error)
        if reason is not None:
            found[agent] = reason
    return found


async def switch(platform: Platform, agent: str, event: ev.AgentEvent) -> None:
    """Append a stop or a resume, whoever else does so at the same time. Raises Conflict if that goes on and on."""
    key = agent_key(platform, agent)
    for _ in range(_race_rounds_max):
        head = await platform.store.head(key)
        if head.seq == 0:
            head = genesis(key)
        token = new_id("switch", platform.clock, platform.randomness)
        append = make_append(key, head, token, stamp(platform.clock), [event])
        try:
            await settle_append(platform.store, append, platform.clock, platform.settings.append_patience_s)
        except Fenced:
            continue
        return
    raise Conflict(f"agent {agent}: too many are switching it at once; try again")
