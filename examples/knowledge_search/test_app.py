"""Freezes and kills the real vector search and asks on. Run it with: python -m pytest test_app.py"""

from __future__ import annotations

import asyncio
import os
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import pytest
from app import Found, Library, helper, library, open_library

import outlast
from outlast.testing import run

HERE = Path(__file__).parent
QUESTION = "When do I get the refund for an item that I sent back?"
GOOD = {"returns", "refund-time", "refund-lost"}


@pytest.fixture
def index(monkeypatch: pytest.MonkeyPatch) -> Iterator[subprocess.Popen[str]]:
    """The index server, on a port of its own."""
    server = subprocess.Popen(
        [sys.executable, "index_server.py", "0"], cwd=HERE, stdout=subprocess.PIPE, text=True, start_new_session=True
    )
    assert server.stdout is not None
    monkeypatch.setenv("KNOWLEDGE_INDEX", server.stdout.readline().strip())
    yield server
    server.kill()
    server.wait()
    server.stdout.close()


async def until_well(desk: Library) -> outlast.Guarded[Found]:
    end = time.monotonic() + 60
    while True:
        answer = await desk.knowledge(desk.search, QUESTION)
        if not answer.degraded:
            return answer
        assert time.monotonic() < end, desk.knowledge.view()
        await asyncio.sleep(0.05)


def test_a_frozen_index_opens_the_breaker_keywords_answer_and_it_comes_back(index: subprocess.Popen[str]) -> None:
    async def main() -> None:
        async with open_library() as desk:
            answer = await until_well(desk)
            assert answer.value.by.startswith("vectors")
            assert answer.value.passages[0] in GOOD

            failed = desk.knowledge.view().failed
            os.kill(index.pid, signal.SIGSTOP)
            while desk.knowledge.state == "closed":
                answer = await desk.knowledge(desk.search, QUESTION)
                assert answer.degraded
                assert answer.value.by == "keywords"
                assert answer.value.passages[0] in GOOD
            assert desk.knowledge.view().failed - failed <= 6
            before = desk.knowledge.view()
            answers = [await desk.knowledge(desk.search, QUESTION) for _ in range(200)]
            assert all(answer.degraded and answer.value.passages[0] in GOOD for answer in answers)
            after = desk.knowledge.view()
            assert after.rejected - before.rejected + after.asked - before.asked == 200
            assert after.rejected - before.rejected > 100  # nearly all without asking it

            os.kill(index.pid, signal.SIGCONT)
            answer = await until_well(desk)
            assert answer.value.by.startswith("vectors")
            assert desk.knowledge.state == "closed"

            index.kill()
            answer = await desk.knowledge(desk.search, QUESTION)
            assert (answer.degraded, answer.value.by) == (True, "keywords")

    asyncio.run(main())


def test_the_reply_of_the_agent_says_that_it_is_degraded() -> None:
    async def frozen(query: str) -> Found:
        await asyncio.sleep(3600)
        raise AssertionError("nobody waits that long")

    async def well(query: str) -> Found:
        return Found(["refund-time"], "vectors (test)")

    reply = run(helper, QUESTION, deps=library(frozen)).result
    assert (reply.degraded, reply.found_by) == (True, "keywords")
    assert reply.why == "knowledge did not answer within 0.3 s"
    assert reply.text.startswith("(Our search is limited at the moment.)")
    reply = run(helper, QUESTION, deps=library(well)).result
    assert (reply.degraded, reply.why, reply.found_by) == (False, "", "vectors (test)")
