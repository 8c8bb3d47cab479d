"""Who calls whom, where no resource says so itself: environments, rights, security groups, ``DependsOn``."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from typing import Any, NamedTuple, cast
from urllib.parse import urlsplit

from outlast.assessment.template.compute import compute_nouns, environment
from outlast.assessment.template.intelligence import model, model_ids
from outlast.assessment.template.noun import noun_of
from outlast.assessment.template.resource import Reference, Resource, beside, items, listed, references, texts
from outlast.assessment.template.sketch import Need, Part, Sketch
from outlast.assessment.template.text import walk

_LEADS = frozenset((
    "function_alias", "function_url", "inference_profile", "db_global", "agent_alias", "secret_part", "db_proxy",
    "user_client", "access_point", "key_alias", "db_member", "document_member", "graph_member", "mount_target",
    "inference_config",
))  # fmt: skip
"""Nouns of parts that stand for the whole when something refers to them."""
_READS = re.compile(
    r"(?:sqs:(?:Receive|Delete|ChangeMessage)|kinesis:Get|dynamodb:(?:GetRecords|GetShard|DescribeStream))"
)
_SERVICES = (
    "logs:",
    "ecr:",
    "xray:",
    "cloudwatch:",
    "ec2:",
    "sts:",
    "iam:",
    "ssm:",
    "ssmmessages:",
    "application-autoscaling:",
)
_NAMES = (
    "TableName", "QueueName", "TopicName", "BucketName", "FunctionName", "DomainName", "EndpointName",
    "StateMachineName", "name", "bucket", "function_name", "domain_name", "DBInstanceIdentifier",
    "DBClusterIdentifier", "identifier", "cluster_identifier",
)  # fmt: skip
_GROUPS = (
    "VPCSecurityGroups", "VpcSecurityGroupIds", "SecurityGroupIds", "SecurityGroups", "vpc_security_group_ids",
    "security_group_ids", "security_groups", "NetworkConfiguration.AwsvpcConfiguration.SecurityGroups",
    "network_configuration.security_groups", "VpcConfig.SecurityGroupIds", "vpc_config.security_group_ids",
    "VPCOptions.SecurityGroupIds", "vpc_options.security_group_ids", "LaunchTemplateData.SecurityGroupIds",
)  # fmt: skip
_guarded = frozenset((
    "db_instance", "db_cluster", "document_db", "graph_db", "cache_group", "cache_cluster", "cache_serverless",
    "memory_db", "search", "file_system", "kafka", "broker", "warehouse",
))  # fmt: skip
"""Nouns of what a security group stands in front of."""
_callers = compute_nouns - {"inference", "rest_api", "http_api", "graph_api"}


class Statement(NamedTuple):
    """One statement of a policy that allows something."""

    actions: list[str]
    resources: Any


def connect(sketch: Sketch) -> None:
    """Find what the explicit wiring does not say."""
    names = _names(sketch)
    for part in sketch.of_noun(*_callers):
        for resource in list(part.resources):
            _rights(sketch, part, resource, names)
            _environment(sketch, part, resource, names)
    _security_groups(sketch)
    for part in sketch.of_noun(*_callers):
        for resource in list(part.resources):
            _mentions(sketch, part, resource)
            _depends(sketch, part, resource)


def _names(sketch: Sketch) -> dict[str, Part]:
    """Parts by the names that people gave their resources."""
    found: dict[str, Part] = {}
    for part in sketch.parts.values():
        if part.resources and part.noun not in ("bedrock", "event_bus"):
            resource = part.resources[0]
            for name in texts(resource.get(path) for path in _NAMES):
                if len(name) > 3 and "\ue000" not in name and noun_of(resource.type) == part.noun:
                    found.setdefault(name, part)
    return found


def call(sketch: Sketch, source: Part, target: Part, why: str, *, reads: bool = False) -> None:
    """`source` calls `target`; how, by what `target` is. No circle of two is made out of an assumption."""
    if target.id == source.id or source.id in target.needs or target.noun in ("eks_cluster", "nat"):
        return
    if target.noun in ("queue", "stream", "kafka") and reads:
        sketch.need(source, target, why, mode="asynchronous")
    elif target.noun in ("secret", "key"):
        sketch.need(source, target, "read at the start (assumed)", strength="soft", on_loss="keep_running")
    elif target.noun in ("cache_group", "cache_cluster", "cache_serverless"):
        sketch.need(source, target, f"{why}; a cache: soft is assumed", strength="soft")
    elif target.noun == "user_pool":
        sketch.need(
            source, target, "it verifies tokens; keys are kept (assumed)", strength="soft", on_loss="cached_keys"
        )
    elif target.noun not in ("unknown", "external", "load_balancer") or source.id not in target.needs:
        sketch.need(source, target, why)


def _environment(sketch: Sketch, part: Part, resource: Resource, names: dict[str, Part]) -> None:
    for name, value in environment(resource):
        for reference in references(value):
            target = _target(sketch, reference)
            if target is not None:
                call(sketch, part, target, f"its environment names it ({name[:40]})")
        if not isinstance(value, str) or references(value):
            continue
        for found in model_ids(value):
            sketch.need(part, model(sketch, found, resource), f"its environment names it ({name[:40]})")
        if value in names:
            call(sketch, part, names[value], f"its environment has its name ({name[:40]})")
        elif value.startswith(("http://", "https://")):
            _external(sketch, part, resource, name, value)


def _external(sketch: Sketch, part: Part, resource: Resource, name: str, value: str) -> None:
    try:
        host = urlsplit(value).hostname or ""
    except ValueError:
        return
    if not re.fullmatch(r"[a-z0-9-]+(\.[a-z0-9-]+)+", host) or host.endswith((".amazonaws.com", ".local", ".internal")):
        return
    key = f"external/{host}"
    found = sketch.parts.get(key)
    if found is None:
        body: dict[str, Any] = {"url": f"https://{host}"}
        found = Part(
            key,
            "external",
            "external",
            sketch.name(host.removeprefix("api.").removeprefix("www.").rpartition(".")[0]),
            body,
        )
        found.resources.append(resource)
        found.note("whether a call may be repeated (effect) and its time-out are not known")
        sketch.parts[key] = found
    sketch.need(part, found, f"its environment names it ({name[:40]})")


def _target(sketch: Sketch, reference: Reference) -> Part | None:
    """The part that a reference leads to, where it leads to something that can be called."""
    resource = sketch.resource(reference)
    if resource is None:
        return None
    part = sketch.part(resource.id)
    noun = noun_of(resource.type)
    if part is None:
        return unknown(sketch, resource) if noun == "" else None
    return part if noun == part.noun or noun in _LEADS or part.noun in ("unknown", "external") else None


def unknown(sketch: Sketch, resource: Resource) -> Part:
    """A component for a resource that nobody here can read, because something depends on it."""
    ours = resource.type.startswith(("AWS::", "aws_"))
    if ours:
        part = sketch.add(
            resource, "services", kind="other", aws=re.sub(r"[^a-z0-9]+", "_", _short(resource.type)).strip("_")
        )
    else:
        part = sketch.add(resource, "external")
    part.noun = "unknown" if ours else "external"
    part.note(f"{resource.type} is not understood: what is said of it here is assumed")
    if ours:
        part.spread(2, 2)
    return part


def _short(kind: str) -> str:
    words = kind.split("::")
    return (words[1] + "_" + words[2]).lower() if len(words) == 3 else kind.removeprefix("aws_")


def _rights(sketch: Sketch, part: Part, resource: Resource, names: dict[str, Part]) -> None:
    for statement in _statements(sketch, resource):
        if not statement.actions and part.noun == "state_machine":
            continue  # what it may is not in the plan; what it calls stands in its definition
        acts = [action for action in statement.actions if not action.startswith(_SERVICES)]
        if statement.actions and not acts:
            continue
        reads = (
            bool(acts)
            and any(_READS.match(action) for action in acts)
            and not any("Send" in a or "Put" in a for a in acts)
        )
        if any(action.lower().startswith("bedrock:invoke") or action.lower() == "bedrock:*" for action in acts):
            _models(sketch, part, resource, statement)
        for reference in references(statement.resources):
            target = _target(sketch, reference)
            if target is None and (found := sketch.resource(reference)) is not None:
                target = sketch.part(found.id) if noun_of(found.type) == "table_replica" else None
            if target is not None and target.noun not in ("load_balancer", "unknown"):
                call(
                    sketch,
                    part,
                    target,
                    f"it may {', '.join(acts[:2]) or 'use it (how is not in the plan)'}",
                    reads=reads,
                )
        for text in texts(walk(statement.resources)):
            if text.startswith("arn:") and not references(text):
                name = re.split(r"[:/]", text.removesuffix("/*"))[-1]
                if name in names:
                    call(sketch, part, names[name], f"it may {', '.join(acts[:2])}", reads=reads)


def _models(sketch: Sketch, part: Part, resource: Resource, statement: Statement) -> None:
    found = model_ids(statement.resources)
    for name in found:
        sketch.need(part, model(sketch, name, resource), "it may invoke it")
    known = any(sketch.parts[other].noun == "bedrock" for other in part.needs if other in sketch.parts)
    if not found and not known and not references(statement.resources):
        target = model(sketch, "unknown", resource)
        target.note("it may invoke any model, and which one it does is not in the template: write it")
        sketch.need(part, target, "it may invoke models")


def _statements(sketch: Sketch, resource: Resource) -> Iterator[Statement]:
    """What the roles of a resource allow."""
    roles: dict[str, Resource] = {}
    waiting = [(resource, 0)]
    while waiting:
        holder, deep = waiting.pop()
        for one in sketch.resources_at(holder):
            if noun_of(one.type) == "role":
                roles[one.id] = one
            elif noun_of(one.type) == "instance_profile" and deep < 2:
                sketch.use(one)
                waiting.append((one, deep + 1))
    for policy in items(resource.get("Policies")) if resource.type == "AWS::Serverless::Function" else ():
        yield from _of_sam(policy)
    for role in roles.values():
        sketch.use(role)
        yield from _of_role(sketch, role)


def _of_role(sketch: Sketch, role: Resource) -> Iterator[Statement]:
    for policy in items(role.get("Policies", "inline_policy")):
        for key, value in policy.items():
            if key.lower() in ("policydocument", "policy"):
                yield from _allowed(sketch, value)
    managed = sketch.resources_at(role, "ManagedPolicyArns", "managed_policy_arns")
    for policy in [*sketch.referring("policy", role, "Roles", "RoleName", "role"), *managed]:
        yield from _of_policy(sketch, policy)
    for use in sketch.referring("policy_use", role, "role", "roles"):
        sketch.use(use)
        for policy in sketch.resources_at(use, "policy_arn"):
            yield from _of_policy(sketch, policy)


def _of_sam(policy: dict[str, Any]) -> Iterator[Statement]:
    if "Statement" in policy:
        yield from _allowed_in(policy)
        return
    for name, arguments in policy.items():
        action = "sqs:ReceiveMessage" if name == "SQSPollerPolicy" else name
        yield Statement([action], arguments)


def _of_policy(sketch: Sketch, policy: Resource) -> Iterator[Statement]:
    if noun_of(policy.type) != "policy":
        return
    sketch.use(policy)
    document = policy.get("PolicyDocument", "policy")
    yield from _allowed(sketch, document)
    for key in ("policy",):
        written = policy.properties.get(beside(key))
        if written:
            yield from _allowed(sketch, written)


def _allowed(sketch: Sketch, document: Any) -> Iterator[Statement]:
    if isinstance(document, dict):
        yield from _allowed_in(cast("dict[str, Any]", document))
        return
    for text in listed(document):
        if isinstance(text, str) and text.lstrip().startswith("{"):
            try:
                parsed = json.loads(text)
            except (ValueError, RecursionError):
                continue
            if isinstance(parsed, dict):
                yield from _allowed_in(cast("dict[str, Any]", parsed))
            continue
        for reference in references(text):
            found = sketch.resource(reference)
            if found is not None and noun_of(found.type) == "policy_text":
                sketch.use(found)
                for one in items(found.get("statement")):
                    if str(one.get("effect") or "Allow") == "Allow":
                        where = [one.get("resources"), one.get(beside("resources"))]
                        yield Statement(texts(listed(one.get("actions"))), [part for part in where if part is not None])
            elif found is not None:
                yield Statement([], [text])


def _allowed_in(document: dict[str, Any]) -> Iterator[Statement]:
    for one in items(document.get("Statement")):
        if str(one.get("Effect", "Allow")) == "Allow":
            yield Statement(texts(listed(one.get("Action"))), one.get("Resource"))


def _security_groups(sketch: Sketch) -> None:
    """Whoever a database's security group lets in is taken as a caller of it."""
    lets: dict[str, set[str]] = {}
    for group in sketch.of("security_group"):
        sketch.use(group)
        for rule in items(group.get("SecurityGroupIngress", "ingress")):
            lets.setdefault(group.id, set()).update(one.resource for one in references(rule))
    for rule in sketch.of("security_rule"):
        sketch.use(rule)
        if str(rule.get("type") or "ingress") == "ingress":
            sources = rule.refers("SourceSecurityGroupId", "source_security_group_id", "referenced_security_group_id")
            for guarded in rule.refers("GroupId", "security_group_id"):
                lets.setdefault(guarded.resource, set()).update(one.resource for one in sources)
    guards = {
        part.id: {one.resource for r in part.resources for one in r.refers(*_GROUPS)} for part in sketch.parts.values()
    }
    for target in sketch.of_noun(*_guarded):
        admitted = set[str]().union(*(lets.get(group, set()) for group in guards[target.id]))
        for source in sketch.of_noun(*_callers):
            if admitted & guards[source.id]:
                call(sketch, source, target, "a security group lets it in (assumed: it calls it)")


def _mentions(sketch: Sketch, part: Part, resource: Resource) -> None:
    """References that stand nowhere in particular: user data, arguments, file systems, secrets."""
    if noun_of(resource.type) in ("target_group", "listener", "event_source", "scaling_target", "inference_config"):
        return
    for reference in references(dict(resource.properties)):
        if reference in resource.refers(
            "LoadBalancers", "load_balancer", "TargetGroupARNs", "target_group_arns", "Events"
        ):
            continue
        target = _target(sketch, reference)
        if target is not None and target.noun not in ("load_balancer", "rest_api", "http_api"):
            call(sketch, part, target, "its definition refers to it")


def _depends(sketch: Sketch, part: Part, resource: Resource) -> None:
    for name in resource.depends:
        found = sketch.inventory.resources.get(name)
        target = _target(sketch, Reference(name, "")) if found is not None else None
        if (
            target is None
            or target.id in part.needs
            or target.noun not in (*_guarded, "unknown", "external", "table", "queue")
        ):
            continue
        if part.id not in target.needs and target.id != part.id:
            part.needs[target.id] = Need(why="it is made after it (DependsOn; assumed: it needs it)")
