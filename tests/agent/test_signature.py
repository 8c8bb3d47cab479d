"""Inputs by name, by position, and what does not fit."""

from __future__ import annotations

from typing import Any

import pytest

from outlast.agent.signature import Signature
from outlast.kernel.error import ConfigurationError, TypeMismatch


async def two(run: Any, order: str, cents: int = 5) -> None: ...


async def one(run: Any, message: str) -> None: ...


async def whole(run: Any, ticket: dict[str, int]) -> None: ...


def test_an_object_gives_arguments_by_name_an_array_by_position_anything_else_the_first() -> None:
    signature = Signature.of(two, "two")
    assert signature.normalize({"order": "a", "cents": 1}) == b'{"order":"a","cents":1}'
    assert signature.normalize(["a"]) == b'{"order":"a","cents":5}'
    assert signature.normalize("a") == b'{"order":"a","cents":5}'


def test_an_object_is_the_value_of_an_only_parameter_that_takes_one() -> None:
    assert Signature.of(whole, "whole").normalize({"a": 1}) == b'{"ticket":{"a":1}}'
    assert Signature.of(whole, "whole").normalize({"ticket": {"a": 1}}) == b'{"ticket":{"a":1}}'


@pytest.mark.parametrize("value", [{"mesage": "hi"}, {"message": "hi", "more": 1}])
def test_a_key_that_is_no_parameter_is_named(value: Any) -> None:
    with pytest.raises(TypeMismatch, match="unknown field"):
        Signature.of(one, "one").normalize(value)


def test_what_does_not_fit_says_where() -> None:
    with pytest.raises(TypeMismatch, match=r"\$\.cents"):
        Signature.of(two, "two").normalize({"order": "a", "cents": "many"})
    with pytest.raises(TypeMismatch, match="3 values"):
        Signature.of(two, "two").normalize(["a", 1, 2])


def test_an_agent_without_a_run_or_with_star_parameters_is_refused() -> None:
    async def nothing() -> None: ...
    async def star(run: Any, *rest: int) -> None: ...

    with pytest.raises(ConfigurationError, match="first one must be the run"):
        Signature.of(nothing, "nothing")
    with pytest.raises(ConfigurationError, match=r"\*rest"):
        Signature.of(star, "star")
