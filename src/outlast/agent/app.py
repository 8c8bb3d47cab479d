"""The application: its agents, its tools, and what they depend on."""

from __future__ import annotations

import contextlib
import inspect
from collections.abc import AsyncGenerator, Awaitable, Callable
from dataclasses import dataclass, field
from typing import Any, Concatenate, Generic, Literal, ParamSpec, Protocol, TypeVar, cast, overload

from outlast.agent.context import D
from outlast.agent.failure import type_name
from outlast.agent.signature import Signature
from outlast.agent.step import Effect, StepCall, current_frame, name_of
from outlast.agent.tool import Tool, ToolDecorator, make_tool
from outlast.kernel.error import ConfigurationError, UsageError
from outlast.kernel.identity import check_name
from outlast.kernel.unit import Duration, seconds
from outlast.policy.budget import Budget
from outlast.policy.retry import Retry

P = ParamSpec("P")
R = TypeVar("R")

deadline_max_s = 30 * 86400.0
"""The longest deadline that an agent may declare: 30 days, as long as any run may last."""


@dataclass(frozen=True, slots=True)
class Options:
    """How an agent runs. Set by `App.agent`, and by ``agents:`` in outlast.yaml, which wins."""

    pool: str = ""
    deadline_s: float | None = None
    budget: Budget = field(default_factory=Budget)
    session_ttl_s: float = 30 * 86400.0
    on_held_turn: Literal["block", "skip"] = "block"


class Agent(Generic[P, R]):
    """Made by `App.agent`. Inside a run of another agent, calling it starts a child run and waits for its result.

    Outside a run it is not callable: start it through a client, the command line or HTTP, so that it is durable.
    """

    app: App[Any]
    """Where it is registered."""

    def __init__(self, name: str, function: Callable[..., Awaitable[R]], options: Options) -> None:
        self.name = name
        self.function = function
        self.options = options
        self.signature = Signature.of(function, name)
        self.__name__ = name
        self.__doc__ = function.__doc__
        self.__wrapped__ = function

    def __repr__(self) -> str:
        return f"<agent {self.name}>"

    @property
    def pool(self) -> str:
        """The worker pool that runs it; "" is the default one."""
        return self.options.pool

    def input_schema(self) -> dict[str, Any]:
        """JSON Schema of its input: an object with a property for each parameter."""
        return self.signature.input_schema()

    def output_schema(self) -> dict[str, Any]:
        """JSON Schema of its result."""
        return self.signature.output_schema()

    def __call__(self, *args: P.args, **kwargs: P.kwargs) -> Awaitable[R]:
        frame = current_frame.get()
        if frame is None:
            raise UsageError(
                f"agent {self.name} was called outside a run, where it would not be durable: start it with "
                f"`outlast run {self.name} ...`, POST /v1/agents/{self.name}/runs, or from inside another agent"
            )
        return StepCall(frame, self.signature.child_step(self.name), (self, args, kwargs), {})


class AgentDecorator(Protocol):
    """What `App.agent(...)` returns: turns an async function whose first parameter is a Run into an Agent."""

    def __call__(self, function: Callable[Concatenate[Any, P], Awaitable[R]], /) -> Agent[P, R]: ...


class App(Generic[D]):
    """Agents and tools under one name.

    `lifespan` opens what they depend on, once in each worker: an async context manager function, or an async or plain
    function that returns it. It is never serialized. A decorated function is registered at once; nothing else happens
    until a worker runs.
    """

    def __init__(self, name: str, lifespan: Callable[[], Any] | None = None) -> None:
        self.name = check_name("app", name)
        self.agents: dict[str, Agent[..., Any]] = {}
        self.tools: dict[str, Tool[..., Any]] = {}
        self.errors: dict[str, type[Exception]] = {}
        self._lifespan = lifespan

    def __repr__(self) -> str:
        return f"<app {self.name}: agents {', '.join(self.agents) or 'none'}>"

    @overload
    def agent(self, function: Callable[Concatenate[Any, P], Awaitable[R]], /) -> Agent[P, R]: ...
    @overload
    def agent(
        self,
        *,
        name: str | None = None,
        pool: str = "",
        deadline: Duration | None = None,
        budget: Budget | None = None,
        session_ttl: Duration | None = "30d",
        on_held_turn: Literal["block", "skip"] = "block",
    ) -> AgentDecorator: ...
    def agent(
        self,
        function: Callable[..., Awaitable[Any]] | None = None,
        *,
        name: str | None = None,
        pool: str = "",
        deadline: Duration | None = None,
        budget: Budget | None = None,
        session_ttl: Duration | None = "30d",
        on_held_turn: Literal["block", "skip"] = "block",
    ) -> Any:
        """Register an agent: ``async def support(run: Run[Deps], message: str) -> Reply``.

        `name`: how it is started, default the function's. `pool`: workers of its own, so that it fails alone.
        `deadline`: from a run's start to its end, in seconds or with a unit; passed down to steps and child runs.
        `budget`: beyond it a run is held for a person. `session_ttl`: an idle session begins anew after this time
        (None: never). `on_held_turn`: whether the turn after a held one waits for it or skips it.
        Raises ConfigurationError.
        """
        deadline_s = None if deadline is None else seconds(deadline)
        if deadline_s is not None and not 0 < deadline_s <= deadline_max_s:
            raise ConfigurationError(
                f"deadline is {deadline_s:g} s: it must be more than 0 and at most {deadline_max_s / 86400:g} days"
            )
        options = Options(
            check_name("pool", pool) if pool else "",
            deadline_s,
            budget or Budget(),
            0.0 if session_ttl is None else seconds(session_ttl),
            on_held_turn,
        )

        def register(inner: Callable[..., Awaitable[Any]]) -> Agent[..., Any]:
            if not inspect.iscoroutinefunction(inner):
                raise ConfigurationError(f"agent {name_of(inner)} is not an async function: write `async def`")
            agent: Agent[..., Any] = Agent(check_name("agent", name or name_of(inner)), inner, options)
            agent.app = self
            if agent.name in self.agents:
                raise ConfigurationError(f"agent {agent.name} is defined twice in app {self.name}: rename one")
            self.agents[agent.name] = agent
            return agent

        return register if function is None else register(function)

    def tool(
        self,
        *,
        effect: Effect,
        name: str | None = None,
        timeout: Duration | None = None,
        retry: Retry | int | None = None,
        settle: Duration | None = None,
    ) -> ToolDecorator:
        """Register a tool: a function, sync (runs in a thread) or async, that is a recorded step inside a run.

        `effect` is never assumed: 'pure' (changes nothing), 'idempotent' (the receiver dedupes on ``ctx.key``) or
        'once' (must not be repeated: its intent is recorded first). `timeout` of one attempt, default 5 minutes.
        `retry`: attempts in all, default 3, or a Retry. `settle`: how long after its intent a `once` call may still
        take effect, for when its executor cannot be seen to be dead. A first parameter annotated `Context`
        receives the Context, and one named ``ctx`` whose annotation does not say (none, ``Any``).
        Raises ConfigurationError.
        """

        def register(function: Callable[..., Any]) -> Tool[Any, Any]:
            made = make_tool(function, effect, name, timeout, retry, settle)
            if made.__name__ in self.tools:
                raise ConfigurationError(f"tool {made.__name__} is defined twice in app {self.name}: rename one")
            self.tools[made.__name__] = made
            return made

        return cast(ToolDecorator, register)

    def error(self, kind: type[Exception]) -> type[Exception]:
        """Decorator: an exception that steps may raise and that agent code catches by class, live as in replay.

        Its ``args`` must have a JSON form and ``kind(*args)`` must rebuild it. Others arrive as `StepFailed`.
        """
        self.errors[type_name(kind)] = kind
        return kind

    @contextlib.asynccontextmanager
    async def open(self) -> AsyncGenerator[D]:
        """Open the dependencies for as long as the block runs."""
        if self._lifespan is None:
            yield cast(D, None)
            return
        made: Any = self._lifespan
        if inspect.isasyncgenfunction(made):
            made = contextlib.asynccontextmanager(made)
        opened = made()
        if inspect.isawaitable(opened):
            opened = await opened
        if hasattr(opened, "__aenter__"):
            async with opened as deps:
                yield deps
        else:
            yield opened
