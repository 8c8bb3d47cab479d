from __future__ import annotations

import asyncio
import contextlib
import io
import logging
import sys
from collections.abc import Iterator

from outlast.agent.mute import install, is_muted, muted_while


class Run:
    def __init__(self, *, replaying: bool) -> None:
        self.replaying = replaying


@contextlib.contextmanager
def listening() -> Iterator[io.StringIO]:
    """Standard output and error, and the loggers "mine" (whose handler is its own) and the root's."""
    text = io.StringIO()
    streams = sys.stdout, sys.stderr
    sys.stdout = sys.stderr = text
    mine = logging.getLogger("test_mute.mine")
    mine.propagate = False
    handlers = {logger: logging.StreamHandler(text) for logger in (logging.getLogger(), mine)}
    before = {handler: list(handler.filters) for handler in logging.getLogger().handlers}
    for logger, handler in handlers.items():
        logger.addHandler(handler)
    try:
        yield text
    finally:
        sys.stdout, sys.stderr = streams
        for logger, handler in handlers.items():
            logger.removeHandler(handler)
        for handler, filters in before.items():
            handler.filters = filters


def speak(what: str) -> None:
    sys.stdout.write(f"out {what}\n")
    sys.stderr.write(f"err {what}\n")
    logging.getLogger("anywhere").warning("root %s", what)
    logging.getLogger("test_mute.mine").warning("mine %s", what)


async def test_what_replayed_code_says_is_dropped_and_what_others_say_meanwhile_is_not() -> None:
    with listening() as said:
        install()
        run, gone_live = Run(replaying=True), asyncio.Event()

        async def code() -> None:
            assert is_muted()
            speak("again")
            await asyncio.create_task(asyncio.to_thread(speak, "in a task of it"))
            gone_live.set()
            await asyncio.sleep(0)
            run.replaying = False
            speak("live")

        task = asyncio.ensure_future(muted_while(code(), run))
        await gone_live.wait()
        assert not is_muted()
        speak("of another run")
        await task
        lines = said.getvalue().splitlines()
        for who in ("out", "err", "root", "mine"):
            assert [line for line in lines if line.startswith(who)] == [f"{who} of another run", f"{who} live"]


async def test_installing_again_changes_nothing() -> None:
    with listening():
        install()
        stdout, filters = sys.stdout, [list(handler.filters) for handler in logging.getLogger().handlers]
        install()
        assert sys.stdout is stdout
        assert [list(handler.filters) for handler in logging.getLogger().handlers] == filters


async def test_a_muted_stream_is_otherwise_the_stream_that_it_was() -> None:
    with listening() as said:
        install()
        assert sys.stdout.write("four") == 4
        assert sys.stdout.getvalue() == "four"  # type: ignore[attr-defined] # of the stream inside

        async def code() -> int:
            return sys.stdout.write("seven!!")

        assert await muted_while(code(), Run(replaying=True)) == 7, "callers do not notice"
        assert said.getvalue() == "four"
