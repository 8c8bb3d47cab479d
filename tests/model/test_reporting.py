"""Endpoints that tell their own load: who is asked, how often, and what it changes; in virtual time."""

from __future__ import annotations

import asyncio
from collections import Counter

import pytest

from outlast.kernel.error import ConfigurationError
from outlast.model.endpoint import EndpointUnavailable
from outlast.model.member import Target
from outlast.model.pool import Ask, Pool
from outlast.model.report import Report, merged
from outlast.model.reporting import ReportPolicy
from tests.model.virtual import Endpoints, SeededRandomness, VirtualClock, answers, in_virtual_time


class Source:
    """Says what it is told to; a source for tests, so its reports are labelled `simulated`."""

    def __init__(self, report: Report | None = None) -> None:
        self.says = report
        self.hangs = False
        self.asked = 0
        self.closed = False

    async def report(self, timeout_s: float) -> Report:
        self.asked += 1
        if self.hangs:
            await asyncio.sleep(3600)
        if self.says is None:
            raise EndpointUnavailable("it has no such page")
        return self.says

    async def close(self) -> None:
        self.closed = True


def pool_of(*names: str) -> Pool:
    return Pool("m", [Target(name) for name in names], VirtualClock(), SeededRandomness())


async def shares(pool: Pool, *names: str, count: int = 2000) -> Counter[str]:
    send = Endpoints(**{name: answers() for name in names})
    for _ in range(count):
        await pool.call(send, Ask(5.0))
    return Counter(send.asked)


@pytest.mark.parametrize(
    "full",
    [
        Report("simulated", gpu=0.95),
        Report("simulated", slots=0.95),
        Report("simulated", memory=0.95),
        Report("simulated", running=1.0, waiting=19.0),
    ],
    ids=["gpu", "slots", "memory", "queue"],
)
def test_an_endpoint_that_says_it_is_full_gets_little(full: Report) -> None:
    async def main() -> None:
        pool, busy, idle = pool_of("a", "b"), Source(full), Source(Report("simulated", gpu=0.1, slots=0.1, memory=0.1))
        pool.observe({pool.members[0]: [busy], pool.members[1]: [idle]})
        pool.start()
        await asyncio.sleep(1.0)
        seen = await shares(pool, "a", "b")
        assert seen["a"] / 2000 < 0.25, seen
        assert pool.view().members[0].report == full
        await pool.close()
        assert busy.closed
        assert idle.closed

    in_virtual_time(main)


def test_a_report_is_forgotten_when_no_other_follows() -> None:
    async def main() -> None:
        pool, source = pool_of("a", "b"), Source(Report("simulated", slots=1.0))
        pool.observe({pool.members[0]: [source]})
        pool.start()
        await asyncio.sleep(1.0)
        assert (await shares(pool, "a", "b"))["a"] < 300
        source.says = None
        await asyncio.sleep(40.0)
        view = pool.view().members[0]
        assert (view.report, view.report_problem) == (None, "it has no such page")
        assert view.reports_read >= 1
        assert view.reports_failed >= 1
        assert abs((await shares(pool, "a", "b"))["a"] - 1000) < 120
        await pool.close()

    in_virtual_time(main)


def test_a_source_that_fails_is_asked_less_and_less_and_as_before_when_it_is_back() -> None:
    async def main() -> None:
        pool, source = pool_of("a"), Source()
        pool.observe({pool.members[0]: [source]}, ReportPolicy(every_s=5.0, rest_s=60.0))
        pool.start()
        await asyncio.sleep(600.0)
        assert 8 <= source.asked <= 16
        source.says = Report("simulated")
        await asyncio.sleep(61.0)
        before = source.asked
        await asyncio.sleep(100.0)
        assert source.asked - before == 20
        await pool.close()

    in_virtual_time(main)


def test_a_source_that_hangs_delays_no_other_member_and_no_other_source() -> None:
    async def main() -> None:
        pool, hung, well = pool_of("a", "b"), Source(), Source(Report("simulated", gpu=0.5))
        hung.hangs = True
        pool.observe({pool.members[0]: [hung, well], pool.members[1]: [well]})
        pool.start()
        await asyncio.sleep(2.0)
        first, second = pool.view().members
        assert first.report == second.report == Report("simulated", gpu=0.5)
        assert first.report_problem == "no report within 1 s"
        await pool.close()

    in_virtual_time(main)


def test_of_several_sources_the_highest_numbers_count() -> None:
    found = merged([Report("vllm", slots=0.2, running=3.0), Report("nvml", gpu=0.0, memory=0.9)])
    assert found == Report("vllm+nvml", gpu=0.0, slots=0.2, memory=0.9, running=3.0)


def test_impossible_times_are_refused() -> None:
    for times in ((0.0, 1.0, 60.0), (5.0, 0.0, 60.0), (5.0, 1.0, 4.0)):
        with pytest.raises(ConfigurationError, match="not possible"):
            ReportPolicy(*times)
