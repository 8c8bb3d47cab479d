"""A function that agents call: inside a run a recorded step, outside a plain call."""

from __future__ import annotations

import asyncio
import inspect
from collections.abc import Awaitable, Callable
from typing import Any, Concatenate, Generic, ParamSpec, Protocol, TypeVar, overload

import msgspec

from outlast.agent.context import Context
from outlast.agent.step import Effect, Step, StepCall, current_frame, hints_of, is_async, takes_context
from outlast.agent.verdict import Verdict
from outlast.kernel.error import ConfigurationError, UsageError
from outlast.kernel.identity import check_name
from outlast.kernel.unit import Duration, seconds
from outlast.policy.retry import Retry

P = ParamSpec("P")
R = TypeVar("R")
V = TypeVar("V", bound=Callable[..., Any])


class Tool(Generic[P, R]):
    """Made by `App.tool`. Call it with its arguments, without the context, and await the result."""

    def __init__(self, step: Step) -> None:
        self._step = step
        self.__name__ = step.name
        self.__doc__ = step.function.__doc__
        self.__wrapped__ = step.function

    def __repr__(self) -> str:
        return f"<tool {self._step.name} ({self._step.effect})>"

    @property
    def step(self) -> Step:
        """How it is performed."""
        return self._step

    @property
    def function(self) -> Callable[..., Any]:
        """The plain function, context parameter included: what a unit test calls."""
        return self._step.function

    def __call__(self, *args: P.args, **kwargs: P.kwargs) -> Awaitable[R]:
        frame = current_frame.get()
        if frame is not None:
            return StepCall(frame, self._step, args, kwargs)
        if self._step.takes_context:
            raise UsageError(
                f"tool {self._step.name} was called outside a run, where it has no context: call it inside an agent, "
                f"or call {self._step.name}.function(ctx, ...) with a Context of your own"
            )
        if self._step.is_async:
            return self._step.function(*args, **kwargs)
        return asyncio.to_thread(self._step.function, *args, **kwargs)

    def options(
        self, *, timeout: Duration | None = None, retry: Retry | int | None = None, settle: Duration | None = None
    ) -> Tool[P, R]:
        """The same tool with other bounds for the calls made through it.

        `timeout` of one attempt; `retry` as a number of attempts in all or a Retry; `settle` as in `App.tool`.
        """
        step = self._step
        return Tool(
            msgspec.structs.replace(
                step,
                timeout_s=step.timeout_s if timeout is None else seconds(timeout),
                retry=step.retry if retry is None else Retry.of(retry, step.retry or Retry()),
                settle_s=step.settle_s if settle is None else seconds(settle),
            )
        )

    def verify(self, function: V) -> V:
        """Decorator for the check that is asked when a call is in doubt; takes the same arguments as the tool.

        It answers `Done(value)`, `NotDone` or `Unknown`. It is only asked when the old executor can no longer act, or
        again after that.
        """
        if self._step.effect != "once":
            raise ConfigurationError(
                f"tool {self._step.name} is {self._step.effect}: only a tool with effect='once' is ever in doubt"
            )
        if self._step.verify is not None:
            raise ConfigurationError(f"tool {self._step.name} has a verify already")
        self._step = msgspec.structs.replace(self._step, verify=function, verify_takes_context=takes_context(function))
        return function


def make_tool(
    function: Callable[..., Any],
    effect: Effect,
    name: str | None,
    timeout: Duration | None,
    retry: Retry | int | None,
    settle: Duration | None,
) -> Tool[Any, Any]:
    """A Tool from a function; raises ConfigurationError for what cannot be one."""
    tool_name = check_name("tool", name or getattr(function, "__name__", ""))
    if effect not in ("pure", "idempotent", "once"):
        raise ConfigurationError(
            f"tool {tool_name} has effect {effect!r}: say 'pure' (changes nothing), 'idempotent' (the receiver dedupes "
            "on ctx.key) or 'once' (must not be repeated)"
        )
    for parameter in inspect.signature(function).parameters.values():
        if parameter.kind in (parameter.VAR_POSITIONAL, parameter.VAR_KEYWORD):
            raise ConfigurationError(
                f"tool {tool_name} takes *{parameter.name}: name every parameter, models need them"
            )
    return Tool(
        Step(
            name=tool_name,
            kind="tool",
            effect=effect,
            function=function,
            result=hints_of(function).get("return", Any),
            takes_context=takes_context(function),
            is_async=is_async(function),
            timeout_s=None if timeout is None else seconds(timeout),
            retry=None if retry is None else Retry.of(retry, Retry()),
            settle_s=0.0 if settle is None else seconds(settle),
        )
    )


class Anything:
    """For checkers only: a first parameter that accepts this accepts whatever there is (it is `Any`, `object`, or not
    annotated), so that its type does not say whether it is the Context. Its name does, but no type can ask for that.
    """


class ToolDecorator(Protocol):
    """What `App.tool(...)` returns: turns a function, sync or async, with or without context, into a Tool.

    The arguments of a tool whose first parameter accepts anything are not checked.
    """

    @overload
    def __call__(self, function: Callable[Concatenate[Anything, P], Awaitable[R]], /) -> Tool[..., R]: ...
    @overload
    def __call__(self, function: Callable[Concatenate[Context[Any], P], Awaitable[R]], /) -> Tool[P, R]: ...
    @overload
    def __call__(self, function: Callable[P, Awaitable[R]], /) -> Tool[P, R]: ...
    @overload
    def __call__(self, function: Callable[Concatenate[Anything, P], R], /) -> Tool[..., R]: ...
    @overload
    def __call__(self, function: Callable[Concatenate[Context[Any], P], R], /) -> Tool[P, R]: ...
    @overload
    def __call__(self, function: Callable[P, R], /) -> Tool[P, R]: ...


VerifyOf = Callable[..., Awaitable[Verdict[R]] | Verdict[R]]
