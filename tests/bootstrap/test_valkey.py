"""Processes share answers through a real server, by nothing but the public interface; without it they go on."""

from __future__ import annotations

from pathlib import Path

import pytest

import outlast
from tests.adapters.valkey.server import PASSWORD, Server, server

pytest.importorskip("valkey")


async def price(of: str) -> int:
    return len(of)


class Process:
    """What one process has: a guard, its own cache, and its way to the server."""

    def __init__(self) -> None:
        self.valkey = outlast.Valkey("env:VALKEY_URL")
        self.shared = self.valkey.shared("prices", "10m", version="1", type=int)
        self.guard = outlast.Guard("prices", timeout="5s", cache=outlast.Cache("1m", shared=self.shared))


def at(started: Server) -> str:
    return f"valkey://:{PASSWORD.replace(' ', '%20')}@{started.node}"


async def test_what_one_process_asked_another_one_finds(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, until: object
) -> None:
    with server(tmp_path) as started:
        monkeypatch.setenv("VALKEY_URL", at(started))
        one, two = Process(), Process()
        async with one.valkey, two.valkey:
            await until(lambda: _puts(one), 20, "the server is reached")  # type: ignore[operator]
            await until(lambda: _finds(two), 20, "the other one finds it")  # type: ignore[operator]
            before = one.shared.counts.away
            started.kill()
            answer = await one.guard(price, "of something else")
            assert (answer.value, answer.degraded) == (17, False)
            assert one.shared.counts.away > before


async def _puts(process: Process) -> bool:
    process.guard.cache.clear()  # type: ignore[union-attr]
    await process.guard(price, "bread")
    return process.shared.counts.hits > 0


async def _finds(process: Process) -> bool:
    return await _puts(process) and process.shared.counts.bad == 0


async def test_without_an_address_every_answer_comes_and_the_trouble_is_said_once(
    caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv("VALKEY_URL", raising=False)
    process = Process()
    async with process.valkey:
        for what in ("bread", "milk"):
            answer = await process.guard(price, what)
            assert (answer.value, answer.degraded) == (len(what), False)
    (said,) = [record.getMessage() for record in caplog.records]
    assert said.startswith("answers are not shared: secret env:VALKEY_URL cannot be read: ")


def test_an_address_that_stands_in_the_code_is_refused_and_not_shown() -> None:
    with pytest.raises(outlast.ConfigurationError, match="env:NAME") as caught:
        outlast.Valkey("valkeys://u:hunter2@h:6379")
    assert "hunter2" not in str(caught.value)
