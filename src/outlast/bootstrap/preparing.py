"""Makes what a shared journal needs before anything runs, and says what rights its processes need."""

from __future__ import annotations

import os
from pathlib import Path
from typing import TYPE_CHECKING, Any
from urllib.parse import urlsplit

import msgspec

from outlast.adapters.host.clock import SystemClock
from outlast.adapters.host.randomness import OsRandomness
from outlast.blueprint.schema import Blueprint
from outlast.bootstrap.duty import keep_s, publish_place
from outlast.bootstrap.engine import aws_options, postgres_options
from outlast.kernel.error import ConfigurationError, UsageError

if TYPE_CHECKING:
    from outlast.adapters.aws.permission import Role as AwsRole


async def prepare_store(home: Path, blueprint: Blueprint) -> str:
    """Make tables and bucket if they are lacking, any number of times; one line that says what there is.

    Needs rights that workers should not have. Raises ConfigurationError, StoreUnavailable.
    """
    chosen = blueprint.run_on.local.journal
    if chosen == "postgres":
        from outlast.adapters.postgres.engine import prepare as prepare_postgres

        options = await postgres_options(home, blueprint)
        lineage = await prepare_postgres(options, OsRandomness())
        return f"postgres: schema {options.schema} is ready, lineage {lineage}"
    if chosen == "dynamodb":
        from outlast.adapters.aws.prepare import Preparation
        from outlast.adapters.aws.prepare import prepare as prepare_aws

        said = aws_options(blueprint)
        told = blueprint.stores.journal.publish is not None
        await prepare_aws(said, SystemClock(), OsRandomness(), Preparation(stream=told))
        return f"dynamodb: table {said.table} and bucket {said.bucket} in {said.region} are ready"
    return "sqlite: nothing is to be prepared, `outlast up` makes its file"


def permissions(blueprint: Blueprint, role: str, account: str) -> str:
    """What a role needs, and no more: SQL for PostgreSQL, an IAM policy document for AWS. A worker is what runs on a
    host, so it may do what the host does for all, if the blueprint asks for that. Raises UsageError.
    """
    chosen = blueprint.run_on.local.journal
    if chosen == "dynamodb":
        from outlast.adapters.aws.permission import policy

        known: dict[str, AwsRole] = {"worker": "worker", "keeper": "keeper", "preparer": "preparer"}
        if role not in known:
            raise UsageError(f"role {role[:64]!r} is not known on AWS: expected worker, keeper or preparer")
        roles: list[AwsRole] = [known[role]]
        if role == "worker" and keep_s(blueprint) is not None:
            roles.append("keeper")
        if role == "worker" and blueprint.stores.journal.publish is not None:
            roles.extend(("follower", "publisher"))
        if role == "worker" and _anchors(blueprint):
            roles.append("witness")
        backups = _backups(blueprint)
        if backups and role != "preparer":
            roles.extend(_kept_by(role))
        bus, anchors = _bus(blueprint, account), _anchors(blueprint)
        return _shown(policy(aws_options(blueprint), account, roles, bus=bus, anchors=anchors, backups=backups))
    beside = ""
    if blueprint.stores.journal.publish is not None:
        from outlast.adapters.aws.permission import publisher_policy

        beside = _shown(publisher_policy(_bus(blueprint, account)))
    if _backups(blueprint):
        from outlast.adapters.aws.permission import backup_policy

        beside += ("\n" if beside else "") + _shown(backup_policy(_backups(blueprint), _kept_by(role)))
    if chosen == "postgres":
        from outlast.adapters.postgres.schema import grants

        if _anchors(blueprint):
            from outlast.adapters.aws.permission import witness_policy

            beside += ("\n" if beside else "") + _shown(witness_policy(_anchors(blueprint)))
        postgres = blueprint.stores.journal.postgres
        assert postgres is not None
        commented = "".join(f"\n-- {line}" for line in beside.splitlines())
        granted = grants(role, postgres.namespace, removes=keep_s(blueprint) is not None)
        return granted.rstrip() + (f"\n-- and on AWS:{commented}" if beside else "")
    return beside or "# sqlite: the files of .outlast belong to the user that runs `outlast up`, and to nobody else"


def _anchors(blueprint: Blueprint) -> str:
    """Bucket and prefix of the anchors in S3, empty where none are."""
    said = blueprint.stores.journal.anchors
    return "" if said is None else f"{said.s3}/{said.prefix}"


def _kept_by(role: str) -> list[AwsRole]:
    """What a role does with backups in S3: whoever runs on a host takes them, a keeper can also remove them."""
    return ["safekeeper", "pruner"] if role == "keeper" else ["safekeeper"]


def _backups(blueprint: Blueprint) -> list[str]:
    """Bucket and prefix of each place in S3 where the journal's backups lie."""
    said = blueprint.backup.get("journal")
    found = [urlsplit(place) for place in said.places.values()] if said is not None else []
    return [f"{place.netloc}/{place.path.strip('/')}".rstrip("/") + "/" for place in found if place.scheme == "s3"]


def _bus(blueprint: Blueprint, account: str) -> str:
    """The ARN of the event bus, empty where none is named. Raises UsageError, ConfigurationError."""
    from outlast.adapters.aws.permission import bus_arn

    said = blueprint.stores.journal.publish
    if said is None:
        return ""
    from_environment = os.environ.get("AWS_REGION") or os.environ.get("AWS_DEFAULT_REGION")
    region = publish_place(blueprint, said).region or from_environment
    if not region and not said.eventbridge.startswith("arn:"):
        raise ConfigurationError("stores.journal.publish has no region, and AWS_REGION is not set: write region: …")
    return bus_arn(said.eventbridge, region or "", account)


def _shown(document: dict[str, Any]) -> str:
    return msgspec.json.format(msgspec.json.encode(document), indent=2).decode()
