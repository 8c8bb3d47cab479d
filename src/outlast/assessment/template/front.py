"""What clients reach first: balancers, APIs, CDNs, names."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, cast

from outlast.assessment.template.compute import health
from outlast.assessment.template.network import Network
from outlast.assessment.template.noun import noun_of
from outlast.assessment.template.resource import Resource, count, items, number, plain, references, true
from outlast.assessment.template.sketch import Part, Sketch, unique
from outlast.kernel.unit import duration_text

front_nouns = frozenset(("load_balancer", "rest_api", "http_api", "graph_api", "cdn", "accelerator"))
"""Nouns of what clients connect to."""
_behind = frozenset((
    "ecs_service", "function", "machine", "machine_group", "state_machine", "queue", "topic", "event_bus",
    "load_balancer", "bucket", "rest_api", "http_api", "table", "app_runner", "user_pool", "eks_nodes", "stream",
    "bedrock_agent", "graph_api",
))  # fmt: skip
_GROUP_PATHS = (
    "LoadBalancers", "load_balancer", "TargetGroupARNs", "target_group_arns", "target_group_arn",
    "lb_target_group_arn", "alb_target_group_arn",
)  # fmt: skip
_api_s = {"rest_api": 29.0, "http_api": 30.0, "graph_api": 30.0}
"""How long API Gateway and AppSync wait for what is behind them, by default."""


def _balancer(sketch: Sketch, network: Network, balancer: Resource) -> None:
    kind = str(balancer.get("Type", "load_balancer_type") or "application").lower()
    part = sketch.add(balancer, "services", kind="load_balancer", aws="nlb" if kind == "network" else "alb")
    zones = network.place(part, balancer)
    part.subnets = []
    if zones == 1:
        part.spread(2, 1)
        part.note("its subnets are in one zone, whatever the service could")


def _api(sketch: Sketch, network: Network, api: Resource) -> None:
    graph = noun_of(api.type) == "graph_api"
    sketch.add(api, "services", kind="gateway", aws="appsync" if graph else "api_gateway")


def _cdn(sketch: Sketch, network: Network, cdn: Resource) -> None:
    sketch.add(cdn, "services", kind="cdn", aws="cloudfront")


def _accelerator(sketch: Sketch, network: Network, accelerator: Resource) -> None:
    part = sketch.add(accelerator, "services", kind="cdn", aws="global_accelerator")
    part.regions = []


def _pool(sketch: Sketch, network: Network, pool: Resource) -> None:
    part = sketch.add(pool, "services", kind="identity", aws="cognito")
    sketch.own(part, *(one for one in sketch.of("user_client") if pool in sketch.resources_at(one)))


READERS: dict[str, Callable[[Sketch, Network, Resource], None]] = {
    "load_balancer": _balancer,
    "rest_api": _api,
    "http_api": _api,
    "graph_api": _api,
    "cdn": _cdn,
    "accelerator": _accelerator,
    "user_pool": _pool,
}


def connect(sketch: Sketch) -> None:
    """What stands behind each of them."""
    _targets(sketch)
    _integrations(sketch)
    for use in sketch.of("firewall_use"):
        sketch.use(use)
    for cdn in sketch.of("cdn"):
        part = sketch.part(cdn.id)
        for reference in cdn.refers("DistributionConfig.Origins", "origin"):
            target = sketch.part(reference.resource)
            if part is not None and target is not None and target.noun in _behind:
                sketch.need(part, target, "it is an origin")
        if part is not None and cdn.get("DistributionConfig.OriginGroups.Items", "origin_group") is not None:
            part.note("it has an origin group: when the first origin fails, the second is asked")
    for listener in sketch.of("accelerator_listener"):
        sketch.use(listener)
        for accelerator in sketch.of_noun("accelerator"):
            for target in sketch.parts_at(listener):
                if target.noun == "load_balancer":
                    sketch.need(accelerator, target, "it is an endpoint")


def _targets(sketch: Sketch) -> None:
    """Balancer -> listener -> target group -> whatever registers there."""
    balancers = _balancers_of_groups(sketch)
    for group in sketch.of("target_group"):
        owners = balancers.get(group.id, [])
        sketch.own(owners[0], group) if owners else sketch.use(group)
        for target in _registered(sketch, group):
            _behind_balancer(sketch, owners, target, group)
    for balancer in sketch.of("load_balancer"):  # the classic one names its machines itself
        own = sketch.part(balancer.id)
        classic = sketch.parts_at(balancer, "Instances", "instances")
        for other in sketch.of("machine_group", "ecs_service"):
            if balancer in sketch.resources_at(other, "LoadBalancerNames", "load_balancers", "LoadBalancers"):
                classic += [part for part in [sketch.part(other.id)] if part is not None]
        for target in classic:
            if own is not None and own.id not in target.needs:
                sketch.need(own, target, "it is a target")


def _registered(sketch: Sketch, group: Resource) -> list[Part]:
    targets = sketch.parts_at(group, "Targets")
    for other in sketch.of("ecs_service", "machine_group", "target"):
        if group in sketch.resources_at(other, *_GROUP_PATHS):
            own = sketch.part(other.id)
            targets += [own] if own is not None else sketch.parts_at(other, "target_id", "autoscaling_group_name")
            sketch.use(other)
    return targets


def _balancers_of_groups(sketch: Sketch) -> dict[str, list[Part]]:
    """By target group, the balancers whose listeners send to it."""
    balancers: dict[str, list[Part]] = {}
    above: dict[str, list[Part]] = {}
    for listener in sketch.of("listener"):
        above[listener.id] = sketch.parts_at(listener, "LoadBalancerArn", "load_balancer_arn")
        sketch.own(above[listener.id][0], listener) if above[listener.id] else sketch.use(listener)
    for rule in sketch.of("listener", "listener_rule"):
        owners = above.get(rule.id) or [
            part for one in sketch.resources_at(rule, "ListenerArn", "listener_arn") for part in above.get(one.id, [])
        ]
        sketch.own(owners[0], rule) if owners else sketch.use(rule)
        for group in sketch.resources_at(rule, "DefaultActions", "default_action", "Actions", "action"):
            if noun_of(group.type) == "target_group":
                balancers.setdefault(group.id, []).extend(owners)
    return balancers


def _behind_balancer(sketch: Sketch, owners: list[Part], target: Part, group: Resource) -> None:
    for owner in owners:
        idle = 60.0
        for attribute in items(owner.resources[0].get("LoadBalancerAttributes")):
            if attribute.get("Key") == "idle_timeout.timeout_seconds":
                idle = number(attribute.get("Value")) or idle
        idle = number(owner.resources[0].get("idle_timeout")) or idle
        timeout = duration_text(idle) if owner.body.get("aws") == "alb" else None
        sketch.need(owner, target, "it is a target", timeout=timeout)
    if target.section == "services" and target.noun != "load_balancer":
        health(target, group.get("HealthCheckPath", "health_check.path"))


def _integrations(sketch: Sketch) -> None:
    for integration in sketch.of("api_method", "api_integration", "api_source"):
        sketch.use(integration)
        apis = sketch.parts_at(integration, "RestApiId", "rest_api_id", "ApiId", "api_id")
        for api in apis:
            sketch.own(api, integration)
            for target in sketch.parts_at(integration):
                _integrates(sketch, api, target, number(integration.get(
                    "Integration.TimeoutInMillis", "TimeoutInMillis", "timeout_milliseconds")))  # fmt: skip
    for api in sketch.of("rest_api", "http_api", "graph_api"):
        part = sketch.part(api.id)
        for target in sketch.parts_at(api, "Body", "DefinitionBody", "body", "Auth", "Definition"):
            if part is not None:
                _integrates(sketch, part, target, None)
    for permission in sketch.of("permission"):
        sketch.use(permission)
        for function in sketch.parts_at(permission, "FunctionName", "function_name"):
            for source in sketch.parts_at(permission, "SourceArn", "source_arn"):
                if source.noun in _api_s:
                    _integrates(sketch, source, function, None)
                elif source.noun == "bucket":
                    sketch.need(function, source, "the bucket may invoke it", mode="asynchronous")
    _sam(sketch)


def _integrates(sketch: Sketch, api: Part, target: Part, milliseconds: float | None) -> None:
    if target.id == api.id or target.noun not in _behind:
        return
    timeout = milliseconds / 1000 if milliseconds else _api_s[api.noun]
    if target.noun == "user_pool":
        sketch.need(api, target, "it verifies tokens; keys are kept (assumed)", strength="soft", on_loss="cached_keys")
    else:
        sketch.need(api, target, "it is integrated", timeout=duration_text(timeout))


def _sam(sketch: Sketch) -> None:
    """Functions of SAM name the API in their events; where they name none, one is implied."""
    for function in sketch.of("function"):
        part = sketch.part(function.id)
        events = function.get("Events") if function.type == "AWS::Serverless::Function" else None
        for event in cast("dict[str, Any]", events).values() if isinstance(events, dict) else ():
            kind = str(cast("dict[str, Any]", event).get("Type")) if isinstance(event, dict) else ""
            if kind not in ("Api", "HttpApi") or part is None:
                continue
            named = [sketch.part(one.resource) for one in references(event)]
            api = next((one for one in named if one is not None and one.noun in _api_s), None)
            if api is None:
                api = _implied_api(sketch, function, "rest_api" if kind == "Api" else "http_api")
            _integrates(sketch, api, part, None)


def _implied_api(sketch: Sketch, function: Resource, noun: str) -> Part:
    key = f"{function.region}/{noun}"
    known = sketch.parts.get(key)
    if known is None:
        regions = [function.region] if function.region else []
        known = Part(
            key, noun, "services", sketch.name("api"), {"kind": "gateway", "aws": "api_gateway"}, regions=regions
        )
        known.resources.append(function)
        known.note("SAM makes it by itself")
        sketch.parts[key] = known
    return known


def names(sketch: Sketch) -> None:
    """Records and health checks of Route 53: how clients find a region, and what moves them."""
    checks = {check.id: check for check in sketch.of("health_check")}
    hosts: dict[str, list[dict[str, Any]]] = {}
    for resource in sketch.of("dns_record", "dns_records"):
        sketch.use(resource)
        for record in items(resource.get("RecordSets")) or [dict(resource.properties)]:
            holder = Resource(id=resource.id, type=resource.type, label=resource.label, properties=record)
            host = plain(holder.get("Name", "name")).rstrip(".")
            targets = sketch.parts_at(holder, "AliasTarget", "alias", "ResourceRecords", "records")
            said: dict[str, Any] = {
                "targets": targets,
                "failover": holder.get("Failover", "failover_routing_policy.type"),
                "weighted": holder.get("Weight", "weighted_routing_policy", "latency_routing_policy", "GeoLocation")
                is not None
                or (resource.type.startswith("AWS::") and holder.get("Region") is not None),
                "checks": [
                    one for one in sketch.resources_at(holder, "HealthCheckId", "health_check_id") if one.id in checks
                ],
                "ttl": number(holder.get("TTL", "ttl")),
                "evaluates": true(holder.get("AliasTarget.EvaluateTargetHealth", "alias.evaluate_target_health")),
            }
            hosts.setdefault(host, []).append(said)
            for part in targets:
                sketch.own(part, resource)
    for check in checks.values():
        sketch.use(check)
    for host, records in hosts.items():
        _edge(sketch, host, records)


def _edge(sketch: Sketch, host: str, records: list[dict[str, Any]]) -> None:
    regions = unique(region for record in records for part in record["targets"] for region in part.regions)
    moved = any(record["failover"] or record["weighted"] for record in records)
    if "edge" in sketch.regions or not (len(regions) > 1 or (moved and len(records) > 1)):
        return
    edge: dict[str, Any] = {"host": host if host and "*" not in host else "service.example.com"}
    ttl = next((record["ttl"] for record in records if record["ttl"]), 60.0)
    edge["ttl"] = duration_text(ttl)
    check = next((check for record in records for check in record["checks"]), None)
    if check is not None:
        every = count(check.get("HealthCheckConfig.RequestInterval", "request_interval")) or 30
        failures = count(check.get("HealthCheckConfig.FailureThreshold", "failure_threshold")) or 3
        edge["probe"] = {"every": f"{every}s", "fail_after": failures, "observers": 3}
        edge["switch"] = "health_checks"
    elif any(record["evaluates"] for record in records):
        edge["switch"] = "health_checks"
    else:
        edge["switch"] = "records"
        edge["note"] = "no health check moves clients: somebody has to change the records"
    sketch.regions["edge"] = edge
    automatic = edge["switch"] == "health_checks" and any(
        record["failover"] or record["weighted"] for record in records
    )
    sketch.regions["failover"] = "automatic" if automatic else "manual"
    sketch.regions["active"] = any(record["weighted"] for record in records) and not any(r["failover"] for r in records)
    standby = [record for record in records if str(record["failover"]).upper() == "SECONDARY"]
    sketch.regions["standby"] = unique(
        region for record in standby for part in record["targets"] for region in part.regions
    )
