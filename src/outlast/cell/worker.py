"""A worker: takes runs when the doorbell rings, runs many at a time, lets go of them when it is told to stop."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import Callable, Iterable, Sequence
from typing import Any

from outlast.agent.app import App
from outlast.agent.attempt import Threads
from outlast.agent.execution import Execution
from outlast.agent.loss import keep_telling
from outlast.agent.platform import Platform
from outlast.agent.switch import read_stopped
from outlast.cell.claim import claim
from outlast.cell.sweep import Sweep
from outlast.journal.stream import Notice
from outlast.kernel.error import OutlastError

_refresh_stopped_s = 1.0
_strays_s = 2.0


def _silent(line: str) -> None:
    return None


async def _finish(tasks: Iterable[asyncio.Task[None]], timeout_s: float) -> None:
    """Wait for `tasks`, cancel those that have not ended by then, and wait for that."""
    open_tasks = [task for task in tasks if not task.done()]
    if open_tasks:
        _, late = await asyncio.wait(open_tasks, timeout=timeout_s)
        for task in late:
            task.cancel()
        if late:
            await asyncio.wait(late, timeout=1.0)


class Worker:
    """Runs one app's agents. `identity` is unique for each process that ever was.

    ``async with worker:`` opens the app's dependencies; `offer` hands in runs; leaving the block lets go of all.
    """

    def __init__(
        self, app: App[Any], platform: Platform, identity: str, *, runs_max: int = 1000,
        report: Callable[[str], None] = _silent, threads: Threads | None = None,
    ) -> None:  # fmt: skip
        self.identity = platform.losses.worker = identity
        self._app = app
        self._platform = platform
        self._runs_max = runs_max
        self._threads = threads or Threads(platform.settings.threads_max)
        self._executions: dict[str, Execution] = {}
        self._tasks: dict[str, asyncio.Task[None]] = {}
        self._again: set[str] = set()
        self._stopped_agents: dict[str, str] = {}
        self._report = report
        self._draining = False
        self._deps: Any = None
        self._open = contextlib.AsyncExitStack()
        self._background: set[asyncio.Task[None]] = set()
        self._refresh_soon = asyncio.Event()
        self._strays: set[str] = set()

    @property
    def runs(self) -> int:
        """How many runs it holds now."""
        return len(self._tasks)

    @property
    def draining(self) -> bool:
        return self._draining

    async def __aenter__(self) -> Worker:
        self._deps = await self._open.enter_async_context(self._app.open())
        await self._refresh_stopped()
        self._open.callback(self._platform.store.listen(self._heard, steps=False))
        upkeep_of = (
            self._keep_refreshing(),
            Sweep(self._platform, self._report).run(),
            keep_telling(self._platform, self._report),
        )
        for upkeep in upkeep_of:
            self._open.callback(asyncio.get_running_loop().create_task(upkeep).cancel)
        return self

    async def __aexit__(self, *exc: object) -> None:
        self._draining = True
        for execution in list(self._executions.values()):
            execution.release()
        await _finish(self._tasks.values(), self._platform.settings.unwind_s * 4)
        await _finish(self._background, 0.0)
        self._threads.close()
        await self._open.aclose()

    def offer(self, run: str, solo: bool = False) -> bool:
        """A hint that there is something to do for `run`; any number of times. False: no room, or draining."""
        execution = self._executions.get(run)
        if execution is not None or run in self._tasks:
            self._again.add(run)
            if execution is not None:
                self._start_mail(run, execution)
            return True
        if self._draining or len(self._tasks) >= self._runs_max:
            return False
        self._tasks[run] = asyncio.get_running_loop().create_task(self._take(run, solo))
        return True

    async def drain(self, timeout_s: float) -> bool:
        """Take and begin nothing new; wait for steps that must not be repeated, then let go.

        True if all runs were let go within the time.
        """
        self._draining = True
        clock = self._platform.clock
        give_up_at = clock.monotonic() + timeout_s
        while self._tasks and clock.monotonic() < give_up_at:
            for execution in list(self._executions.values()):
                execution.leave()
            await clock.sleep(0.02)
        return not self._tasks

    # -- one run -----------------------------------------------------------------------------------------------------

    async def _take(self, run: str, solo: bool) -> None:
        try:
            await self._hold(run, solo)
        except OutlastError as error:
            self._report(f"run {run}: {error}")
        except Exception as error:  # noqa: BLE001 # the outermost loop: one run's trouble must not be another's
            self._report(f"run {run}: {type(error).__name__}: {error}")
        finally:
            self._executions.pop(run, None)
            self._tasks.pop(run, None)
            if run in self._again and not self._draining:
                self._again.discard(run)
                self._look_again(run)

    async def _hold(self, run: str, solo: bool) -> None:
        claimed = await claim(self._platform, run, self.identity, solo, self._app.agents)
        if claimed is None:
            return
        created = claimed.history.created
        assert created is not None
        agent = self._app.agents[created.agent]
        execution = Execution(
            self._app, agent, self._platform, run, claimed.stream, self.identity, claimed.history, claimed.head,
            claimed.token, self._deps, self._threads, self._stopped_agents,
        )  # fmt: skip
        self._executions[run] = execution
        self._again.discard(run)
        await execution.run()

    def _look_again(self, run: str) -> None:
        """It was offered while it was being let go: only the index says cheaply whether something is to be done."""

        async def look() -> None:
            try:
                entry = await self._platform.index.entry(run)
            except OutlastError as error:
                self._report(f"run {run}: the index cannot be read: {error}")
                return
            if entry is not None and entry.due(self._platform.clock.now()):
                self.offer(run)

        task = asyncio.get_running_loop().create_task(look())
        self._background.add(task)
        task.add_done_callback(self._background.discard)

    def _start_mail(self, run: str, execution: Execution) -> None:
        task = asyncio.get_running_loop().create_task(self._deliver(run, execution))
        self._background.add(task)
        task.add_done_callback(self._background.discard)

    async def _deliver(self, run: str, execution: Execution) -> None:
        try:
            await execution.mail()
        except OutlastError as error:
            self._report(f"run {run}: its inbox cannot be read: {error}")

    # -- the kill switch ---------------------------------------------------------------------------------------------

    def _heard(self, notices: Sequence[Notice]) -> None:
        for notice in notices:
            if notice.stream.startswith("agent/"):
                self._refresh_soon.set()
            elif notice.stream.startswith("inbox/"):
                run = notice.stream[6 : notice.stream.index("@")]
                execution = self._executions.get(run)
                if execution is not None:
                    self._again.add(run)
                    self._start_mail(run, execution)

    async def _keep_refreshing(self) -> None:
        strays_at = self._platform.clock.monotonic() + _strays_s
        while True:
            with contextlib.suppress(TimeoutError):
                async with asyncio.timeout(_refresh_stopped_s):
                    await self._refresh_soon.wait()
            self._refresh_soon.clear()
            try:
                await self._refresh_stopped()
                if self._platform.clock.monotonic() >= strays_at:
                    strays_at = self._platform.clock.monotonic() + _strays_s
                    await self._take_strays()
            except OutlastError as error:
                self._report(f"the store cannot be read: {error}")

    async def _take_strays(self) -> None:
        """Take again what is said to be owned here and is not: it was let go while the store was away.

        And look for mail of which no notice came: not every store can tell other processes. One read of the index for
        all runs; an inbox is read only if it holds more than its run has looked at.
        """
        owned = await self._platform.index.owned(self.identity)
        for entry in owned:
            execution = self._executions.get(entry.run)
            if execution is not None and entry.mail > execution.seen:
                self._start_mail(entry.run, execution)
        strays = {entry.run for entry in owned} - self._tasks.keys()
        for run in sorted(strays & self._strays):  # seen twice: the first time it may just have ended
            self.offer(run)
        self._strays = strays

    async def _refresh_stopped(self) -> None:
        stopped = await read_stopped(self._platform, self._app.agents)
        self._stopped_agents.clear()
        self._stopped_agents.update(stopped)
