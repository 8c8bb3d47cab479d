"""A step: what is called, how often, how long; and the call that is waiting to be awaited."""

from __future__ import annotations

import functools
import inspect
import warnings
from collections.abc import Callable, Generator
from contextvars import ContextVar
from types import UnionType
from typing import Any, Generic, Literal, Protocol, TypeVar, Union, get_args, get_origin

import msgspec

from outlast.agent.context import Context
from outlast.agent.event import Kind
from outlast.agent.scope import Scope
from outlast.kernel.error import ConfigurationError, TypeMismatch
from outlast.policy.retry import Retry

T = TypeVar("T")

Effect = Literal["pure", "idempotent", "once"]
"""What a call does to the world: nothing; the same however often its key is repeated; or it must not be repeated."""


class Step(msgspec.Struct, frozen=True):
    """How to perform one kind of step."""

    name: str
    kind: Kind
    effect: Effect
    function: Callable[..., Any]
    result: Any = Any
    takes_context: bool = False
    is_async: bool = True
    timeout_s: float | None = None
    retry: Retry | None = None
    settle_s: float = 0.0
    """Elsewhere, how long after the intent the old executor may still act; 0: not declared."""
    verify: Callable[..., Any] | None = None
    verify_takes_context: bool = False


class Engine(Protocol):
    """Performs steps for one run."""

    async def perform(self, call: StepCall[Any]) -> Any: ...


class Frame:
    """Which run's code is running, and in which of its scopes."""

    __slots__ = ("engine", "scope")

    def __init__(self, engine: Engine, scope: Scope) -> None:
        self.engine = engine
        self.scope = scope


current_frame: ContextVar[Frame | None] = ContextVar("outlast_frame", default=None)
"""Set while agent code runs; None outside a run, and inside a tool, where calls are plain."""


class StepCall(Generic[T]):
    """A step that has been called: it has its place. Await it, once, for its result."""

    __slots__ = ("_awaited", "arguments", "counted", "frame", "keywords", "place", "step", "uses", "waiting")

    def __init__(self, frame: Frame, step: Step, arguments: tuple[Any, ...], keywords: dict[str, Any]) -> None:
        self._awaited = True  # unless it gets its place
        self.frame = frame
        self.step = step
        self.arguments = arguments
        self.keywords = keywords
        self.place = frame.scope.next_place(step.name)
        self.counted = False
        """Whether the run counts the code that awaits it as busy (not so for a wrapper task of asyncio's)."""
        self.waiting = False
        self.uses: list[str] = []
        """What its attempts have asked."""
        self._awaited = False

    def __del__(self) -> None:
        if not self._awaited:  # a coroutine would say so too; one line for each name in a process is enough
            warnings.warn(f"step {self.step.name} was called and never awaited: it is not done", RuntimeWarning, 1)

    def __str__(self) -> str:
        return f"step {self.step.name} at {self.place}"

    def __await__(self) -> Generator[Any, Any, T]:
        if self._awaited:
            raise RuntimeError(
                f"step {self.step.name} at {self.place} was awaited twice: keep its result in a variable"
            )
        self._awaited = True
        return self.frame.engine.perform(self).__await__()


def name_of(function: Callable[..., Any]) -> str:
    """The name of a function as it stands in the history."""
    if isinstance(function, functools.partial):
        return name_of(function.func)
    name = getattr(function, "__name__", None)
    if name is None or name == "<lambda>":
        raise ConfigurationError("a step needs a name: give name=... for a lambda or an object")
    return name


def takes_context(function: Callable[..., Any]) -> bool:
    """Whether the first parameter is the Context: by its annotation; one that allows anything, or none, leaves it to
    the name ``ctx``.
    """
    parameters = list(inspect.signature(function).parameters.values())
    if not parameters:
        return False
    first = parameters[0]
    annotation = first.annotation
    if isinstance(annotation, str):  # not resolved: what it names may not be there at runtime
        name = annotation.split("[")[0].rsplit(".", 1)[-1].strip()
        return name == "Context" or (first.name == "ctx" and name in ("Any", "object"))
    if annotation is first.empty or annotation is Any or annotation is object:
        return first.name == "ctx"
    kinds = get_args(annotation) if get_origin(annotation) in (Union, UnionType) else (annotation,)
    return any(kind is Context or get_origin(kind) is Context for kind in kinds)


def is_async(function: Callable[..., Any]) -> bool:
    """Whether calling it gives something to await."""
    inner = function
    while isinstance(inner, functools.partial):
        inner = inner.func
    return inspect.iscoroutinefunction(inner) or inspect.iscoroutinefunction(type(inner).__call__)


def hints_of(function: Callable[..., Any]) -> dict[str, Any]:
    """Resolved annotations; raises TypeMismatch that names the function if one cannot be resolved."""
    inner = function
    while isinstance(inner, functools.partial):
        inner = inner.func
    try:
        return inspect.get_annotations(inner, eval_str=True)
    except Exception as error:  # noqa: BLE001 # an annotation is user code: it may raise anything
        raise TypeMismatch(
            f"annotations of {name_of(function)} cannot be resolved: {error}; name types that the module can see"
        ) from None
