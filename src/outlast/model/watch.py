"""Checks the members of a pool actively: whoever was killed, frozen or cut off is back soon after it recovers.

What real requests prove is not checked: a member that answers is up. One on which a request waits for longer than
usual, or whose breaker opened, is suspected and checked at once. What a check finds is weighed by `policy/health.py`;
only a member that rises lets its breaker and its peers' judgement be forgotten: a process that answers checks while its
model hangs is not let in by them.
"""

from __future__ import annotations

import asyncio
import math
from collections.abc import Awaitable, Callable
from typing import Any

import msgspec

from outlast.model.endpoint import EndpointError
from outlast.model.member import Member
from outlast.model.traffic import Traffic
from outlast.policy.health import Layer

_CHECKED: tuple[Layer, ...] = ("connection", "application")

Probe = Callable[[Member, Layer, float], Awaitable[None]]
"""Checks one layer of a member within so many seconds. Raises EndpointError that says what is wrong."""


class WatchPolicy(msgspec.Struct, frozen=True):
    """Times in seconds: how long a check may take, how often a suspect is checked, how often to look who is due."""

    timeout_s: float = 1.0
    suspect_every_s: float = 0.25
    look_every_s: float = 1.0
    sick_look_every_s: float = 0.1


class Watch:
    """Runs the checks of one pool, of its members' connections and applications, until `close`."""

    def __init__(self, traffic: Traffic, probe: Probe, policy: WatchPolicy) -> None:
        self._traffic = traffic
        self._probe = probe
        self._policy = policy
        self._answered = {member: member.answered for member in traffic.router.members}
        self._checking: dict[Member, asyncio.Task[None]] = {}
        self._checked_at: dict[Member, float] = {}
        self._wake: asyncio.Event = asyncio.Event()
        self._task: asyncio.Task[Any] | None = None

    def start(self) -> None:
        """Begin, in the running loop; again: nothing."""
        if self._task is None:
            self._traffic.suspicious = self._wake.set
            self._task = asyncio.get_running_loop().create_task(self._run())

    async def close(self) -> None:
        """End, and every check under way."""
        tasks = [*self._checking.values(), *([self._task] if self._task is not None else [])]
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)
        self._task = None

    async def _run(self) -> None:
        policy = self._policy
        while True:
            now = self._traffic.clock.monotonic()
            urgent = False
            for member in self._traffic.router.members:
                self._learn(member, now)
                layers = self._due(member, now)
                if layers and member not in self._checking:
                    self._checked_at[member] = now
                    task = asyncio.get_running_loop().create_task(self._check(member, layers))
                    self._checking[member] = task
                    task.add_done_callback(lambda _, member=member: self._checking.pop(member, None))
                urgent = urgent or member.suspect or member.sick
            self._traffic.judge(now)
            self._wake.clear()
            try:
                async with asyncio.timeout(policy.sick_look_every_s if urgent else policy.look_every_s):
                    await self._wake.wait()
            except TimeoutError:
                pass

    def _learn(self, member: Member, now: float) -> None:
        """What real requests have proved since."""
        if member.answered != self._answered[member]:
            self._answered[member] = member.answered
            member.suspect = False
            member.health.passed(now, "application")
            self._traffic.examined(member, now)
        elif member.breaker.state == "open":
            member.suspect = True

    def _due(self, member: Member, now: float) -> tuple[Layer, ...]:
        layer = member.health.due(now)
        if layer in _CHECKED:
            return (layer,)
        if member.suspect and now - self._checked_at.get(member, -math.inf) >= self._policy.suspect_every_s:
            return _CHECKED
        return ()

    async def _check(self, member: Member, layers: tuple[Layer, ...]) -> None:
        """Checks the layers from below, up to the first that fails."""
        for layer in layers:
            why = await self._why_not(member, layer)
            now = self._traffic.clock.monotonic()
            if why:
                member.health.failed(now, layer, why)
                break
            member.health.passed(now, layer)
            if layer == "application":
                member.suspect = False
        self._traffic.examined(member, self._traffic.clock.monotonic())

    async def _why_not(self, member: Member, layer: Layer) -> str:
        """What is wrong with a layer; empty: nothing."""
        timeout_s = self._policy.timeout_s
        try:
            async with asyncio.timeout(timeout_s):
                await self._probe(member, layer, timeout_s)
        except TimeoutError:
            return f"no answer within {timeout_s:g} s"
        except EndpointError as error:
            return str(error)
        return ""
