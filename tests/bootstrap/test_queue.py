"""Queues of the blueprint, before anything is asked of AWS."""

from __future__ import annotations

import pytest

from outlast.blueprint.load import parse
from outlast.bootstrap.queue import depths, open_queue
from outlast.kernel.error import ConfigurationError, NotFound

DESCRIBED = parse(b"queues: {jobs: {aws: sqs}}")


async def test_a_queue_without_an_address_is_only_described() -> None:
    with pytest.raises(ConfigurationError, match=r"queues\.jobs has no address: write sqs: and dead_letters:"):
        async with open_queue(DESCRIBED, "jobs"):
            pass
    assert await depths(DESCRIBED) == []


async def test_a_queue_that_the_blueprint_does_not_have_is_not_found() -> None:
    with pytest.raises(NotFound, match=r"'mail' is not in outlast\.yaml \(known: jobs\)"):
        async with open_queue(DESCRIBED, "mail"):
            pass
