"""What the schema's structs work out."""

from __future__ import annotations

import pytest

from outlast.blueprint.agent import Agent, Workers
from outlast.blueprint.schema import Blueprint, Listen, Pool


def test_without_a_word_there_is_one_pool_of_two_workers() -> None:
    assert Blueprint().pools() == {"default": Pool("default", 2, 1 << 30)}


def test_an_agent_with_workers_has_a_pool_that_takes_what_is_unsaid_from_the_default_one() -> None:
    blueprint = Blueprint(
        workers=Workers(min=3, memory_max=100),
        agents={"a": Agent(), "b": Agent(workers=Workers(min=1)), "c": Agent(workers=Workers(min=4, memory_max=7))},
    )
    assert blueprint.pools() == {
        "default": Pool("default", 3, 100),
        "b": Pool("b", 1, 100),
        "c": Pool("c", 4, 7),
    }


@pytest.mark.parametrize(
    ("listen", "loopback", "text"),
    [
        (Listen(), True, "127.0.0.1:7788"),
        (Listen("localhost", 1), True, "localhost:1"),
        (Listen("::1", 1), True, "[::1]:1"),
        (Listen("127.8.9.1", 1), True, "127.8.9.1:1"),
        (Listen("0.0.0.0", 1), False, "0.0.0.0:1"),
        (Listen("127.example.com", 1), False, "127.example.com:1"),
    ],
)
def test_an_address_knows_whether_only_this_machine_reaches_it(listen: Listen, loopback: bool, text: str) -> None:
    assert listen.loopback is loopback
    assert str(listen) == text
