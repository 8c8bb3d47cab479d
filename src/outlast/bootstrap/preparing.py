"""Makes what a shared journal needs before anything runs, and says what rights its processes need."""

from __future__ import annotations

from pathlib import Path
from typing import Literal

import msgspec

from outlast.adapters.host.clock import SystemClock
from outlast.adapters.host.randomness import OsRandomness
from outlast.blueprint.schema import Blueprint
from outlast.bootstrap.engine import aws_options, postgres_options
from outlast.kernel.error import UsageError

Role = Literal["worker", "keeper", "preparer"]


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
        from outlast.adapters.aws.prepare import prepare as prepare_aws

        said = aws_options(blueprint)
        await prepare_aws(said, SystemClock(), OsRandomness())
        return f"dynamodb: table {said.table} and bucket {said.bucket} in {said.region} are ready"
    return "sqlite: nothing is to be prepared, `outlast up` makes its file"


def permissions(blueprint: Blueprint, role: str, account: str) -> str:
    """What a role needs, and no more: SQL for PostgreSQL, an IAM policy document for AWS. Raises UsageError."""
    chosen = blueprint.run_on.local.journal
    if chosen == "postgres":
        from outlast.adapters.postgres.schema import grants

        postgres = blueprint.stores.journal.postgres
        assert postgres is not None
        return grants(role, postgres.namespace).rstrip()
    if chosen == "dynamodb":
        from outlast.adapters.aws.permission import policy

        if role not in ("worker", "keeper", "preparer"):
            raise UsageError(f"role {role[:64]!r} is not known on AWS: expected worker, keeper or preparer")
        document = policy(aws_options(blueprint), account, role)
        return msgspec.json.format(msgspec.json.encode(document), indent=2).decode()
    return "# sqlite: the files of .outlast belong to the user that runs `outlast up`, and to nobody else"
