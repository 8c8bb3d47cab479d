"""Takes, tests and tidies backups by the blueprint's schedule, as long as a keeper runs."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Callable, Coroutine, Mapping
from pathlib import Path
from typing import Any, TypeVar

import msgspec

from outlast.adapters.host.clock import SystemClock
from outlast.blueprint.schema import Blueprint
from outlast.bootstrap.backing import back_up, home_place, keep_seconds, wanted
from outlast.bootstrap.depot import open_depot
from outlast.bootstrap.home import StateDirectory, write_whole
from outlast.bootstrap.trial import try_restore
from outlast.cell.chore import Tell
from outlast.kernel.clock import Clock
from outlast.kernel.error import NotFound, OutlastError
from outlast.recover.catalog import Catalog
from outlast.recover.depot import Depot
from outlast.recover.prune import prune
from outlast.recover.schedule import Done, Plan, Task, due
from outlast.recover.trial import last_trial

T = TypeVar("T")

look_every_s = 1.0
"""How often the schedule is looked at."""


class Failure(msgspec.Struct, frozen=True):
    """The last failure of a task at a place that no success followed."""

    place: str
    task: str
    at: float
    why: str


class Failures(msgspec.Struct):
    """``.outlast/backups.json``: what `outlast doctor` shows."""

    failures: list[Failure] = []


def failures_file(home: Path) -> Path:
    """Where failures are left."""
    return StateDirectory(home).path / "backups.json"


def read_failures(home: Path) -> list[Failure]:
    """The failures that stand."""
    try:
        return msgspec.json.decode(failures_file(home).read_bytes(), type=Failures).failures
    except (OSError, msgspec.MsgspecError):
        return []


def places_of(blueprint: Blueprint) -> tuple[Mapping[str, str], list[str]]:
    """By name, where backups are written; and the names of ``copies:`` of which no place is said."""
    said = wanted(blueprint)
    names = [home_place, *said.copies]
    found = {name: said.places[name] for name in names if name in said.places}
    return found, [name for name in names if name not in said.places]


async def done_at(depot: Depot) -> Done:
    """What a depot says was done, and when. Raises StoreUnavailable, StoreCorrupt."""
    catalog = await Catalog.latest(depot)
    trial = await last_trial(depot)
    return Done(
        full_at=max((one.begun_at for one in catalog.backups if one.kind == "full"), default=0.0),
        newest_at=max((one.begun_at for one in catalog.backups), default=0.0),
        tested_at=trial.at if trial is not None else 0.0,
    )


class Safekeeping:
    """One keeper's work. What takes long runs in a thread of its own, so that the keeper's signs of life go on."""

    def __init__(self, home: Path, blueprint: Blueprint, tell: Tell, clock: Clock | None = None) -> None:
        self._home = home
        self._blueprint = blueprint
        self._tell = tell
        self._clock = clock or SystemClock()
        self._plan = Plan.of(wanted(blueprint))
        self._done: dict[str, Done] = {}
        self._failures: dict[tuple[str, str], Failure] = {(one.place, one.task): one for one in read_failures(home)}

    async def run(self) -> None:
        """Until cancelled. Failures are told, kept for `outlast doctor`, and tried again."""
        places, missing = places_of(self._blueprint)
        if missing:
            self._tell(
                "warning", f"backups are not written to {', '.join(missing)}: backup.journal.places does not say where"
            )
        while True:
            for name, place in places.items():
                await self._look(name, place)
            await self._clock.sleep(look_every_s)

    async def _look(self, name: str, place: str) -> None:
        done = self._done.get(name)
        if done is None:
            done = await self._try(name, "look", self._at(place, done_at))
            if done is None:
                await self._clock.sleep(look_every_s)
                return
            self._done[name] = done
        task = due(self._plan, done, self._clock.now())
        if task is None:
            return
        began = self._clock.now()
        said = await self._try(name, task, self._at(place, lambda depot: self._do(task, depot)))
        if said is None:
            done.failed_at[task] = self._clock.now()
            return
        done.failed_at.pop(task, None)
        _note(done, task, began)
        if said:
            self._tell("info", f"{name}: {said}")

    def _at(self, place: str, do: Callable[[Depot], Coroutine[Any, Any, T]]) -> Callable[[], Coroutine[Any, Any, T]]:
        async def there() -> T:
            async with open_depot(place, self._home) as depot:
                return await do(depot)

        return there

    async def _do(self, task: Task, depot: Depot) -> str:
        """One task; a line for people, or nothing. Raises OutlastError."""
        match task:
            case "full" | "increment":
                try:
                    taken = await back_up(self._home, self._blueprint, depot, full=task == "full")
                except NotFound:
                    return ""  # nothing has run yet
                forked = f"; a new series, because the journal is another one: {taken.forked}" if taken.forked else ""
                return f"backup {taken.id} ({taken.kind}, {taken.events} events){forked}" if taken.events else ""
            case "test":
                trial = await try_restore(self._home, self._blueprint, depot)
                if not trial.passed:
                    raise OutlastError(f"backup {trial.backup} cannot be restored: {trial.why}")
                return f"backup {trial.backup} was restored and verified in {trial.took_s:.1f} s"
            case "prune":
                pruned = await prune(depot, SystemClock(), keep_seconds(self._blueprint), dry_run=False)
                return f"{len(pruned.backups)} old backups removed" if pruned.backups else ""

    async def _try(self, name: str, task: str, do: Callable[[], Coroutine[Any, Any, T]]) -> T | None:
        """The result; None after a failure, which is told."""
        try:
            result = await _aside(do)
        except (OutlastError, OSError) as error:
            why = str(error) or type(error).__name__
            before = self._failures.get((name, task))
            self._failures[name, task] = Failure(name, task, self._clock.now(), why)
            self._write()
            if before is None or before.why != why:
                self._tell("warning", f"backup of the journal, {task} at {name}, failed: {why}")
            return None
        if self._failures.pop((name, task), None) is not None:
            self._write()
            self._tell("info", f"backup of the journal, {task} at {name}, succeeds again")
        return result

    def _write(self) -> None:
        write_whole(failures_file(self._home), Failures(list(self._failures.values())))


def _note(done: Done, task: Task, at: float) -> None:
    match task:
        case "full":
            done.full_at = done.newest_at = at
        case "increment":
            done.newest_at = at
            done.full_at = done.full_at or at  # the first one is whole
        case "test":
            done.tested_at = at
        case "prune":
            done.pruned_at = at


async def _aside(do: Callable[[], Coroutine[Any, Any, T]]) -> T:
    """Run it on a loop of its own, in a thread that ends with the process however far it is: backups bear that."""
    loop = asyncio.get_running_loop()
    future: asyncio.Future[T] = loop.create_future()

    def work() -> None:
        try:
            result = asyncio.run(do())
        except BaseException as error:  # noqa: BLE001 (it is raised where it is waited for)
            _tell(loop, future.set_exception, future, error)
        else:
            _tell(loop, future.set_result, future, result)

    threading.Thread(target=work, name="safekeeping", daemon=True).start()
    return await future


def _tell(loop: asyncio.AbstractEventLoop, say: Callable[[Any], None], future: asyncio.Future[Any], what: Any) -> None:
    def now() -> None:
        if not future.done():
            say(what)

    try:
        loop.call_soon_threadsafe(now)
    except RuntimeError:  # the loop has ended: nobody waits any more
        return
