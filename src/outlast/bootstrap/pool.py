"""A pool from what the blueprint says about one model."""

from __future__ import annotations

import os
from pathlib import Path

from outlast.adapters.openai.probe import probe as openai_probe
from outlast.blueprint.schema import Model, ModelEndpoint, ModelGuard
from outlast.kernel.clock import Clock
from outlast.kernel.randomness import Randomness
from outlast.model.member import MemberPolicy, Target
from outlast.model.pool import Pool, PoolPolicy
from outlast.model.pooled import PooledEndpoint
from outlast.model.router import RouterPolicy
from outlast.model.traffic import TrafficPolicy
from outlast.model.watch import Probe
from outlast.policy.balancer import BalancerPolicy
from outlast.policy.breaker import BreakerPolicy
from outlast.policy.hedge import HedgePolicy
from outlast.policy.outlier import OutlierPolicy
from outlast.policy.retry_budget import RetryBudgetPolicy

_QUANTILES = {"p50": 0.5, "p90": 0.9, "p95": 0.95, "p99": 0.99}


def build_pool(
    name: str, model: Model, clock: Clock, randomness: Randomness, probe: Probe | None = openai_probe
) -> Pool:
    """The pool of a model, its fallback behind it. Its members' API keys stay references."""
    policy = pool_policy(model)
    fallback = None
    if model.fallback is not None:
        target = _target(model.fallback)
        fallback = Pool(model.fallback.name, [target], clock, randomness, policy=policy, probe=probe)
    targets = [_target(endpoint) for endpoint in model.endpoints]
    return Pool(name, targets, clock, randomness, fallback=fallback, policy=policy, probe=probe)


def pooled_endpoint(
    name: str, model: Model, home: Path, clock: Clock, randomness: Randomness
) -> PooledEndpoint:
    """What `run.model` asks: the pool, with an HTTP client for each of its members."""
    from outlast.adapters.openai.endpoint import OpenAIEndpoint

    pool = build_pool(name, model, clock, randomness)
    return PooledEndpoint(
        pool,
        {
            member: OpenAIEndpoint(
                member.name, url=member.url, model=member.model, key=member.secret, environ=os.environ, home=home
            )
            for member in pool.everybody
        },
    )


def pool_policy(model: Model) -> PoolPolicy:
    """The bounds that the blueprint sets, all others at their defaults."""
    guard: ModelGuard = model.guard
    warm_ups = [endpoint.warm_up for endpoint in model.endpoints if endpoint.warm_up is not None]
    breaker = BreakerPolicy(
        window_s=guard.window,
        error_rate=guard.error_rate,
        open_s=guard.open_for,
        open_max_s=max(guard.open_for, BreakerPolicy().open_max_s),
    )
    balancer = BalancerPolicy(warm_up_s=max(warm_ups)) if warm_ups else BalancerPolicy()
    never = guard.hedge_after == "never"
    hedge = HedgePolicy(hedges_max=0) if never else HedgePolicy(quantile=_QUANTILES[guard.hedge_after])
    router = RouterPolicy(
        member=MemberPolicy(breaker=breaker, balancer=balancer),
        outlier=OutlierPolicy(slower_than_peers=guard.slower_than_peers),
        hedge=hedge,
    )
    return PoolPolicy(TrafficPolicy(router=router, budget=RetryBudgetPolicy(ratio=guard.retry_budget)))


def _target(endpoint: ModelEndpoint) -> Target:
    return Target(
        name=endpoint.name,
        url=endpoint.url,
        model=endpoint.model,
        secret=endpoint.key,
        weight=endpoint.weight,
        limit=endpoint.limit,
        quota_per_s=endpoint.quota,
        lacks=frozenset(endpoint.lacks),
        context=endpoint.context,
    )
