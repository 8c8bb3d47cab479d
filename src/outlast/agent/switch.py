"""The kill switch of an agent: a stream that says whether it may begin anything."""

from __future__ import annotations

from collections.abc import Iterable

from outlast.agent import event as ev
from outlast.agent.platform import Platform
from outlast.journal.chain import genesis
from outlast.journal.record import make_append
from outlast.journal.stream import StreamKey
from outlast.journal.writer import Fenced, settle_append
from outlast.kernel.error import Conflict
from outlast.kernel.identity import check_name, new_id

_race_rounds_max = 50


def agent_key(platform: Platform, agent: str) -> str:
    """The key of an agent's switch."""
    return str(StreamKey("agent", check_name("agent", agent), platform.store.lineage))


async def stopped_reason(platform: Platform, agent: str) -> str | None:
    """Why an agent is stopped; None if it is not."""
    key = agent_key(platform, agent)
    head = await platform.store.head(key)
    if head.seq == 0:
        return None
    records = await platform.store.read(key, head.seq - 1, 1)
    if not records:
        return None
    match ev.AGENT.read(key, records[-1]).events[-1]:
        case ev.AgentStopped() as stopped:
            return stopped.reason
        case ev.AgentResumed():
            return None


async def read_stopped(platform: Platform, agents: Iterable[str]) -> dict[str, str]:
    """The stopped ones among `agents`, with reasons."""
    found = {agent: await stopped_reason(platform, agent) for agent in agents}
    return {agent: reason for agent, reason in found.items() if reason is not None}


async def switch(platform: Platform, agent: str, event: ev.AgentEvent) -> None:
    """Append a stop or a resume, whoever else does so at the same time. Raises Conflict if that goes on and on."""
    key = agent_key(platform, agent)
    for _ in range(_race_rounds_max):
        head = await platform.store.head(key)
        if head.seq == 0:
            head = genesis(key)
        token = new_id("switch", platform.clock, platform.randomness)
        append = make_append(key, head, token, round(platform.clock.now(), 6), [event])
        try:
            await settle_append(platform.store, append, platform.clock, platform.settings.append_patience_s)
        except Fenced:
            continue
        return
    raise Conflict(f"agent {agent}: too many are switching it at once; try again")
