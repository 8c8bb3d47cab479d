"""What the policies on the path of a request cost: CPU time of one decision, least of five trials.

``python benchmarks/policy.py`` prints one line for each.
"""

from __future__ import annotations

import itertools
import time
import timeit
from collections.abc import Callable
from random import Random

from outlast.policy.affinity import Affinity, AffinityPolicy
from outlast.policy.balancer import Balancer, BalancerPolicy, Load
from outlast.policy.breaker import Breaker, BreakerPolicy
from outlast.policy.hedge import Hedge, HedgePolicy
from outlast.policy.outlier import Outlier, OutlierPolicy
from outlast.policy.retry_budget import RetryBudget, RetryBudgetPolicy

TICKS = (100.0 + number / 1000 for number in itertools.count())
CHANCE = Random(1).random


def measure(name: str, decide: Callable[[], object], times: int = 20_000) -> None:
    """Print the microseconds of CPU time that one call takes."""
    least = min(timeit.repeat(decide, timer=time.process_time, number=times, repeat=5)) / times
    print(f"{name:60} {least * 1e6:6.2f} us")


def choose() -> None:
    breaker, balancer = Breaker(BreakerPolicy()), Balancer(BalancerPolicy())

    def loads(count: int) -> list[Load]:
        result = [Load(BalancerPolicy(), weight) for weight in range(1, count + 1)]
        for load in result:
            load.observed(100.0, 0.2)
            load.in_flight = 2
        return result

    def call() -> None:
        now = next(TICKS)
        breaker.ok(now, breaker.begin(now))

    measure("breaker: begin and ok", call)
    for count in (2, 4, 8):
        some = loads(count)
        measure(f"balancer: pick of {count}", lambda some=some: balancer.pick(100.0, some, CHANCE(), CHANCE()))
    four = loads(4)

    def all_three() -> None:
        now = next(TICKS)
        ticket = breaker.begin(now)
        balancer.pick(now, four, CHANCE(), CHANCE())
        breaker.ok(now, ticket)

    measure("begin, pick of 4 and ok", all_three)
    for count in (2, 8):
        names = [f"member-{number}" for number in range(count)]
        affinity, idle, even = Affinity(AffinityPolicy()), [1] * count, [1.0] * count
        measure(f"affinity: prefer of {count}", lambda n=names, i=idle, e=even, a=affinity: a.prefer("key", n, i, e))


def watch() -> None:
    outlier = Outlier(OutlierPolicy())
    paces = [outlier.join(f"member-{number}") for number in range(4)]

    def request() -> None:
        now = next(TICKS)
        paces[0].began(1, now)
        paces[0].token(1, now)
        paces[0].ended(1)

    def token() -> None:
        paces[0].token(2, next(TICKS))

    measure("outlier: a request", request)
    paces[0].began(2, next(TICKS))
    measure("outlier: a token", token)
    now = next(TICKS)
    for pace in paces:
        for key in range(10, 60):
            pace.began(key, now)
    checks = (now + number / 5 for number in itertools.count())

    def judge() -> None:
        now = next(checks)
        paces[1].token(10, now)
        outlier.judge(now)

    measure("outlier: judge 4 members, 200 requests under way", judge, 500)


def again() -> None:
    budget, hedge, random = RetryBudget(RetryBudgetPolicy()), Hedge(HedgePolicy()), Random(2)
    latencies = itertools.cycle([random.lognormvariate(-1, 1) for _ in range(1_000)])
    measure("retry budget: a first attempt", lambda: budget.deposit(next(TICKS)))
    measure("retry budget: a retry", lambda: budget.withdraw(next(TICKS)))
    measure("hedge: an observation", lambda: hedge.observed(next(TICKS), next(latencies)))
    measure("hedge: a question", lambda: hedge.delay_s(next(TICKS)))


if __name__ == "__main__":
    choose()
    watch()
    again()
