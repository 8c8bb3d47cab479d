"""Playing an agent once, in memory and in virtual time."""

from __future__ import annotations

import asyncio
import contextlib
import gc
import sys
import threading
import warnings
from collections.abc import Awaitable, Callable, Generator, Mapping, Sequence
from typing import Any, Generic, TypeVar

from outlast.adapters.scripted.endpoint import Scripted
from outlast.agent.app import Agent
from outlast.agent.control import Control
from outlast.agent.view import EventView, StepView
from outlast.kernel.codec import decode, encode
from outlast.kernel.randomness import derived
from outlast.model.endpoint import Endpoint
from outlast.simulation.loop import SimLoop
from outlast.testing.stage import Fate, Stage, with_deps

_collections = 3  # cleanup of one may revive another for one time
R = TypeVar("R")
T = TypeVar("T")
Signals = Mapping[str, Any] | Sequence[tuple[str, Any]]
"""Signals that are sent when the run starts, by name; as pairs, if one name comes more than once."""


class _OwnDeps:
    """The app's lifespan opens them."""


OWN_DEPS: Any = _OwnDeps()


class Finished(Generic[R]):
    """A run that has ended, or waits for a person.

    `state` is completed, failed, cancelled, held or quarantined; `reason` says why it is held, `error` (type and
    message) why it failed. `events` and `steps` are what ``outlast show`` shows.
    """

    def __init__(
        self, run: str, state: str, reason: str, error: dict[str, Any] | None, value: R | None,
        events: list[EventView], steps: list[StepView],
    ) -> None:  # fmt: skip
        self.run = run
        self.state = state
        self.reason = reason
        self.error = error
        self.events = events
        self.steps = steps
        self._value = value

    def __repr__(self) -> str:
        return f"<run {self.run} {self.state}: {self.why or self._value!r}>"

    @property
    def why(self) -> str:
        """Why it did not complete; "" if it did."""
        if self.error is not None:
            return f"{self.error['type']}: {self.error['message']}"
        return self.reason

    @property
    def result(self) -> R:
        """What the agent returned, as its annotation says; AssertionError if it did not return."""
        if self.state != "completed":
            raise AssertionError(f"the run is {self.state}, not completed: {self.why}")
        return self._value  # type: ignore[return-value] # decoded to R when it is completed


def run(
    agent: Agent[..., R],
    input: Any = None,
    *,
    model: Endpoint | None = None,
    deps: Any = OWN_DEPS,
    signals: Signals = (),
) -> Finished[R]:
    """Play `agent` to its end: memory instead of a journal on disk, a day's timer in no time.

    `input` is a JSON value: an object gives arguments by name, an array by position, anything else is the first.
    `model` answers for every model name; without one a scripted model answers by rules. `deps` stands in for what the
    app's lifespan yields. Also callable from a running event loop, which it blocks. Raises TypeMismatch for an input
    that does not fit.
    """
    stages: list[Stage] = []
    with forgetting(stages):
        return on_a_loop(lambda loop: play(loop, stages, agent, input, model or Scripted(), deps, signals))


async def play(
    loop: SimLoop, stages: list[Stage], agent: Agent[..., R], input: Any, model: Endpoint, deps: Any, signals: Signals,
    fate: Fate | None = None,
) -> Finished[R]:  # fmt: skip
    """One play; its stage is kept in `stages`, because dropping what a dead worker left would run its cleanup."""
    app = agent.app if isinstance(deps, _OwnDeps) else with_deps(agent.app, deps)
    stage = Stage(loop, app, model, fate)
    stages.append(stage)
    pairs = list(signals.items()) if isinstance(signals, Mapping) else list(signals)
    name = await stage.play(agent.name, input, pairs)
    return await _finished(stage.control, agent, name)


async def _finished(control: Control, agent: Agent[..., R], name: str) -> Finished[R]:
    view = await control.view(name)
    while view.state == "continued":
        view = await control.view(view.continued_to)
    value: R | None = None
    if view.state == "completed":
        value = decode(encode(view.result), agent.signature.result)
    events = await control.events(view.run, limit=100_000)
    return Finished(view.run, view.state, view.reason, view.error, value, events, view.steps)


def on_a_loop(story: Callable[[SimLoop], Awaitable[T]]) -> T:
    """What a story comes to on a loop in virtual time; in a thread of its own if this one's loop is running."""

    def tell() -> T:
        loop = SimLoop(derived("outlast.testing"))

        async def whole() -> T:
            return await story(loop)

        try:
            return loop.run_until_complete(whole())
        finally:
            loop.close()

    try:
        asyncio.get_running_loop()
    except RuntimeError:
        return tell()
    told: list[Callable[[], T]] = []

    def keep() -> None:
        try:
            value = tell()
            told.append(lambda: value)
        except BaseException as error:  # noqa: BLE001 # it is raised where the thread was started
            raised = error
            told.append(lambda: _raise(raised))

    thread = threading.Thread(target=keep, name="outlast-testing")
    thread.start()
    thread.join()
    return told[0]()


def _raise(error: BaseException) -> Any:
    raise error


@contextlib.contextmanager
def forgetting(stages: list[Stage]) -> Generator[None]:
    """Keep what dead workers left until the block ends; then drop it in silence."""
    try:
        yield
    finally:
        crashed = [stage.forget() for stage in stages]
        hook = sys.unraisablehook
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            sys.unraisablehook = _ignore
            try:
                stages.clear()
                for _ in range(_collections if any(crashed) else 0):
                    gc.collect()
            finally:
                sys.unraisablehook = hook


def _ignore(_: object) -> None:
    return None
