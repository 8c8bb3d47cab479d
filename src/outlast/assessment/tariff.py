"""By technology, what is paid for: what a provider counts, and what of our load it is counted on."""

from __future__ import annotations

from collections.abc import Callable, Iterator

from outlast.assessment.charge import Charge, Unpriced
from outlast.assessment.component import Component
from outlast.assessment.meter import (
    Meter,
    Tariff,
    changed_share,
    function_gb,
    function_seconds,
    index_writes,
    recording_writes,
    seconds_per_month,
    worker_gb,
    worker_vcpu,
    workers_per_machine,
)
from outlast.assessment.tokens import tokens
from outlast.blueprint.agent import Agent
from outlast.blueprint.model import ModelEndpoint
from outlast.blueprint.objective import Load
from outlast.blueprint.store import Indexes, Store
from outlast.blueprint.training import Training
from outlast.kernel.unit import hours_per_month

realtime_replication_s = 900.0
"""S3 Replication Time Control promises a quarter of an hour; it is charged where no more is admitted."""
spot_share = 0.35
"""What a machine that may be taken away costs, next to one that may not: an assumption."""
database_calls = 2.0
"""Reads and writes of storage for one request of a database: an assumption."""


def charges(meter: Meter) -> Iterator[Charge]:
    """Every line of the bill, component by component in the order of the file, then what belongs to none."""
    for component in meter.system.components.values():
        found = tariff(component)
        if isinstance(found, str):
            if found:
                meter.unpriced.append(Unpriced(component.name, found))
            continue
        yield from found(meter, component)
    yield from _fixed(meter)


def tariff(component: Component) -> Tariff | str:
    """How a component is charged, or why it is not; empty: it costs nothing by itself."""
    if component.kind == "model":
        return ""
    if component.kind == "external" or component.technology == "openai":
        return "somebody else's: ask for their bill"
    if component.kind == "edge" and component.technology == "dns":
        return ""
    if component.kind == "training":
        return _training if component.technology != "worker" else "it runs on this machine"
    if not component.provider:
        return "no service of a provider is named: it runs on this machine, or is not decided"
    found = _TARIFFS.get(_family(component.technology))
    return found or f"how {component.technology or component.kind} is charged is not known here"


def _family(technology: str) -> str:
    name = technology.replace("-", "_").lower()
    for prefix, family in _PREFIXES:
        if name.startswith(prefix):
            return family
    return name


_PREFIXES = (
    ("ddb", "dynamodb"), ("dynamodb", "dynamodb"), ("aurora", "aurora"), ("documentdb", "aurora"),
    ("neptune", "aurora"),
    ("rds", "rds"), ("elasticache", "cache"), ("valkey", "cache"), ("redis", "cache"), ("memorydb", "cache"),
    ("opensearch_serverless", "opensearch_serverless"), ("opensearch", "opensearch"), ("sqs_fifo", "sqs_fifo"),
    ("sqs", "sqs"), ("elb", "alb"), ("application_load", "alb"), ("network_load", "nlb"), ("apigateway", "api_gateway"),
    ("nat", "nat"), ("secretsmanager", "secrets_manager"), ("events", "eventbridge"), ("route", "route53"),
    ("cloudwatch", "cloudwatch"), ("stepfunctions", "step_functions"),
)  # fmt: skip


def _workers(meter: Meter, component: Component) -> Iterator[Charge]:
    declared = meter.declared.get(component.name)
    memory = worker_gb
    if isinstance(declared, Agent):
        bound = (declared.workers or meter.blueprint.workers).memory_max
        memory = bound / (1 << 30) if bound is not None else worker_gb
    meter.assumed[
        f"a worker, or a container, needs {worker_vcpu:g} vCPU, and {worker_gb:g} GB unless memory_max says"
    ] = None
    yield from meter.machines(component, "fargate_vcpu", worker_vcpu, f"{worker_vcpu:g} vCPU")
    yield from meter.machines(component, "fargate_gb", memory, f"{memory:g} GB")


def _machines(meter: Meter, component: Component) -> Iterator[Charge]:
    declared = meter.declared.get(component.name)
    if isinstance(declared, Agent):
        meter.assumed[f"{workers_per_machine} workers run on one m7g.large"] = None
        each = 1 / workers_per_machine
        yield from meter.machines(component, "m7g.large", each, f"{each:g} of a m7g.large")
        return
    machine = getattr(declared, "type", None) or "m7g.large"
    yield from meter.machines(component, machine, 1.0, machine)


def _cluster(meter: Meter, component: Component) -> Iterator[Charge]:
    yield from _machines(meter, component)
    if not isinstance(meter.declared.get(component.name), Agent):
        for region, purpose in meter.each_region(component):
            yield from meter.line(
                component.name,
                region,
                purpose,
                "eks_cluster",
                hours_per_month,
                f"its control plane x {hours_per_month:g} h",
            )


def _function(meter: Meter, component: Component) -> Iterator[Charge]:
    requests = meter.requests(component.name)
    meter.assumed[f"a function runs {function_seconds:g} s with {function_gb:g} GB for a request"] = None
    yield from meter.line(
        component.name, meter.home, "work", "lambda_request", requests / 1e6, f"{requests:,.0f} requests"
    )
    worked = requests * function_seconds * function_gb
    shown = f"{requests:,.0f} requests x {function_seconds:g} s x {function_gb:g} GB"
    yield from meter.line(component.name, meter.home, "work", "lambda_gb_second", worked, shown)


def _balancer(item: str) -> Tariff:
    def charged(meter: Meter, component: Component) -> Iterator[Charge]:
        for region, purpose in meter.each_region(component):
            shown = f"{hours_per_month:g} h"
            yield from meter.line(component.name, region, purpose, item, hours_per_month, shown)
        meter.assumed["a load balancer carries one capacity unit on average"] = None
        yield from meter.line(component.name, meter.home, "work", "alb_lcu", hours_per_month, "1 LCU x 730 h")

    return charged


def _nat(meter: Meter, component: Component) -> Iterator[Charge]:
    yield from meter.machines(component, "nat", 1.0, "a NAT gateway")


def _by_request(item: str) -> Tariff:
    """Services that count requests, in millions, where the work is."""

    def charged(meter: Meter, component: Component) -> Iterator[Charge]:
        requests = meter.requests(component.name)
        shown = f"{requests:,.0f} requests"
        yield from meter.line(component.name, meter.home, "work", item, requests / 1e6, shown)

    return charged


def _queue(item: str) -> Tariff:
    def charged(meter: Meter, component: Component) -> Iterator[Charge]:
        messages = meter.requests(component.name)
        shown = f"{messages:,.0f} messages x 3 (send, receive, delete)"
        yield from meter.line(component.name, meter.home, "work", item, 3 * messages / 1e6, shown)

    return charged


def _table(meter: Meter, component: Component) -> Iterator[Charge]:
    writes, shown = _writes(meter, component)
    again, shown_again = _index_writes(meter, component, writes)
    for region, purpose in meter.each_region(component):
        yield from meter.line(component.name, region, purpose, "dynamodb_write", writes / 1e6, shown)
        yield from meter.line(component.name, region, purpose, "dynamodb_write", again / 1e6, shown_again)
    reads = meter.requests(component.name)
    yield from meter.line(
        component.name, meter.home, "work", "dynamodb_read", reads / 1e6, f"{reads:,.0f} reads of 4 KB"
    )
    yield from meter.stored(component, "dynamodb_gb", per_instance=False)
    indexes = _indexes(meter, component)
    if indexes is not None:
        size = meter.size_gb(component) * indexes.size
        shown = f"{indexes.count} indexes x {size:g} GB"
        for region, purpose in meter.each_region(component):
            yield from meter.line(component.name, region, purpose, "dynamodb_gb", indexes.count * size, shown)
    yield from meter.sent(component, writes * 1024 / 1e9)


def _indexes(meter: Meter, component: Component) -> Indexes | None:
    declared = meter.declared.get(component.name)
    return declared.indexes if isinstance(declared, Store) else None


def _writes(meter: Meter, component: Component) -> tuple[float, str]:
    """Write units of a month: one kilobyte each."""
    meter.assumed["an item, and what a step records, is at most 1 KB"] = None
    if component.kind != "journal":
        requests = meter.requests(component.name)
        return requests, f"{requests:,.0f} writes of 1 KB"
    return _of_runs(meter, component, lambda load: load.steps_per_turn + recording_writes, "writes")


def _index_writes(meter: Meter, component: Component, writes: float) -> tuple[float, str]:
    """What those writes cause in the indexes of the table."""
    if component.kind == "journal":
        return _of_runs(meter, component, lambda load: index_writes, "writes of indexes")
    indexes = _indexes(meter, component)
    if indexes is None:
        return 0.0, ""
    again = writes * indexes.count * indexes.writes
    return again, f"{writes:,.0f} writes x {indexes.count} indexes x {indexes.writes:.0%}"


def _of_runs(meter: Meter, component: Component, each: Callable[[Load], float], what: str) -> tuple[float, str]:
    """So many for each run of the classes of work that the journal records."""
    total, parts = 0.0, list[str]()
    for work in meter.graph.works_of[component.name]:
        load = meter.blueprint.load.get(work)
        if load is not None:
            total += load.steady * seconds_per_month * each(load)
            parts.append(f"{work} {load.steady:g}/s x {seconds_per_month:,.0f} s x {each(load):g} {what}")
    return total, " + ".join(parts)


def _rds(meter: Meter, component: Component) -> Iterator[Charge]:
    machine = getattr(meter.declared.get(component.name), "type", None) or "db.r7g.large"
    yield from meter.machines(component, machine, 1.0, machine)
    yield from meter.stored(component, "rds_gb", per_instance=True)
    yield from meter.sent(component, meter.changed_gb(component) if meter.others(component) else 0.0)


def _aurora(meter: Meter, component: Component) -> Iterator[Charge]:
    machine = getattr(meter.declared.get(component.name), "type", None) or "db.r7g.large"
    yield from meter.machines(component, f"aurora:{machine}", 1.0, machine)
    yield from meter.stored(component, "aurora_gb", per_instance=False)
    calls = meter.requests(component.name) * database_calls
    meter.assumed[f"a request of a database costs {database_calls:g} reads or writes of its storage"] = None
    yield from meter.line(
        component.name, meter.home, "work", "aurora_io", calls / 1e6, f"{calls:,.0f} reads and writes"
    )
    for region in meter.others(component):
        shown = f"{calls / 2:,.0f} replicated writes"
        yield from meter.line(component.name, region, "region", "aurora_replicated_io", calls / 2e6, shown)
    yield from meter.sent(component, meter.changed_gb(component) if meter.others(component) else 0.0)


def _cache(meter: Meter, component: Component) -> Iterator[Charge]:
    declared = meter.declared.get(component.name)
    machine = getattr(declared, "type", None) or "cache.r7g.large"
    shards = getattr(declared, "shards", None) or 1
    yield from meter.machines(component, machine, 1.0, machine, shards)


def _search(meter: Meter, component: Component) -> Iterator[Charge]:
    declared = meter.declared.get(component.name)
    machine = getattr(declared, "type", None) or "r7g.large.search"
    shards = getattr(declared, "shards", None) or 1
    yield from meter.machines(component, machine, 1.0, machine, shards)
    yield from meter.stored(component, "opensearch_gb", per_instance=True)


def _blobs(meter: Meter, component: Component) -> Iterator[Charge]:
    yield from meter.stored(component, "s3_gb", per_instance=False)
    requests = meter.requests(component.name)
    shown = f"{requests:,.0f} requests"
    yield from meter.line(component.name, meter.home, "work", "s3_get", requests / 1e3, shown)
    yield from meter.line(component.name, meter.home, "work", "s3_put", requests / 1e3, shown)
    if not meter.others(component) or component.across_regions.mode == "none":
        return
    changed = meter.changed_gb(component)
    for region in meter.others(component):
        yield from meter.line(component.name, region, "region", "s3_put", requests / 1e3, f"{requests:,.0f} replicated")
    yield from meter.sent(component, changed)
    if component.across_regions.lag_s.value <= realtime_replication_s:
        shown = f"{changed:g} GB replicated in time"
        yield from meter.line(component.name, meter.home, "region", "s3_rtc_gb", changed, shown)


def _files(item: str) -> Tariff:
    def charged(meter: Meter, component: Component) -> Iterator[Charge]:
        yield from meter.stored(component, item, per_instance=item == "ebs_gb")
        yield from meter.sent(component, meter.changed_gb(component) if meter.others(component) else 0.0)

    return charged


def _logs(meter: Meter, component: Component) -> Iterator[Charge]:
    gigabytes = sum(load.steady for load in meter.system.load.values()) * seconds_per_month * 2048 / 1e9
    meter.assumed["a turn writes 2 KB of logs"] = None
    yield from meter.line(component.name, meter.home, "work", "log_gb", gigabytes, f"{gigabytes:.3g} GB of logs")


def _each(item: str, what: str) -> Tariff:
    def charged(meter: Meter, component: Component) -> Iterator[Charge]:
        for region, purpose in meter.each_region(component):
            yield from meter.line(component.name, region, purpose, item, 1.0, f"1 {what}")

    return charged


def _own_model(meter: Meter, component: Component) -> Iterator[Charge]:
    declared = meter.declared.get(component.name)
    machine = declared.type if isinstance(declared, ModelEndpoint) and declared.type else "ml.g6.2xlarge"
    yield from meter.machines(component, machine, 1.0, machine)


def _training(meter: Meter, component: Component) -> Iterator[Charge]:
    declared = meter.declared.get(component.name)
    if not isinstance(declared, Training) or declared.every is None:
        return
    takes = declared.takes if declared.takes is not None else 3600.0
    if declared.takes is None:
        meter.assumed["a training that does not say how long it takes, takes an hour"] = None
    machine = declared.type or "ml.g6.2xlarge"
    share = spot_share if declared.spot else 1.0
    if declared.spot:
        meter.assumed[f"a spot machine costs {spot_share:.0%} of another"] = None
    starts = seconds_per_month / declared.every
    hours = starts * takes / 3600 * declared.nodes * share
    shown = f"{starts:.3g} trainings x {takes / 3600:g} h x {declared.nodes} x {machine}" + (
        " x spot" if declared.spot else ""
    )
    yield from meter.line(component.name, meter.home, "work", machine, hours, shown)


_TARIFFS: dict[str, Tariff] = {
    "fargate": _workers, "ecs": _workers, "ec2": _machines, "eks": _cluster, "lambda": _function,
    "alb": _balancer("alb"), "nlb": _balancer("nlb"), "nat": _nat, "api_gateway": _by_request("api_gateway_request"),
    "dynamodb": _table, "rds": _rds, "aurora": _aurora, "cache": _cache, "opensearch": _search, "s3": _blobs,
    "efs": _files("efs_gb"), "ebs": _files("ebs_gb"), "sqs": _queue("sqs_request"),
    "sqs_fifo": _queue("sqs_fifo_request"),
    "sns": _by_request("sns_request"), "eventbridge": _by_request("eventbridge_event"),
    "step_functions": _by_request("step_functions_transition"), "cloudwatch": _logs, "kms": _each("kms_key", "key"),
    "secrets_manager": _each("secret", "secret"), "bedrock": tokens, "sagemaker": _own_model,
}  # fmt: skip


def _fixed(meter: Meter) -> Iterator[Charge]:
    """What belongs to no component: backups, alarms, the way clients find a region."""
    yield from _backups(meter)
    alarms = len(meter.system.alarms)
    yield from meter.line("alarms", meter.home, "work", "alarm", alarms, f"{alarms} alarms")
    routing = meter.system.routing
    if routing is None or meter.home == "local":
        return
    served = len([region for region in meter.system.regions if region.provider])
    yield from meter.line("regions.edge", meter.home, "work", "hosted_zone", 1.0, "1 hosted zone")
    if served > 1:
        yield from meter.line("regions.edge", meter.home, "region", "health_check", served, f"{served} health checks")
        if routing.probe_every_s.value < 30:
            shown = f"{served} health checks every {routing.probe_every_s.value:g} s"
            yield from meter.line("regions.edge", meter.home, "region", "health_check_option", served, shown)
        if routing.mechanism == "arc":
            shown = f"a cluster of routing controls x {hours_per_month:g} h"
            yield from meter.line(
                "regions.edge", meter.home, "region", "routing_control_cluster", hours_per_month, shown
            )


_KEPT = {"dynamodb": ("dynamodb_backup_gb", "dynamodb_pitr_gb"), "rds": ("rds_backup_gb", "rds_backup_gb"),
         "aurora": ("aurora_backup_gb", "aurora_backup_gb"), "s3": ("s3_gb", "s3_gb"),
         "efs": ("ebs_snapshot_gb", "ebs_snapshot_gb"), "ebs": ("ebs_snapshot_gb", "ebs_snapshot_gb"),
         "opensearch": ("s3_gb", "s3_gb"), "cache": ("s3_gb", "s3_gb")}  # fmt: skip
"""By family, what a whole copy and what point-in-time recovery are charged as."""


def _backups(meter: Meter) -> Iterator[Charge]:
    """Point-in-time recovery, whole copies, earlier versions, and each copy elsewhere: of the store's size."""
    for name, backup in meter.system.backups.items():
        component = meter.system.components.get(name)
        if component is None or not component.provider:
            continue
        whole, instant = _KEPT.get(_family(component.technology), ("s3_gb", "s3_gb"))
        size = meter.size_gb(component)
        if backup.point_in_time_s is not None:
            yield from meter.line(name, meter.home, "corruption", instant, size, f"{size:g} GB, any instant")
        if backup.full_every_s is not None:
            yield from meter.line(name, meter.home, "corruption", whole, size, f"{size:g} GB, whole copies")
        if backup.versions_s is not None:
            kept = size * changed_share * backup.versions_s / seconds_per_month
            meter.changed_gb(component)
            yield from meter.line(name, meter.home, "corruption", whole, kept, f"{kept:.3g} GB of earlier versions")
        for copy in backup.copies:
            region = next(
                (r.name for r in meter.system.regions if r.name in backup.region_copies and copy != "vault"), ""
            )
            if copy == "vault":
                yield from meter.line(name, meter.home, "corruption", whole, size, f"{size:g} GB in another account")
            elif region:
                yield from meter.line(name, region, "region", whole, size, f"{size:g} GB of backups in {region}")
                sent = size * changed_share
                shown = f"{sent:g} GB of backups sent to {region}"
                yield from meter.line(name, meter.home, "region", "transfer_regions_gb", sent, shown)
