from __future__ import annotations

import inspect

import pytest

from outlast.kernel import error as errors


def _classes() -> list[type[errors.OutlastError]]:
    return [
        kind
        for _, kind in inspect.getmembers(errors, inspect.isclass)
        if issubclass(kind, errors.OutlastError) and kind.__module__ == errors.__name__
    ]


def test_every_error_has_a_code_of_its_own_and_is_drawn_in_the_tree() -> None:
    codes = [kind.code for kind in _classes()]
    assert len(codes) == len(set(codes))
    for kind in _classes():
        assert kind.__name__ in (errors.__doc__ or "")
        assert len(kind.__mro__) - len(errors.OutlastError.__mro__) <= 2, "at most three levels"


def test_a_broken_invariant_is_no_exception_that_code_may_catch() -> None:
    errors.invariant(True, "fine")
    assert not issubclass(errors.InvariantBroken, Exception)
    with pytest.raises(errors.InvariantBroken, match="a step has two outcomes"):
        errors.invariant(False, "a step has two outcomes")


def test_a_failed_step_says_what_it_was() -> None:
    failed = errors.StepFailed("app.Odd", "went wrong", {"a": 1})
    assert str(failed) == "app.Odd: went wrong"
    assert (failed.type, failed.message, failed.data) == ("app.Odd", "went wrong", {"a": 1})
