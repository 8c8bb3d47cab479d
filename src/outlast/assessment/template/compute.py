"""What runs code: containers, functions, machines, clusters."""

from __future__ import annotations

import json
import re
from collections.abc import Callable
from typing import Any

from outlast.assessment.template.network import Network, instances_of
from outlast.assessment.template.noun import noun_of
from outlast.assessment.template.resource import Resource, count, items, listed, number, texts
from outlast.assessment.template.sketch import Part, Sketch
from outlast.kernel.unit import duration_text

_DEEP = re.compile(r"deep|ready|readiness|depend|db|database|full", re.IGNORECASE)
_function_timeout_s = 3.0
"""AWS Lambda's default."""

compute_nouns = frozenset((
    "ecs_service", "function", "machine", "machine_group", "eks_nodes", "eks_fargate", "deployment", "app_runner",
    "batch", "agent_runtime", "inference", "state_machine", "graph_api", "rest_api", "http_api",
))  # fmt: skip
"""Nouns of what calls others."""


def _container(sketch: Sketch, network: Network, service: Resource) -> None:
    tasks = sketch.resources_at(service, "TaskDefinition", "task_definition")
    said = [service.get("LaunchType", "launch_type")]
    said.append(service.get("CapacityProviderStrategy", "capacity_provider_strategy"))
    said += [task.get("RequiresCompatibilities", "requires_compatibilities") for task in tasks]
    kinds = json.dumps(said, default=str)
    fargate = "FARGATE" in kinds
    part = sketch.add(service, "services", kind="container", aws="fargate" if fargate or "EC2" not in kinds else "ecs")
    sketch.own(part, *tasks)
    if "FARGATE_SPOT" in kinds:
        part.note("on FARGATE_SPOT: its tasks may be taken away at two minutes' notice")
    wanted = count(service.get("DesiredCount", "desired_count"))
    if wanted is None:
        wanted = 1
        part.note("its desired count is not in the template: taken as 1, the default")
    part.running[service.region] = wanted
    part.spread(wanted, network.place(part, service))
    if wanted == 0:
        part.note("its desired count is 0: nothing of it runs until somebody starts it")


def _function(sketch: Sketch, network: Network, function: Resource) -> None:
    timeout = min(900.0, number(function.get("Timeout", "timeout")) or _function_timeout_s)
    part = sketch.add(
        function,
        "services",
        kind="function",
        aws="lambda",
        limit=count(function.get("ReservedConcurrentExecutions", "reserved_concurrent_executions")) or None,
        timeout=duration_text(timeout),
    )
    zones = network.place(part, function)
    if zones is not None and zones < 2:
        part.spread(2, zones)
        part.note("it runs in the subnets of one zone, whatever the service could")


def _machine(sketch: Sketch, network: Network, machine: Resource) -> None:
    if sketch.owned(machine):
        return
    copies = instances_of(sketch, machine)
    part = sketch.add(machine, "services", kind="machine", aws="ec2", type=_type(machine))
    sketch.own(part, *copies[1:])
    zones = {network.place(part, one) for one in copies}
    subnets = {network.zone_of[subnet] for subnet in part.subnets}
    part.spread(len(copies), len(subnets) or (len(zones) if None not in zones else 1))
    part.body["repair"] = "1h"
    part.note("no group replaces it: taken as mended by a person within an hour")


def _machine_group(sketch: Sketch, network: Network, group: Resource) -> None:
    templates = [one for one in sketch.resources_at(group) if noun_of(one.type) == "launch_template"]
    kind = next((found for found in map(_type, templates) if found), None)
    part = sketch.add(group, "services", kind="machine", aws="ec2", type=kind)
    sketch.own(part, *templates)
    least = count(group.get("MinSize", "min_size")) or 0
    wanted = count(group.get("DesiredCapacity", "desired_capacity"))
    most = count(group.get("MaxSize", "max_size"))
    instances = max(least, wanted if wanted is not None else least)
    part.running[group.region] = instances
    part.spread(instances, network.place(part, group), max=most if most and most > instances else None)


def _type(resource: Resource) -> str | None:
    found = resource.get("InstanceType", "instance_type", "LaunchTemplateData.InstanceType")
    return found if isinstance(found, str) and re.fullmatch(r"[a-z0-9.-]{2,40}", found) else None


def _cluster(sketch: Sketch, network: Network, cluster: Resource) -> None:
    part = sketch.add(cluster, "services", kind="cluster", aws="eks")
    part.spread(2, 2)
    part.note("its control plane: AWS runs it in two zones or more")
    network.place(part, cluster)
    part.subnets = []


def _nodes(sketch: Sketch, network: Network, nodes: Resource) -> None:
    kinds = texts(listed(nodes.get("InstanceTypes", "instance_types")))
    part = sketch.add(nodes, "services", kind="machine", aws="ec2", type=kinds[0] if kinds else None)
    wanted = count(nodes.get("ScalingConfig.DesiredSize", "scaling_config.desired_size"))
    least = count(nodes.get("ScalingConfig.MinSize", "scaling_config.min_size"))
    most = count(nodes.get("ScalingConfig.MaxSize", "scaling_config.max_size"))
    instances = next((found for found in (wanted, least) if found is not None), 2)
    if wanted is None and least is None:
        part.note("its size is not in the template: taken as 2, the default")
    part.running[nodes.region] = instances
    part.spread(instances, network.place(part, nodes), max=most if most and most > instances else None)
    if str(nodes.get("CapacityType", "capacity_type")).upper() == "SPOT":
        part.note("on spot machines: they may be taken away at two minutes' notice")
    part.note("what runs on it is in no template: its pods, and what they need, are not seen")
    for cluster in sketch.resources_at(nodes, "ClusterName", "cluster_name"):
        found = sketch.part(cluster.id)
        if found is not None and found.noun == "eks_cluster":
            sketch.need(part, found, "pods go on without their control plane", strength="soft", on_loss="keep_running")


def _pods(sketch: Sketch, network: Network, pods: Resource) -> None:
    part = sketch.add(pods, "services", kind="container", aws="eks")
    part.spread(count(pods.get("spec.replicas")) or 1, None)
    nodes = sketch.of_noun("eks_nodes", "eks_fargate")
    nodes.sort(key=lambda found: -found.body["redundancy"]["instances"])
    for index, found in enumerate(nodes):
        found.notes = [note for note in found.notes if not note.startswith("what runs on it")]
        if index == 0:
            sketch.need(part, found, "it runs there (assumed: on the largest group)")
        else:
            sketch.need(part, found, "or there (assumed)", strength="soft", on_loss="other_nodes")


def _runner(sketch: Sketch, network: Network, runner: Resource) -> None:
    sketch.add(runner, "services", kind="container", aws="app_runner")


def _fargate_profile(sketch: Sketch, network: Network, profile: Resource) -> None:
    part = sketch.add(profile, "services", kind="container", aws="fargate")
    part.spread(2, network.place(part, profile))
    part.note("a Fargate profile: how many pods run is in no template; taken as 2")


def _batch(sketch: Sketch, network: Network, environment: Resource) -> None:
    part = sketch.add(environment, "services", kind="pipeline", aws="batch")
    sketch.own(part, *(queue for queue in sketch.of("batch_queue") if environment in sketch.resources_at(queue)))
    part.spread(1, network.place(part, environment))


def _agent_runtime(sketch: Sketch, network: Network, runtime: Resource) -> None:
    sketch.add(runtime, "services", kind="container", aws="bedrock_agentcore")


READERS: dict[str, Callable[[Sketch, Network, Resource], None]] = {
    "ecs_service": _container,
    "function": _function,
    "machine": _machine,
    "machine_group": _machine_group,
    "eks_cluster": _cluster,
    "eks_nodes": _nodes,
    "eks_fargate": _fargate_profile,
    "deployment": _pods,
    "app_runner": _runner,
    "batch": _batch,
    "agent_runtime": _agent_runtime,
}


def fold(sketch: Sketch) -> None:
    """What belongs to functions and services without being one."""
    for resource in sketch.of("function_alias", "function_url", "function_limit", "event_invoke"):
        for part in sketch.parts_at(resource, "FunctionName", "function_name", "TargetFunctionArn"):
            sketch.own(part, resource)
    for resource in sketch.of("scaling_target"):
        _scales(sketch, resource)
    for cluster in sketch.of("ecs_cluster"):
        sketch.use(cluster)


def _scales(sketch: Sketch, target: Resource) -> None:
    least = count(target.get("MinCapacity", "min_capacity"))
    most = count(target.get("MaxCapacity", "max_capacity"))
    for part in sketch.parts_at(target, "ResourceId", "resource_id"):
        sketch.own(part, target)
        said: dict[str, Any] | None = part.body.get("redundancy")
        if said is None or part.noun not in ("ecs_service", "inference"):
            continue
        said["instances"] = max(said["instances"], least or 0)
        part.running = {region: max(found, least or 0) for region, found in part.running.items()}
        if most is not None and most > said["instances"]:
            said["max"] = most


def health(part: Part, path: Any) -> None:
    """Say what a health check at `path` asks, by the words in it."""
    if isinstance(path, str) and path.startswith("/") and "\ue000" not in path:
        deep = _DEEP.search(path) is not None
        part.body["health"] = "deep" if deep else "shallow"
        part.note(f"its health check asks {path[:64]}: taken as {part.body['health']}, by its name")


def environment(resource: Resource) -> list[tuple[str, Any]]:
    """Names and values of environment variables, wherever the resource has them."""
    found: list[tuple[str, Any]] = []
    for path in ("Environment.Variables", "environment.variables", "EnvironmentVariables", "environment_variables"):
        values = resource.get(path)
        if isinstance(values, dict):
            found.extend((str(key), value) for key, value in values.items())  # pyright: ignore[reportUnknownArgumentType, reportUnknownVariableType]
    containers = resource.get("ContainerDefinitions", "container_definitions")
    if isinstance(containers, str):
        try:
            containers = json.loads(containers)
        except (ValueError, RecursionError):
            containers = None
    pods = items(resource.get("spec.template.spec.container"))
    for container in [*items(containers), *pods, *items(resource.get("PrimaryContainer", "primary_container"))]:
        for path in ("Environment", "env"):
            known = next((value for key, value in container.items() if key.lower() == path.lower()), None)
            if isinstance(known, dict):
                found.extend((str(key), value) for key, value in known.items())  # pyright: ignore[reportUnknownArgumentType, reportUnknownVariableType]
            for one in items(known) if isinstance(known, list) else ():
                name = next((value for key, value in one.items() if key.lower() == "name"), "")
                value = next((value for key, value in one.items() if key.lower() == "value"), None)
                found.append((str(name), value))
    return found
