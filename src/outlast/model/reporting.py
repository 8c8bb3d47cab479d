"""The loop that asks endpoints for their own load: for the balancer, for people, for metrics.

A pool sees its own requests only. What a server does for others, how full its KV cache is and how busy its GPU, it must
say itself. Nobody is asked who was not configured to be; a report counts for `BalancerPolicy.report_s` and is then
forgotten, so that a server which says nothing any more is balanced as one that never did.
"""

from __future__ import annotations

import asyncio
from collections.abc import Mapping, Sequence
from typing import Any

import msgspec

from outlast.kernel.error import ConfigurationError
from outlast.model.endpoint import EndpointError
from outlast.model.member import Member
from outlast.model.report import Report, Reporter, merged
from outlast.model.traffic import Traffic


class ReportPolicy(msgspec.Struct, frozen=True):
    """Times in seconds. After failures in a row a source is asked half as often each time, down to `rest_s`."""

    every_s: float = 5.0
    timeout_s: float = 1.0
    rest_s: float = 60.0

    def __post_init__(self) -> None:
        if not 0 < self.every_s <= self.rest_s or self.timeout_s <= 0:
            raise ConfigurationError(f"reports {self} are not possible: times above 0, rest_s not below every_s")


class Reporting:
    """Asks the sources of some members of a pool until `close`; each member for itself, all its sources at once."""

    def __init__(self, traffic: Traffic, sources: Mapping[Member, Sequence[Reporter]], policy: ReportPolicy) -> None:
        self._traffic = traffic
        self._sources = sources
        self._policy = policy
        self._tasks: list[asyncio.Task[Any]] = []

    def start(self) -> None:
        """Begin, in the running loop; again: nothing."""
        if not self._tasks:
            loop = asyncio.get_running_loop()
            self._tasks = [loop.create_task(self._keep(member, sources)) for member, sources in self._sources.items()]

    async def close(self) -> None:
        """End, in the middle of a question if need be."""
        tasks, self._tasks = self._tasks, []
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)
        for sources in self._sources.values():
            for source in sources:
                await source.close()

    async def _keep(self, member: Member, sources: Sequence[Reporter]) -> None:
        clock, policy = self._traffic.clock, self._policy
        failures = 0
        while True:
            found = await asyncio.gather(*(self._ask(source) for source in sources))
            reports = [one for one in found if isinstance(one, Report)]
            problems = [one for one in found if isinstance(one, str)]
            member.reports_read += len(reports)
            member.reports_failed += len(problems)
            member.report_problem = "; ".join(problems)
            member.report = report = merged(reports) if reports else None
            if report is not None:
                member.load.reported(
                    clock.monotonic(), gpu=report.gpu or 0.0, slots=report.fullness, memory=report.memory or 0.0
                )
            failures = 0 if reports else failures + 1
            await clock.sleep(min(policy.every_s * 2.0 ** min(failures, 30), policy.rest_s))

    async def _ask(self, source: Reporter) -> Report | str:
        timeout_s = self._policy.timeout_s
        try:
            async with asyncio.timeout(timeout_s):
                return await source.report(timeout_s)
        except TimeoutError:
            return f"no report within {timeout_s:g} s"
        except EndpointError as error:
            return str(error)
