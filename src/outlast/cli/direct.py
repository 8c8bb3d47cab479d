"""Access to a project where nothing runs: this process opens the journal itself, through `agent/control.py`."""

from __future__ import annotations

import asyncio
from collections.abc import Coroutine, Iterator
from contextlib import AsyncExitStack
from pathlib import Path
from typing import Any, Literal, TypeVar, cast

import msgspec

from outlast.agent.app import App
from outlast.agent.control import Control
from outlast.agent.platform import Platform
from outlast.blueprint.load import load
from outlast.bootstrap.app import configure_app, load_app
from outlast.bootstrap.platform import open_direct_platform
from outlast.bootstrap.reading import open_reading_platform
from outlast.journal.index import Behind

T = TypeVar("T")
_page = 1000


class Direct:
    """Implements `cli.access.Access`. `write` False only reads, also beside a process that holds the directory."""

    def __init__(self, home: Path, *, write: bool) -> None:
        self.waits = True
        self._home = home
        self._blueprint = load(home)
        self._stack = AsyncExitStack()
        self._runner = asyncio.Runner()
        try:
            opening = open_direct_platform if write else open_reading_platform
            self._platform = self._run(self._enter(opening(home, self._blueprint)))
        except BaseException:
            self._runner.close()
            raise
        self._control = Control(self._platform)

    def close(self) -> None:
        """Let go of the journal."""
        try:
            self._run(self._stack.aclose())
        finally:
            self._runner.close()

    def start(self, agent: str, given: Any, key: str | None, session: str | None) -> Any:
        control = Control(self._platform, self._app())
        started = self._run(control.start(agent, given, key=key, session=session))
        return {"run": started.run, "agent": agent, "created": started.created}

    def runs(self, state: str | None, agent: str | None, session: str | None, limit: int) -> dict[str, Any]:
        index = self._platform.index
        found = self._run(index.list(state=state, agent=agent, session=session, limit=limit))
        page = {"runs": _plain(list(found))}
        return {**page, "behind_s": found.behind_s} if isinstance(found, Behind) else page

    def view(self, run: str) -> Any:
        return _plain(self._run(self._control.view(run)))

    def events(self, run: str, after: int = 0) -> Iterator[Any]:
        while events := self._run(self._control.events(run, after, _page)):
            yield from _plain(events)
            after = events[-1].seq

    def signal(self, run: str, name: str, payload: Any, id: str | None) -> None:
        self._run(self._control.signal(run, name, payload, id=id))

    def cancel(self, run: str, reason: str) -> None:
        self._run(self._control.cancel(run, reason))

    def resolve(self, run: str, step: str, how: str, value: Any, message: str) -> None:
        decided = cast(Literal["done", "retry", "fail"], how)
        self._run(self._control.resolve(run, step, decided, value, message))

    def redrive(self, run: str) -> None:
        self._run(self._control.redrive(run))

    def stop_agent(self, agent: str, reason: str) -> None:
        self._run(Control(self._platform, self._app()).stop_agent(agent, reason))

    def resume_agent(self, agent: str) -> None:
        self._run(Control(self._platform, self._app()).resume_agent(agent))

    def session(self, session: str) -> Any:
        return _plain(self._run(Control(self._platform, self._app()).session(session)))

    def _app(self) -> App[Any]:
        return configure_app(load_app(self._blueprint.app, self._home), self._blueprint)

    def _run(self, work: Coroutine[Any, Any, T]) -> T:
        return self._runner.run(work)

    async def _enter(self, opening: Any) -> Platform:
        return await self._stack.enter_async_context(opening)


def _plain(value: Any) -> Any:
    return msgspec.to_builtins(value)
