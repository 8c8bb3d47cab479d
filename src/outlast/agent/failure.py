"""Exceptions through the codec: recorded as data, rebuilt the same way live and in replay.

Only classes that the application registered (`App.error`), builtin ones of `_BUILTIN`, and Outlast's own step errors
are rebuilt. All others become `StepFailed`. No class is ever looked up by a name that data holds.
"""

from __future__ import annotations

import builtins
from collections.abc import Mapping
from typing import Any, cast

import msgspec

from outlast.agent.event import Failure
from outlast.kernel.codec import encode
from outlast.kernel.error import (
    BudgetExceeded,
    NotDone,
    OutlastError,
    PayloadTooLarge,
    StepFailed,
    StepTimeout,
    TypeMismatch,
)
from outlast.model.endpoint import EndpointError, EndpointOverloaded, EndpointRefused, EndpointUnavailable
from outlast.model.output import OutputInvalid

_message_chars_max = 2_000
_data_bytes_max = 8 * 1024

_BUILTIN = {
    name: getattr(builtins, name)
    for name in (
        "ArithmeticError",
        "AssertionError",
        "AttributeError",
        "ConnectionError",
        "EOFError",
        "Exception",
        "FileExistsError",
        "FileNotFoundError",
        "IndexError",
        "KeyError",
        "LookupError",
        "NotImplementedError",
        "OSError",
        "OverflowError",
        "PermissionError",
        "RuntimeError",
        "TimeoutError",
        "TypeError",
        "ValueError",
        "ZeroDivisionError",
    )
}
_OWN = {
    f"outlast.{kind.__name__}": kind
    for kind in (
        StepTimeout,
        NotDone,
        TypeMismatch,
        PayloadTooLarge,
        BudgetExceeded,
        EndpointError,
        EndpointOverloaded,
        EndpointRefused,
        EndpointUnavailable,
        OutputInvalid,
    )
}
_PROGRAMMING = (
    TypeError,
    ValueError,
    AttributeError,
    LookupError,
    AssertionError,
    NotImplementedError,
    ArithmeticError,
)


def type_name(kind: type[BaseException]) -> str:
    """How a class is named in records: ``ValueError``, ``outlast.NotDone``, ``app.Declined``."""
    if _BUILTIN.get(kind.__name__) is kind:
        return kind.__name__
    own = f"outlast.{kind.__name__}"
    if _OWN.get(own) is kind:
        return own
    return f"{kind.__module__}.{kind.__qualname__}"


def is_retryable(error: BaseException) -> bool:
    """Whether another attempt may end otherwise: not for mistakes of the program, nor for what says so itself."""
    if isinstance(error, OutlastError):
        return error.retryable or isinstance(error, StepTimeout)
    return isinstance(error, Exception) and not isinstance(error, _PROGRAMMING)


def record_failure(error: BaseException) -> Failure:
    """An exception as data. What it said is bounded to 2,000 characters."""
    if isinstance(error, StepFailed):
        data = None if error.data is None else _plain(error.data)
        return Failure(bounded(error.type), bounded(error.message), data)
    data = _plain(list(error.args)) if error.args else None
    try:
        said = _said(error)
    except Exception:  # noqa: BLE001 # an exception's own __str__ is user code: it may raise anything
        said = ""
    return Failure(bounded(type_name(type(error))), bounded(said), data, is_retryable(error))


def _said(error: BaseException) -> str:
    """Its text; of a group also what is in it, which its own text leaves out."""
    if not isinstance(error, BaseExceptionGroup):
        return str(error)
    group = cast("BaseExceptionGroup[BaseException]", error)
    return f"{group}: {'; '.join(f'{type_name(type(inner))}: {_said(inner)}' for inner in group.exceptions)}"


def bounded(text: str, chars_max: int = _message_chars_max) -> str:
    """`text` as it can be recorded: not too long, and without what UTF-8 cannot hold."""
    return text[:chars_max].encode("utf-8", "replace").decode()


def _plain(value: Any) -> Any:
    """What replay will see of it: plain JSON values; None if it has no JSON form or is too large."""
    try:
        raw = encode(value)
    except OutlastError:
        return None
    return msgspec.json.decode(raw) if len(raw) <= _data_bytes_max else None


def rebuild(failure: Failure, registered: Mapping[str, type[Exception]]) -> Exception:
    """The exception that agent code sees: a known class from its recorded arguments, else StepFailed."""
    kind = registered.get(failure.type) or _OWN.get(failure.type) or _BUILTIN.get(failure.type)
    data: Any = failure.data
    if kind is not None and (data is None or isinstance(data, list)):
        arguments = cast("list[Any]", data) or ([failure.message] if failure.message else [])
        try:
            return kind(*arguments)
        except Exception:  # noqa: BLE001 # a constructor that does not take its own args back is not rebuildable
            return StepFailed(failure.type, failure.message, data)
    return StepFailed(failure.type, failure.message, data)
