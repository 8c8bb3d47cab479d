"""A pool from what the blueprint says about one model."""

from __future__ import annotations

import os
from collections.abc import Mapping
from pathlib import Path

from outlast.blueprint.model import Canary as CanarySection
from outlast.blueprint.model import Model, ModelEndpoint, ModelGuard
from outlast.bootstrap.service import address_of, is_service, probe, service_of
from outlast.bootstrap.vault import vault
from outlast.kernel.clock import Clock
from outlast.kernel.error import ConfigurationError
from outlast.kernel.randomness import Randomness
from outlast.model.canary import CanaryPolicy, golden_bytes_max, parse_golden
from outlast.model.endpoint import Endpoint, Message, ModelRequest
from outlast.model.member import Member, MemberPolicy, Target
from outlast.model.pool import Pool, PoolPolicy
from outlast.model.pooled import PooledEndpoint
from outlast.model.report import Reporter
from outlast.model.router import RouterPolicy
from outlast.model.traffic import TrafficPolicy
from outlast.model.watch import Probe
from outlast.policy.balancer import BalancerPolicy
from outlast.policy.breaker import BreakerPolicy
from outlast.policy.drift import DriftPolicy
from outlast.policy.hedge import HedgePolicy
from outlast.policy.outlier import OutlierPolicy
from outlast.policy.retry_budget import RetryBudgetPolicy

golden_tokens_max = 256
"""How long the answer to a golden prompt may be, in tokens."""

_QUANTILES = {"p50": 0.5, "p90": 0.9, "p95": 0.95, "p99": 0.99}


class Asking:
    """Puts golden prompts to members through their own endpoints. Implements `model.canary.Examiner`."""

    def __init__(self, endpoints: Mapping[Member, Endpoint]) -> None:
        self._endpoints = endpoints

    async def ask(self, member: Member, prompt: str, timeout_s: float) -> str:
        request = ModelRequest([Message("user", prompt)], timeout_s, max_tokens=golden_tokens_max, temperature=0.0)
        return (await self._endpoints[member].complete(request)).text

    async def close(self) -> None:
        for endpoint in self._endpoints.values():
            await endpoint.close()


def build_pool(
    name: str,
    model: Model,
    clock: Clock,
    randomness: Randomness,
    probe: Probe | None = probe,
    *,
    home: Path | None = None,
) -> Pool:
    """The pool of a model, its fallback behind it. Its members' API keys stay references.

    With `home`, the project directory, the model's canary runs. Raises ConfigurationError if its file cannot be used.
    """
    policy = pool_policy(model)
    fallback = None
    if model.fallback is not None:
        target = _target(model.fallback)
        fallback = Pool(model.fallback.name, [target], clock, randomness, policy=policy, probe=probe)
    targets = [_target(endpoint) for endpoint in model.endpoints]
    pool = Pool(name, targets, clock, randomness, fallback=fallback, policy=policy, probe=probe)
    if model.canary is not None and home is not None:
        _examine(pool, model.canary, home, clock)
    if home is not None:
        _observe(pool, model, home, clock)
    return pool


def pooled_endpoint(name: str, model: Model, home: Path, clock: Clock, randomness: Randomness) -> PooledEndpoint:
    """What `run.model` asks: the pool, with an HTTP client for each of its members."""
    pool = build_pool(name, model, clock, randomness, home=home)
    return PooledEndpoint(pool, {member: _endpoint(member, home, clock) for member in pool.everybody})


def _endpoint(member: Member, home: Path, clock: Clock) -> Endpoint:
    if is_service(member):
        from outlast.adapters.aws.endpoint import ServiceEndpoint

        return ServiceEndpoint(member.name, service_of(member, clock), member.model)
    from outlast.adapters.openai.endpoint import OpenAIEndpoint

    return OpenAIEndpoint(
        member.name, url=member.url, model=member.model, key=member.secret, environ=os.environ, home=home
    )


def _examine(pool: Pool, canary: CanarySection, home: Path, clock: Clock) -> None:
    path = home / canary.prompts
    try:
        with path.open("rb") as file:
            raw = file.read(golden_bytes_max + 1)
    except OSError as error:
        reason = (error.strerror or str(error)).lower()
        raise ConfigurationError(f"models.{pool.name}.canary.prompts: {path} cannot be read: {reason}") from None
    policy = CanaryPolicy(every_s=canary.every, drift=DriftPolicy(score_min=canary.min_score))
    asking = Asking({member: _endpoint(member, home, pool.clock) for member in pool.everybody})
    pool.examine(parse_golden(raw, str(path)), asking, policy)


def _observe(pool: Pool, model: Model, home: Path, clock: Clock) -> None:
    sources: dict[Member, list[Reporter]] = {}
    for member, endpoint in zip(pool.members, model.endpoints, strict=True):
        if endpoint.load:
            sources[member] = [_reporter(member, where, home, clock) for where in endpoint.load]
    if sources:
        pool.observe(sources)


def _reporter(member: Member, where: str, home: Path, clock: Clock) -> Reporter:
    kind, _, index = where.partition(":")
    if kind == "nvml":
        from outlast.adapters.host.gpu import GpuReporter

        return GpuReporter(int(index))
    from outlast.adapters.openai.load import PageReporter, load_url

    if kind not in ("metrics", "slots"):
        return PageReporter(where, clock)  # elsewhere: the endpoint's key has no business there
    secret, asks = member.secret, vault()
    return PageReporter(
        load_url(member.url, kind), clock, lambda: secret.resolve(os.environ, home, asks) if secret else ""
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
        url=address_of(endpoint),
        model=endpoint.model or endpoint.bedrock or "",
        secret=endpoint.key,
        weight=endpoint.weight,
        limit=endpoint.limit,
        quota_per_s=endpoint.quota,
        lacks=frozenset(endpoint.lacks),
        context=endpoint.context,
    )
