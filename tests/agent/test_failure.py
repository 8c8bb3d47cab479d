"""Exceptions as data and back: the same object for agent code, live as in replay, and never a class that data names."""

from __future__ import annotations

from typing import Any

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from outlast.agent import event as ev
from outlast.agent.failure import bounded, is_retryable, rebuild, record_failure, type_name
from outlast.kernel.error import NotDone, OutlastError, StepFailed, StepTimeout

JSON = st.recursive(
    st.none() | st.booleans() | st.integers(-(2**53), 2**53) | st.floats(allow_nan=False) | st.text(max_size=20),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=5), inner, max_size=3),
    max_leaves=6,
)


class Declined(Exception):
    def __init__(self, order: str, cents: int) -> None:
        super().__init__(order, cents)


class Picky(Exception):
    """Does not take its own `args` back."""

    def __init__(self, *, order: str) -> None:
        super().__init__(order)


class Silent(Exception):
    def __str__(self) -> str:
        raise RuntimeError("no")


KNOWN: dict[str, type[Exception]] = {type_name(Declined): Declined, type_name(Picky): Picky}


def through(error: BaseException) -> Exception:
    """What agent code gets after the failure was written and read."""
    raw = msgspec.json.encode(record_failure(error))
    return rebuild(msgspec.json.decode(raw, type=ev.Failure), KNOWN)


@given(st.lists(JSON, max_size=3), st.sampled_from([ValueError, KeyError, ConnectionError, TimeoutError, RuntimeError]))
def test_a_known_class_comes_back_with_its_arguments(arguments: list[Any], kind: type[Exception]) -> None:
    error = through(kind(*arguments))
    assert isinstance(error, kind)
    again = through(error)
    assert type(again) is type(error), "a second journey changes nothing"
    assert again.args == error.args


@given(st.text(max_size=30), st.integers(-(2**53), 2**53))
def test_an_error_of_the_app_comes_back_as_its_class(order: str, cents: int) -> None:
    error = through(Declined(order, cents))
    assert type(error) is Declined
    assert error.args == (order, cents)


@pytest.mark.parametrize("error", [Picky(order="1043"), ExceptionGroup("several", [ValueError("one")]), Silent("x")])
def test_what_cannot_be_rebuilt_is_a_step_failed_that_names_it(error: Exception) -> None:
    seen = through(error)
    assert isinstance(seen, StepFailed)
    assert seen.type == type_name(type(error))
    again = through(seen)
    assert isinstance(again, StepFailed)
    assert (again.type, again.message) == (seen.type, seen.message)


@pytest.mark.parametrize("name", ["os.system", "builtins.eval", "SystemExit", "KeyboardInterrupt", "subprocess.Popen"])
def test_no_class_is_looked_up_by_a_name_in_the_data(name: str) -> None:
    assert type(rebuild(ev.Failure(name, "boo", ["ls"]), {})) is StepFailed


def test_arguments_without_a_json_form_or_too_large_leave_the_message() -> None:
    for argument in (object(), "x" * 10_000):
        error = through(ValueError(argument))
        assert type(error) is ValueError
        assert len(error.args) == 1
        assert isinstance(error.args[0], str)
        assert len(error.args[0]) <= 2_000


def test_an_error_that_cannot_even_say_what_it_is_is_recorded() -> None:
    assert record_failure(Silent()).message == ""


@given(st.text(st.characters(), max_size=50), st.integers(0, 60))
def test_bounded_text_can_always_be_written(text: str, size: int) -> None:
    assert len(bounded(text, size)) <= size
    bounded(text + "\ud800", size).encode()


@pytest.mark.parametrize(
    ("error", "again"),
    [
        (ValueError(), False), (KeyError(), False), (AssertionError(), False), (ZeroDivisionError(), False),
        (ConnectionError(), True), (RuntimeError(), True), (Declined("1", 1), True), (StepTimeout("late"), True),
        (KeyboardInterrupt(), False), (OutlastError("no"), OutlastError.retryable),
    ],
)  # fmt: skip
def test_mistakes_of_the_program_are_not_tried_again_and_accidents_are(error: BaseException, again: bool) -> None:
    assert is_retryable(error) is again
    assert record_failure(error).retryable is again


def test_outlasts_own_errors_keep_their_class() -> None:
    assert type(through(NotDone("it did not happen"))) is NotDone
    assert type(through(StepTimeout("late"))) is StepTimeout
