"""What an agent function holds: its run. Everything it does to the world goes through here or through its tools."""

from __future__ import annotations

import uuid as _uuid
from collections.abc import Awaitable, Callable, Iterable, Sequence
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any, Generic, NoReturn, Protocol, TypeVar, cast, overload

from outlast.agent.app import Agent
from outlast.agent.context import D
from outlast.agent.session import Session
from outlast.agent.step import (
    Effect,
    Engine,
    Frame,
    Step,
    StepCall,
    current_frame,
    hints_of,
    is_async,
    name_of,
    takes_context,
)
from outlast.kernel.error import ConfigurationError, ScopeError, UsageError
from outlast.kernel.identity import check_name
from outlast.kernel.randomness import derived
from outlast.kernel.unit import Duration, seconds
from outlast.model.answer import Answer
from outlast.model.endpoint import Message
from outlast.policy.retry import Retry

if TYPE_CHECKING:
    from random import Random  # noqa: TID251 # only the type of what `derived` returns

T = TypeVar("T")
A = TypeVar("A")
B = TypeVar("B")
C = TypeVar("C")
Default = TypeVar("Default")

_missing: Any = object()


class ContinueAsNew(BaseException):
    """Leaves the agent function; the engine ends this run and starts the next. Not for users to catch."""

    def __init__(self, arguments: tuple[Any, ...], keywords: dict[str, Any]) -> None:
        super().__init__()
        self.arguments = arguments
        self.keywords = keywords


class RunEngine(Engine, Protocol):
    """What a Run needs of the engine besides performing steps."""

    @property
    def run_id(self) -> str: ...

    @property
    def deadline_at(self) -> float: ...

    @property
    def replaying(self) -> bool: ...

    def ask_model(
        self, name: str, prompt: str | Sequence[Message], kind: Any, system: str | None, max_tokens: int | None,
        temperature: float | None,
    ) -> Callable[..., Awaitable[Answer[Any]]]: ...  # fmt: skip

    def version(self, frame: Frame, name: str, version: int) -> int: ...

    async def gather(
        self, frame: Frame, branches: Sequence[Callable[[], Awaitable[Any]]], limit: int | None
    ) -> list[Any]: ...


class Run(Generic[D]):
    """The first parameter of an agent function.

    Awaiting a step returns only after its result is durable. Steps are found again by where they are called, so agent
    code must call them in the same order each time: take time, chance and input from here, not from Python's modules.
    """

    def __init__(self, engine: RunEngine, deps: D, session: Session | None) -> None:
        self._engine = engine
        self._session = session
        self.deps = deps
        """What the app's lifespan yielded in this worker."""

    @property
    def id(self) -> str:
        """The run's identifier."""
        return self._engine.run_id

    @property
    def deadline(self) -> datetime:
        """When the run must have ended (UTC)."""
        return datetime.fromtimestamp(self._engine.deadline_at, UTC)

    @property
    def session(self) -> Session:
        """The conversation that this run is a turn of; raises UsageError outside one."""
        if self._session is None:
            raise UsageError(f"run {self.id} is not part of a session: start it with a session to use run.session")
        return self._session

    @property
    def replaying(self) -> bool:
        """Whether recorded results are being given again. Don't decide by it; it is for logs and metrics."""
        return self._engine.replaying

    # -- steps -------------------------------------------------------------------------------------------------------

    @overload
    def step(
        self, function: Callable[..., Awaitable[T]], *args: Any, effect: Effect, name: str | None = None,
        timeout: Duration | None = None, retry: Retry | int | None = None,
    ) -> Awaitable[T]: ...  # fmt: skip
    @overload
    def step(
        self, function: Callable[..., T], *args: Any, effect: Effect, name: str | None = None,
        timeout: Duration | None = None, retry: Retry | int | None = None,
    ) -> Awaitable[T]: ...  # fmt: skip
    def step(
        self, function: Callable[..., Any], *args: Any, effect: Effect, name: str | None = None,
        timeout: Duration | None = None, retry: Retry | int | None = None,
    ) -> Awaitable[Any]:  # fmt: skip
        """Call an undecorated function as a step, sync (in a thread) or async; keyword arguments by functools.partial.

        `effect` as for `App.tool`; 'once' needs a decorated tool, which can have a verify. Other parameters as there.
        """
        if effect not in ("pure", "idempotent"):
            raise ConfigurationError(
                f"run.step takes effect 'pure' or 'idempotent', {effect!r} was given: make it a tool"
            )
        step = Step(
            name=check_name("step", name) if name else name_of(function),
            kind="step",
            effect=effect,
            function=function,
            result=hints_of(function).get("return", Any),
            takes_context=takes_context(function),
            is_async=is_async(function),
            timeout_s=None if timeout is None else seconds(timeout),
            retry=None if retry is None else Retry.of(retry, Retry()),
        )
        return StepCall(self._frame(), step, args, {})

    @overload
    def model(
        self, name: str, prompt: str | Sequence[Message], *, system: str | None = None, timeout: Duration = 120.0,
        retry: Retry | int | None = None, max_tokens: int | None = None, temperature: float | None = None,
    ) -> Awaitable[Answer[str]]: ...  # fmt: skip
    @overload
    def model(
        self, name: str, prompt: str | Sequence[Message], *, output: type[T], system: str | None = None,
        timeout: Duration = 120.0, retry: Retry | int | None = None, max_tokens: int | None = None,
        temperature: float | None = None,
    ) -> Awaitable[Answer[T]]: ...  # fmt: skip
    def model(
        self, name: str, prompt: str | Sequence[Message], *, output: Any = str, system: str | None = None,
        timeout: Duration = 120.0, retry: Retry | int | None = None, max_tokens: int | None = None,
        temperature: float | None = None,
    ) -> Awaitable[Answer[Any]]:  # fmt: skip
        """Ask the model that outlast.yaml calls `name`; with `output`, for a value of that type.

        `timeout` of one attempt; an answer that does not fit `output` is shown to the model once, with what was wrong.
        Raises EndpointError and its kin, OutputInvalid among them, when attempts are used up.
        """
        ask = self._engine.ask_model(name, prompt, output, system, max_tokens, temperature)
        step = Step(
            name=f"model:{name}", kind="model", effect="idempotent", function=ask, result=Answer[output],
            takes_context=True, timeout_s=seconds(timeout), retry=None if retry is None else Retry.of(retry, Retry()),
        )  # fmt: skip
        shown = prompt if isinstance(prompt, str) else [(message.role, message.content) for message in prompt]
        return StepCall(self._frame(), step, (), {"prompt": shown, "system": system})

    def child(self, agent: Agent[..., T], *args: Any, **kwargs: Any) -> Awaitable[T]:
        """Run another agent as a run of its own and wait for its result; the same as calling the agent here.

        It inherits the deadline, and is cancelled with this run. Its failure is raised here.
        """
        return StepCall(self._frame(), agent.signature.child_step(agent.name), (agent, args, kwargs), {})

    # -- waiting -----------------------------------------------------------------------------------------------------

    def sleep(self, duration: Duration) -> Awaitable[None]:
        """Wait, for seconds or for months: a timer that survives restarts and needs no worker meanwhile."""
        step = Step(name="sleep", kind="sleep", effect="pure", function=_special)
        return StepCall(self._frame(), step, (seconds(duration),), {})

    @overload
    def signal(self, name: str, *, timeout: Duration | None = None) -> Awaitable[Any]: ...
    @overload
    def signal(self, name: str, type: type[T], *, timeout: Duration | None = None) -> Awaitable[T]: ...
    @overload
    def signal(self, name: str, type: type[T], *, timeout: Duration, default: Default) -> Awaitable[T | Default]: ...
    @overload
    def signal(self, name: str, *, timeout: Duration, default: Any) -> Awaitable[Any]: ...
    def signal(
        self, name: str, type: Any = Any, *, timeout: Duration | None = None, default: Any = _missing
    ) -> Awaitable[Any]:
        """The next signal of that name, as `type`. Each is consumed once, in the order in which they came.

        After `timeout` it is `default`, or StepTimeout is raised; one recorded event decides between the two.
        """
        check_name("signal", name)
        step = Step(name=f"signal:{name}", kind="signal", effect="pure", function=_special, result=type)
        keywords: dict[str, Any] = {"timeout_s": None if timeout is None else seconds(timeout)}
        if default is not _missing:
            keywords["default"] = default
        return StepCall(self._frame(), step, (name,), keywords)

    # -- branches ----------------------------------------------------------------------------------------------------

    @overload
    async def gather(self, a: Awaitable[A], b: Awaitable[B], /) -> tuple[A, B]: ...
    @overload
    async def gather(self, a: Awaitable[A], b: Awaitable[B], c: Awaitable[C], /) -> tuple[A, B, C]: ...
    @overload
    async def gather(self, *branches: Awaitable[T]) -> tuple[T, ...]: ...
    async def gather(self, *branches: Awaitable[Any]) -> tuple[Any, ...]:
        """Await several things at once, each in a scope of its own, and wait for all of them.

        Results in the order given; if some fail, the first error in that order is raised, after all have ended.
        """
        return tuple(await self._engine.gather(self._frame(), [_giving(branch) for branch in branches], None))

    async def map(
        self, function: Callable[[A], Awaitable[T]], items: Iterable[A], *, limit: int | None = None
    ) -> list[T]:
        """`function(item)` for each item, at most `limit` at a time; results and errors as for `gather`."""
        if limit is not None and limit < 1:
            raise UsageError(f"run.map limit is {limit}: at least one branch must be allowed to run")
        branches = [cast("Callable[[], Awaitable[Any]]", _calling(function, item)) for item in items]
        return await self._engine.gather(self._frame(), branches, limit)

    # -- time, chance, change ----------------------------------------------------------------------------------------

    def now(self) -> datetime:
        """The time (UTC) of the last recorded step seen here: the same live and in replay, and it costs no write."""
        return datetime.fromtimestamp(self._frame().scope.now, UTC)

    def random(self) -> Random:
        """A generator of its own for this place in the run: the same numbers live and in replay."""
        return derived("random", self.id, self._frame().scope.next_place("run.random"))

    def uuid(self) -> _uuid.UUID:
        """A UUID (version 4 in form) that belongs to this place in the run: the same live and in replay."""
        bits = derived("uuid", self.id, self._frame().scope.next_place("run.uuid")).getrandbits(128)
        return _uuid.UUID(int=bits, version=4)

    def version(self, name: str, latest: int = 1) -> int:
        """Guard a change of this code: `latest` for runs that come here first now, 0 for runs that came here before.

        ``if run.version("fraud-check"): await check(...)``. Raise `latest` for the next change of the same place.
        """
        return self._engine.version(self._frame(), name, latest)

    def continue_as_new(self, *args: Any, **kwargs: Any) -> NoReturn:
        """End this run and start its successor with these arguments and an empty history. For agents that never end."""
        if self._session is not None:
            raise UsageError("run.continue_as_new is not for turns of a session: a turn ends, the session goes on")
        raise ContinueAsNew(args, kwargs)

    def _frame(self) -> Frame:
        frame = current_frame.get()
        if frame is None or frame.engine is not self._engine:
            raise ScopeError(
                f"run {self.id} was used outside its agent's code, for instance in a tool, a thread or another run: "
                "steps are only called by the agent function and its branches"
            )
        return frame


def _special() -> None:
    return None


def _giving(branch: Awaitable[T]) -> Callable[[], Awaitable[T]]:
    def give() -> Awaitable[T]:
        return branch

    return give


def _calling(function: Callable[[A], Awaitable[T]], item: A) -> Callable[[], Awaitable[T]]:
    def call() -> Awaitable[T]:
        return function(item)

    return call
