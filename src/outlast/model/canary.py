"""Asks each member of a pool golden prompts now and then: a worse model behind the same name is found and taken out.

An answer scores the share of the expected texts that it holds, whatever their case. `policy/drift.py` judges the
scores, each member's for itself; while it says *worse*, the member's model layer is down. Members that do not answer at
all are somebody else's business (`model/watch.py`); each is examined in its own time: one that hangs delays no other.

Members of a fallback are scored too, more rarely, so that people see what another model costs in quality; they are not
judged: a weaker model is what they are for.
"""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from typing import Any, Protocol

import msgspec

from outlast.kernel.error import ConfigurationError
from outlast.model.endpoint import EndpointError
from outlast.model.member import Member
from outlast.model.traffic import Traffic
from outlast.policy.drift import Drift, DriftPolicy

golden_max = 100
"""Bound of the prompts of one file."""
golden_bytes_max = 1 << 20
"""Bound of the file: 1 MiB."""


class Examiner(Protocol):
    """Puts a prompt to a member."""

    async def ask(self, member: Member, prompt: str, timeout_s: float) -> str:
        """What the member answers within so many seconds. Raises EndpointError."""
        ...

    async def close(self) -> None:
        """Close the connections."""
        ...


class Golden(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """One line of the file: ``{"prompt": "Capital of France?", "expect": "Paris"}``; a list: all of these."""

    prompt: str
    expect: str | list[str]

    def score(self, answer: str) -> float:
        """The share of the expected texts that an answer holds."""
        expected = [self.expect] if isinstance(self.expect, str) else self.expect
        lowered = answer.lower()
        return sum(text.lower() in lowered for text in expected) / len(expected)


class CanaryPolicy(msgspec.Struct, frozen=True):
    """Times in seconds: between two rounds, and for one answer. A fallback has a round in `fallback_rounds`."""

    every_s: float = 60.0
    fallback_rounds: int = 10
    timeout_s: float = 30.0
    drift: DriftPolicy = DriftPolicy()


def parse_golden(raw: bytes, file: str) -> list[Golden]:
    """The prompts of a file with one JSON object a line. Raises ConfigurationError that names the line."""
    if len(raw) > golden_bytes_max:
        raise ConfigurationError(f"{file} is larger than golden_bytes_max, {golden_bytes_max} bytes: shorten it")
    golden: list[Golden] = []
    for number, line in enumerate(raw.splitlines(), 1):
        if not line.strip():
            continue
        try:
            one = msgspec.json.decode(line, type=Golden)
        except (msgspec.MsgspecError, UnicodeDecodeError) as error:
            raise ConfigurationError(f'{file}:{number}: {error}; write {{"prompt": "…", "expect": "…"}}') from None
        if not one.prompt.strip() or not one.expect or not all(one.expect):
            raise ConfigurationError(f"{file}:{number}: the prompt or what is expected is empty")
        golden.append(one)
    if not 1 <= len(golden) <= golden_max:
        raise ConfigurationError(f"{file} has {len(golden)} prompts, expected 1 to {golden_max} (golden_max)")
    return golden


class Canary:
    """Runs the rounds of one pool until `close`."""

    def __init__(
        self,
        traffic: Traffic,
        golden: Sequence[Golden],
        examiner: Examiner,
        policy: CanaryPolicy,
        fallback: Sequence[Member] = (),
    ) -> None:
        self._traffic = traffic
        self._golden = golden
        self._examiner = examiner
        self._policy = policy
        self._drifts = {member: Drift(policy.drift) for member in traffic.router.members}
        self._fallback = fallback
        self._tasks: list[asyncio.Task[Any]] = []

    def start(self) -> None:
        """Begin, in the running loop; again: nothing."""
        if not self._tasks:
            loop, policy = asyncio.get_running_loop(), self._policy
            rounds = [self._keep(member, drift, policy.every_s) for member, drift in self._drifts.items()]
            rarely_s = policy.every_s * policy.fallback_rounds
            rounds += [self._keep(member, None, rarely_s) for member in self._fallback]
            self._tasks = [loop.create_task(each) for each in rounds]

    async def close(self) -> None:
        """End, in the middle of a round if need be."""
        tasks, self._tasks = self._tasks, []
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)
        await self._examiner.close()

    async def _keep(self, member: Member, drift: Drift | None, every_s: float) -> None:
        clock = self._traffic.clock
        while True:
            began = clock.monotonic()
            if not member.drained:
                await self._round(member, drift)
            await clock.sleep(max(every_s - (clock.monotonic() - began), 0.1))

    async def _round(self, member: Member, drift: Drift | None) -> None:
        scores: list[float] = []
        for one in self._golden:
            try:
                answer = await self._examiner.ask(member, one.prompt, self._policy.timeout_s)
            except EndpointError:
                continue
            scores.append(one.score(answer))
        if not scores:
            return
        member.score = sum(scores) / len(scores)
        member.rounds += 1
        if drift is None:
            return
        now = self._traffic.clock.monotonic()
        if drift.round(scores) == "worse":
            why = f"golden prompts score {member.score:.2g}, expected {drift.reference or 0.0:.2g}"
            while member.health.state("model") != "down":
                member.health.failed(now, "model", why)
        else:
            member.health.passed(now, "model")
        self._traffic.examined(member, now)
