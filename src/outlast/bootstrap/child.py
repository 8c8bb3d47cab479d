"""What the processes of a cell do: the writer, the server, the gateway, the keeper, a worker. Started by the supervisor
only.
"""

from __future__ import annotations

import asyncio
import contextlib
import faulthandler
import functools
import logging
import os
import signal
import traceback
from collections.abc import Awaitable, Callable, Sequence
from pathlib import Path
from typing import Any

from outlast.adapters.host.alive import AliveFile
from outlast.adapters.host.clock import SystemClock
from outlast.adapters.host.control import ControlLink
from outlast.adapters.host.crash import crash_points
from outlast.adapters.host.randomness import OsRandomness
from outlast.blueprint.schema import Blueprint
from outlast.bootstrap.home import StateDirectory
from outlast.bootstrap.vault import vault
from outlast.cell.bound import Bounds
from outlast.cell.child import Beat, Drain, Failed, Log, Ready, Ring, ToChild, beat_every_s
from outlast.kernel.error import OutlastError, StoreCorrupt, UsageError

exit_failed = 1
exit_useless = 78
"""EX_CONFIG of sysexits.h: it cannot start before somebody changes something."""
_oom_score = "500"


def main(arguments: Sequence[str]) -> int:
    """``KIND HOME ID [POOL [RUN]]``: be that child until told to stop. Returns the exit code.

    A worker takes what it is rung for, and the messages of its pool's queues, unless it was started for one RUN.
    """
    kind, home, child = arguments[:3]
    faulthandler.enable()
    link = ControlLink.from_environment(os.environ)
    link.forget(os.environ)
    link.watch()
    state = StateDirectory(Path(home))
    try:
        alive = AliveFile(state.alive(kind), child, SystemClock())
        try:
            left = state.read_cell()
            blueprint = left.blueprint
            if kind == "writer":
                _be_writer(state, blueprint, link)
            elif kind == "gateway":
                _run(_be_gateway(state, left.file, link))
            elif kind == "server":
                _run(_be_server(state, blueprint, link))
            elif kind == "keeper":
                _run(_be_keeper(state, blueprint, link))
            else:
                with contextlib.suppress(OSError):  # when memory runs out, workers go before the writer
                    Path("/proc/self/oom_score_adj").write_text(_oom_score)
                _run(_be_worker(state, blueprint, link, child, arguments[3] if len(arguments) == 4 else ""))
        finally:
            alive.close()
    except (UsageError, StoreCorrupt) as error:
        link.say(Failed(error.code, str(error)))
        return exit_useless
    except OutlastError as error:
        link.say(Log("error", str(error)))
        return exit_failed
    except Exception as error:  # noqa: BLE001 (outermost: what the app's lifespan raises is told, and kept in the log)
        traceback.print_exc()
        link.say(Log("error", f"{type(error).__name__}: {error}"))
        return exit_failed
    return 0


def _run(doing: Any) -> None:
    import uvloop

    with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
        runner.run(doing)


def _be_writer(state: StateDirectory, blueprint: Blueprint, link: ControlLink) -> None:
    from outlast.adapters.sqlite.writer import serve

    serve(
        state.journal,
        state.socket,
        clock=SystemClock(),
        randomness=OsRandomness(),
        control=link,
        points=crash_points(os.environ),
        durability=blueprint.run_on.local.durability,
    )


class _Orders:
    """The supervisor's words, and SIGTERM, as an asyncio process hears them."""

    def __init__(self, link: ControlLink, hear: Callable[[ToChild], None]) -> None:
        self._link = link
        self._hear = hear
        self.drain_within_s = 0.0
        self.drained = asyncio.Event()
        loop = asyncio.get_running_loop()
        loop.add_reader(link.fileno(), self._readable)
        loop.add_signal_handler(signal.SIGTERM, self._drain, Bounds().drain_s)
        loop.add_signal_handler(signal.SIGINT, lambda: None)  # Ctrl-C is for the supervisor

    def _readable(self) -> None:
        for word in self._link.read():
            if isinstance(word, Drain):
                self._drain(word.within_s)
            else:
                self._hear(word)

    def _drain(self, within_s: float) -> None:
        self.drain_within_s = within_s
        self.drained.set()


async def _be_server(state: StateDirectory, blueprint: Blueprint, link: ControlLink) -> None:
    from outlast.agent.control import Control
    from outlast.agent.loss import keep_telling
    from outlast.bootstrap.app import configure_app, load_app
    from outlast.bootstrap.platform import open_client_platform
    from outlast.server.serve import serve

    app = configure_app(load_app(blueprint.app, state.home), blueprint)
    secret = blueprint.server.token
    warn = functools.partial(_warn, link)
    beats = 0

    def beat(requests: int) -> None:
        nonlocal beats
        beats += 1
        link.say(Beat(beats, requests))

    async with open_client_platform(state.home, blueprint, complain=warn) as platform:
        orders = _Orders(link, lambda word: None)
        telling = asyncio.create_task(keep_telling(platform, warn))
        try:
            await serve(
                Control(platform, app),
                app,
                listen=blueprint.server.listen,
                token=secret.resolve(os.environ, state.home, vault(blueprint)) if secret is not None else None,
                stop=orders.drained,
                ready=lambda address: link.say(Ready(address=address)),
                beat=beat,
            )
        finally:
            telling.cancel()


def _warn(link: ControlLink, line: str) -> None:
    """Into this process's own log, and to who watches the cell."""
    logging.getLogger("outlast").warning("%s", line)
    link.say(Log("warning", line))


async def _be_gateway(state: StateDirectory, file: str | None, link: ControlLink) -> None:
    """Reads the blueprint itself, `file` or outlast.yaml: it may be told to read it again."""
    from outlast.blueprint.load import load, load_file
    from outlast.bootstrap.gateway import Assembly, plan_of, run_gateway

    beats = 0

    def beat(requests: int) -> None:
        nonlocal beats
        beats += 1
        link.say(Beat(beats, requests))

    def assembled(assembly: Assembly) -> None:
        def readable() -> None:
            if any(isinstance(word, Drain) for word in link.read()):
                assembly.stop.set()

        loop = asyncio.get_running_loop()
        loop.add_reader(link.fileno(), readable)
        loop.add_signal_handler(signal.SIGINT, lambda: None)  # Ctrl-C is for the supervisor

    await run_gateway(
        lambda: plan_of(load(state.home) if file is None else load_file(Path(file))[0]),
        state.home,
        ready=lambda address: link.say(Ready(address=address)),
        note=lambda line: link.say(Log("warning", line)),
        beat=beat,
        assembled=assembled,
    )


async def _be_keeper(state: StateDirectory, blueprint: Blueprint, link: ControlLink) -> None:
    from outlast.bootstrap.keeper import keep

    orders = _Orders(link, lambda word: None)
    beating = asyncio.create_task(_beat(link, lambda: 0, SystemClock().sleep))
    try:
        await keep(
            state.home, blueprint, lambda level, line: link.say(Log(level, line)), lambda: link.say(Ready()),
            orders.drained,
        )  # fmt: skip
    finally:
        beating.cancel()


async def _be_worker(state: StateDirectory, blueprint: Blueprint, link: ControlLink, child: str, pool: str) -> None:
    from outlast.agent.control import Control
    from outlast.agent.mute import install
    from outlast.agent.stack import log_to_stderr
    from outlast.bootstrap.app import configure_app, load_app, pools_of
    from outlast.bootstrap.platform import open_client_platform
    from outlast.bootstrap.queue import read_queues
    from outlast.cell.worker import Worker

    app = configure_app(load_app(blueprint.app, state.home), blueprint)
    warn = functools.partial(_warn, link)
    async with open_client_platform(state.home, blueprint, complain=warn) as platform:
        worker = Worker(app, platform, child, report=lambda line: link.say(Log("warning", line)))
        async with worker:
            # after the app's own code has set up its logging
            if blueprint.stores.journal.encrypt is None:  # what an error says may be what is sealed
                log_to_stderr()
            install()
            orders = _Orders(link, lambda word: _ring(worker.offer, word))
            link.say(Ready(pools=pools_of(app)))
            beating = asyncio.create_task(_beat(link, lambda: worker.runs, platform.clock.sleep))
            reading = asyncio.create_task(read_queues(Control(platform, app), blueprint, pool, warn))
            try:
                await orders.drained.wait()
                reading.cancel()
                await worker.drain(orders.drain_within_s)
            finally:
                reading.cancel()
                beating.cancel()


def _ring(offer: Callable[[str, bool], object], word: ToChild) -> None:
    if isinstance(word, Ring):
        offer(word.run, word.solo)


async def _beat(link: ControlLink, runs: Callable[[], int], sleep: Callable[[float], Awaitable[None]]) -> None:
    """From the loop that runs the agents: one that blocks it is seen."""
    beats = 0
    while True:
        beats += 1
        link.say(Beat(beats, runs()))
        await sleep(beat_every_s)
