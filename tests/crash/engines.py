"""The engines that crash tests run on besides SQLite: real servers, one of each for all tests of a session."""

from __future__ import annotations

import contextlib
import itertools
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from outlast.adapters.aws.option import AwsOptions
from outlast.adapters.aws.prepare import Preparation, prepare
from outlast.adapters.host.clock import SystemClock
from outlast.adapters.host.randomness import OsRandomness
from tests.servers.ministack import ministack
from tests.servers.postgres import PostgresServer, required, running

NAMES = ("postgres", "dynamodb")
_numbers = itertools.count()
credentials = {
    "AWS_ACCESS_KEY_ID": "test", "AWS_SECRET_ACCESS_KEY": "test", "AWS_EC2_METADATA_DISABLED": "true",
    "AWS_CONFIG_FILE": "/dev/null", "AWS_SHARED_CREDENTIALS_FILE": "/dev/null",
}  # fmt: skip
"""Of nobody: what a test asks stays on loopback, whatever the machine has."""


@dataclass(frozen=True)
class Engine:
    """A store of its own: what a blueprint says of it, and the environment of its processes."""

    yaml: str
    environment: dict[str, str]


class Servers:
    """Started when the first test asks for one."""

    def __init__(self, directory: Path, stack: contextlib.ExitStack) -> None:
        self._directory = directory
        self._stack = stack
        self._postgres: PostgresServer | None = None
        self._ministack = ""
        self.database = ""
        """Of PostgreSQL, the last that was made."""

    async def engine(self, name: str) -> Engine:
        number = next(_numbers)
        if name == "postgres":
            url = self._database(f"crash{number}")
            return Engine(_yaml(name, "{url: env:CRASH_POSTGRES}"), {"CRASH_POSTGRES": url})
        options = AwsOptions(f"crash{number}", f"crash{number}-blobs", "eu-central-1", self.address)
        await prepare(options, SystemClock(), OsRandomness(), Preparation(deletion_protection=False))
        where = f'region: {options.region}, endpoint_url: "{self.address}"'
        return Engine(_yaml(name, f"{{table: {options.table}, bucket: {options.bucket}, {where}}}"), credentials)

    @property
    def postgres(self) -> PostgresServer:
        if self._postgres is None:
            required()
            self._postgres = self._stack.enter_context(running())
        return self._postgres

    @property
    def address(self) -> str:
        """Of what stands in for AWS."""
        if not self._ministack:
            self._ministack = self._stack.enter_context(ministack(self._directory))
        return self._ministack

    def client(self, service: str) -> Any:
        """A client of it, for what a test itself asks."""
        from botocore.session import get_session

        return get_session().create_client(service, region_name="eu-central-1", endpoint_url=self.address)

    def queue(self, name: str) -> str:
        """The address of a new SQS queue."""
        made = self.client("sqs").create_queue(QueueName=f"{name}{next(_numbers)}")
        return str(made["QueueUrl"])

    def _database(self, name: str) -> str:
        self.database = name
        return self.postgres.create_database(name)


def _yaml(name: str, said: str) -> str:
    return f"stores: {{journal: {{{name}: {said}}}}}\nrun_on: {{local: {{journal: {name}}}}}\n"
