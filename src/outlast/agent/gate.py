"""What keeps a run from beginning anything new: a stopped agent, a full history, a spent budget."""

from __future__ import annotations

from collections.abc import Container
from typing import Any

import msgspec

from outlast.agent.app import Agent
from outlast.agent.platform import Platform
from outlast.agent.recorder import Recorder
from outlast.agent.switch import stopped_reason
from outlast.policy.budget import Budget, Spent, exceeded

_no_budget = Budget()


class Refusal(msgspec.Struct, frozen=True):
    """Why the run is to be held: a stable code, and what people read."""

    code: str
    reason: str


async def refusal(
    agent: Agent[..., Any], platform: Platform, recorder: Recorder, maybe_stopped: Container[str]
) -> Refusal | None:
    """Why nothing new may begin; None: go on. `maybe_stopped` is a hint: the agent's own stream decides."""
    history = recorder.history
    if agent.name in maybe_stopped:
        stopped = await recorder.reach(stopped_reason(platform, agent.name))
        if stopped is not None:
            return Refusal("agent_stopped", f"agent {agent.name} is stopped: {stopped}")
    if history.events >= platform.settings.history_events_max:
        return Refusal(
            "history_full",
            f"its history holds {history.events} events, the bound is history_events_max: use run.continue_as_new",
        )
    budget = agent.options.budget
    if budget == _no_budget:
        return None
    begun = history.steps + len(recorder.begun)
    spent = Spent(begun, history.tokens, history.usd, platform.clock.now() - history.created_at)
    reason = exceeded(budget, spent, history.grants)
    if reason is None:
        return None
    return Refusal("budget_exceeded", f"{reason}: raise it, or grant it once more with redrive")
