"""What is known of technologies: how often they are there, and how long their takeovers last.

Figures marked *documented* were read on the page that is named, in the version of the date that is named; the others
are assumptions, or what the service's agreement says from memory, and are shown as defaults. A service level agreement
is a promise of money, not a measurement: drills measure. All of them can be declared in the blueprint.
"""

from __future__ import annotations

from typing import Literal

import msgspec

from outlast.assessment.component import Copies
from outlast.assessment.figure import Figure, Source

_none = Copies()


class Technology(msgspec.Struct, frozen=True, kw_only=True):
    """One technology."""

    regional: bool = False
    """Whether the provider spreads it over all zones of a region, so that no loss of one is seen."""
    outside: bool = False
    """Whether it is in no region of ours."""
    availability: Figure = Figure(0.999, "default", "an assumption for what nothing is known of")
    """Of one instance, or of the whole where it is `regional`."""
    standbys: int = 0
    """Copies in other zones that it has unless somebody says otherwise."""
    takeover: Copies = _none
    """How a copy in another zone takes over, where there is one."""
    quorum: int = 0
    """So many regions must hold it to be strongly consistent across them; 0: it cannot be."""
    within: Copies = _none
    """How its provider replaces a machine of it within its zone, where it does."""
    regions: Copies = _none
    """How its data comes to other regions by itself."""
    restart_s: Figure = Figure(30.0, "default", "an assumption: a supervised process")
    relaunch_s: Figure = Figure(120.0, "default", "an assumption: a container or machine is launched")
    repair_s: Figure = Figure(3600.0, "default", "an assumption: an hour")
    ephemeral: bool = False
    """Whether its data is gone with the machine."""


def _read(value: float, reference: str) -> Figure:
    return Figure(value, "documented", reference)


def _said(value: float, reference: str) -> Figure:
    return Figure(value, "default", f"{reference}; not read again")


def _copy(mode: Literal["sync", "async"], detect_s: float, takeover_s: float, source: Source, reference: str) -> Copies:
    return Copies(mode, Figure(0.0), Figure(detect_s, source, reference), Figure(takeover_s, source, reference))


_rds_sla = "Amazon RDS SLA of 2024-01-22"
_aurora_sla = "Amazon Aurora SLA of 2022-05-19"
_rds_instance = "Amazon RDS user guide, Multi-AZ: 60 to 120 s"
_rds_cluster = "Amazon RDS API reference, FailoverDBCluster: typically less than 35 s"
_aurora_failover = "an assumption: 60 s; with a reader, Aurora is usually faster"

_rds = Technology(
    availability=_read(0.995, f"{_rds_sla}: a single DB instance"),
    takeover=_copy("sync", 0.0, 120.0, "documented", _rds_instance),
    restart_s=Figure(60.0, "default", "an assumption: a restart with crash recovery"),
    relaunch_s=Figure(600.0, "default", "an assumption: a new host for a single instance"),
)
_aurora = Technology(
    availability=_read(0.999, f"{_aurora_sla}: a cluster in one zone"),
    takeover=_copy("sync", 0.0, 60.0, "default", _aurora_failover),
    standbys=1,
    restart_s=Figure(30.0, "default", "an assumption"),
)
_compute = Technology(availability=_said(0.995, "Amazon Compute SLA: one instance"))
_regional_999 = Technology(regional=True, availability=_said(0.999, "the service's SLA: 99.9%"))
_regional_9995 = Technology(regional=True, availability=_said(0.9995, "the service's SLA: 99.95%"))
_regional_9999 = Technology(regional=True, availability=_said(0.9999, "the service's SLA: 99.99%"))
_cache = Technology(
    availability=_said(0.995, "an assumption for one node"),
    takeover=_copy("async", 15.0, 15.0, "default", "an assumption: a replica is promoted within half a minute"),
    ephemeral=True,
)
_self_managed_sql = Technology(
    availability=Figure(0.995, "default", "an assumption for one server"),
    takeover=_copy("sync", 10.0, 20.0, "default", "an assumption: a watcher promotes a standby; drill it"),
    ephemeral=True,
)

_TECHNOLOGIES: dict[str, Technology] = {
    "dynamodb": Technology(regional=True, availability=_read(0.9999, "Amazon DynamoDB SLA, as read in 2022"), quorum=3),
    "aurora_dsql": Technology(
        regional=True, availability=_said(0.9999, "Amazon Aurora DSQL SLA: 99.99% in one region"), quorum=3
    ),
    "s3": _regional_999,
    "sqs": _regional_999,
    "sns": _regional_999,
    "eventbridge": _regional_9999,
    "kinesis": _regional_999,
    "step_functions": _regional_999,
    "lambda": _regional_9995,
    "api_gateway": _regional_9995,
    "alb": _regional_9999,
    "nlb": _regional_9999,
    "efs": _regional_9999,
    "bedrock": Technology(regional=True, availability=_read(0.999, "Amazon Bedrock SLA of 2023-10-04")),
    "cognito": _regional_999,
    "kms": _regional_999,
    "secrets_manager": _regional_999,
    "cloudwatch": _regional_999,
    "route53": Technology(outside=True, availability=_said(1.0, "Amazon Route 53 SLA: 100%")),
    "cloudfront": Technology(outside=True, availability=_said(0.999, "Amazon CloudFront SLA: 99.9%")),
    "global_accelerator": Technology(outside=True, availability=_said(0.9999, "AWS Global Accelerator SLA: 99.99%")),
    "rds": _rds,
    "rds_cluster": msgspec.structs.replace(
        _rds, standbys=2, takeover=_copy("sync", 0.0, 35.0, "documented", _rds_cluster)
    ),
    "aurora": _aurora,
    "aurora_global": msgspec.structs.replace(
        _aurora,
        regions=Copies(
            "async",
            Figure(1.0, "default", "Aurora Global Database: usually under a second; an assumption under load"),
            Figure(0.0),
            Figure(300.0, "default", "an assumption: an unplanned failover takes minutes; drill it"),
        ),
    ),
    "elasticache": _cache,
    "valkey": _cache,
    "redis": _cache,
    "memorydb": msgspec.structs.replace(_cache, ephemeral=False),
    "opensearch": Technology(
        availability=_said(0.995, "an assumption for one data node"),
        standbys=1,
        takeover=_copy("sync", 30.0, 30.0, "default", "an assumption: a replica shard is promoted within a minute"),
    ),
    "opensearch_serverless": _regional_999,
    "fargate": _compute,
    "ec2": msgspec.structs.replace(_compute, relaunch_s=Figure(180.0, "default", "an assumption")),
    "eks": _compute,
    "ecs": _compute,
    "sagemaker": msgspec.structs.replace(
        _compute, relaunch_s=Figure(480.0, "default", "an assumption: a GPU machine with its model")
    ),
    "nat": Technology(
        availability=_said(0.999, "AWS NAT gateway SLA: 99.9%"),
        within=_copy("sync", 0.0, 0.0, "default", "AWS: a NAT gateway is redundant within its zone; not read again"),
    ),
    "ebs": Technology(availability=_said(0.999, "Amazon EBS SLA: one volume 99.9%")),
    "postgres": _self_managed_sql,
    "mysql": _self_managed_sql,
    "sqlite": Technology(
        availability=Figure(0.999, "default", "an assumption: as often as its machine"),
        restart_s=Figure(1.0, "default", "an assumption: the writing process is restarted"),
        ephemeral=True,
    ),
    "worker": Technology(availability=Figure(0.999, "default", "an assumption: as often as its machine")),
    "external": Technology(outside=True, availability=Figure(0.999, "default", "an assumption: ask for their SLA")),
}

_ALIASES = {
    "ddb": "dynamodb",
    "dsql": "aurora_dsql",
    "dynamodb_global": "dynamodb",
    "rds_multi_az": "rds",
    "rds_multi_az_instance": "rds",
    "rds_multi_az_cluster": "rds_cluster",
    "rds_postgres": "rds",
    "rds_mysql": "rds",
    "aurora_postgres": "aurora",
    "aurora_postgresql": "aurora",
    "aurora_mysql": "aurora",
    "aurora_serverless": "aurora",
    "sqs_fifo": "sqs",
    "elasticache_valkey": "elasticache",
    "elasticache_redis": "elasticache",
    "apigateway": "api_gateway",
    "elb": "alb",
    "elbv2": "alb",
    "application_load_balancer": "alb",
    "network_load_balancer": "nlb",
    "nat_gateway": "nat",
    "secretsmanager": "secrets_manager",
    "stepfunctions": "step_functions",
    "events": "eventbridge",
    "bedrock_agent": "bedrock",
    "bedrock_agentcore": "bedrock",
    "bedrock_knowledge_base": "bedrock",
    "appsync": "api_gateway",
    "app_runner": "step_functions",
    "firehose": "kinesis",
    "timestream": "kinesis",
    "neptune": "aurora",
    "documentdb": "aurora",
    "route_53": "route53",
}

unknown = Technology()


def canonical(name: str) -> str:
    """The one name of a technology that has several; another name is as it is, in lower case."""
    word = name.lower().replace("-", "_")
    return _ALIASES.get(word, word)


def technology(name: str, otherwise: str = "") -> Technology:
    """What is known of `name`, else of `otherwise`, else of nothing."""
    for word in (name, otherwise):
        found = _TECHNOLOGIES.get(canonical(word))
        if found is not None:
            return found
    return unknown
