"""What stands behind `outlast up`: the cell, its display and the watch on source files, in one event loop."""

from __future__ import annotations

import asyncio
import sys
from contextlib import AsyncExitStack
from pathlib import Path

import msgspec
from rich.live import Live

from outlast.adapters.host.clock import SystemClock
from outlast.blueprint.described import only_described
from outlast.blueprint.load import blueprint_file, load, load_file, name_of
from outlast.blueprint.schema import Blueprint
from outlast.bootstrap.cell import Cell, CellOptions, run_cell
from outlast.cell import event as news
from outlast.cli.board import document_of, line_of, table_of
from outlast.cli.output import console, json_text, logged_if_it_can_be, note
from outlast.cli.source import snapshot

display_every_s = 0.25
look_every_s = 0.5


def run_up(home: Path, file: Path | None, *, reload: bool, port: int | None, workers: int | None, json: bool) -> None:
    """Run a cell in the foreground until it is told to stop; raises what `Cell.run` raises.

    `file`: the blueprint, if it is not that of the project directory.
    """
    found = load(home) if file is None else load_file(file, name_of(home))[0]
    described = only_described(found)
    if described:
        note(f"not started here, only described: {', '.join(described)}")
    blueprint = _chosen(found, port, workers)
    asyncio.run(_Stage(home, blueprint, file, json=json).run(reload=reload))


def _chosen(blueprint: Blueprint, port: int | None, workers: int | None) -> Blueprint:
    if port is not None:
        listen = msgspec.structs.replace(blueprint.server.listen, port=port)
        blueprint = msgspec.structs.replace(blueprint, server=msgspec.structs.replace(blueprint.server, listen=listen))
    if workers is not None:
        blueprint = msgspec.structs.replace(blueprint, workers=msgspec.structs.replace(blueprint.workers, min=workers))
    return blueprint


class _Stage:
    def __init__(self, home: Path, blueprint: Blueprint, file: Path | None, *, json: bool) -> None:
        self._home = home
        self._blueprint = blueprint
        self._options = CellOptions(file=None if file is None else str(file.resolve()))
        self._json = json
        self._clock = SystemClock()
        self._screen = console()
        self._live = self._screen.is_terminal and not json
        self._where = ""
        self._failed = False

    async def run(self, *, reload: bool) -> None:
        async with AsyncExitStack() as stack:
            helpers: list[asyncio.Task[None]] = []

            def started(cell: Cell) -> None:
                if self._live:
                    live = Live(console=self._screen, auto_refresh=False, transient=True)
                    stack.enter_context(live)
                    helpers.append(asyncio.create_task(self._display(cell, live)))
                if reload:
                    helpers.append(asyncio.create_task(self._watch(cell)))

            try:
                await run_cell(self._home, self._blueprint, self._options, self._happened, started=started)
            finally:
                for helper in helpers:
                    helper.cancel()
                await asyncio.gather(*helpers, return_exceptions=True)

    def _happened(self, event: news.CellEvent) -> None:
        if isinstance(event, news.ChildReady) and event.kind == "server":
            self._where = event.address if "://" in event.address else f"http://{event.address}"
        with logged_if_it_can_be():
            self._say(event)

    def _say(self, event: news.CellEvent) -> None:
        if self._json:
            print(json_text(document_of(event, self._clock.now())), flush=True)
            return
        self._failed = self._failed or isinstance(event, news.CellFailed)
        line = line_of(event)
        if line is not None and not self._failed:  # what follows a failure is said once, as the command's error
            self._screen.print(line, soft_wrap=True)
            sys.stdout.flush()

    async def _display(self, cell: Cell, live: Live) -> None:
        while True:
            table = table_of(cell.view(), self._where, self._blueprint.name, self._clock.monotonic())
            live.update(table, refresh=True)
            await self._clock.sleep(display_every_s)

    async def _watch(self, cell: Cell) -> None:
        """Reload when source files changed; the blueprint is read once, so a change of it is only said."""
        before = await asyncio.to_thread(snapshot, self._home)
        while True:
            await self._clock.sleep(look_every_s)
            now = await asyncio.to_thread(snapshot, self._home)
            changed = sorted(name for name in before.keys() | now.keys() if before.get(name) != now.get(name))
            before = now
            if blueprint_file in changed:
                note(f"{blueprint_file} changed: start `outlast up` again for it")
                changed.remove(blueprint_file)
            if changed:
                more = f" and {len(changed) - 1} more" if len(changed) > 1 else ""
                note(f"{changed[0]}{more} changed: workers start anew")
                cell.reload()
