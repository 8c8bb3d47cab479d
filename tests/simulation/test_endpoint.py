from __future__ import annotations

import asyncio
from random import Random
from typing import Any

import pytest

from outlast.model.answer import to_answer
from outlast.model.endpoint import Completion, EndpointUnavailable, Message, ModelRequest
from outlast.model.output import OutputInvalid, output_schema
from outlast.simulation.endpoint import Said, SimEndpoint
from outlast.simulation.ledger import Ledger
from outlast.simulation.loop import SimLoop
from outlast.simulation.seal import sealed
from outlast.simulation.world import World

CHANCES = ("fails", "breaks_off", "stalls", "slow", "nonsense", "half")


async def forever() -> None:
    await asyncio.sleep(1e6)


def ask(how: str, seed: int = 1, kind: type = Said, wait_s: float = 1e5) -> tuple[Completion | Exception, Ledger]:
    """What one question comes to if the endpoint always does `how`."""
    ledger = Ledger()
    with sealed():
        random = Random(seed)
        loop = SimLoop(random)
        world = World(seed, loop, random)
        chances: dict[str, Any] = {name: float(name == how) for name in CHANCES}
        endpoint = SimEndpoint(world, ledger, **chances)
        request = ModelRequest([Message("user", "say a/0")], 5.0, output_schema(kind))

        async def run() -> Completion | Exception:
            worker = world.boot("worker-1", "worker", forever(), lambda: None)
            asked = world.start(worker, endpoint.complete(request))
            await asyncio.wait([asked], timeout=wait_s)
            if not asked.done():
                asked.cancel()
                return TimeoutError()
            return asked.exception() or asked.result()  # type: ignore[return-value] # no BaseException here

        answer = loop.run_until_complete(run())
        loop.close()
    return answer, ledger


def test_it_says_what_it_was_asked_to_say() -> None:
    answer, ledger = ask("")
    assert isinstance(answer, Completion)
    assert to_answer(answer, Said).value == Said("a/0")
    assert to_answer(answer, Said).cost == pytest.approx(0.00005)
    assert not ledger.overdue
    plain, _ = ask("", kind=str)
    assert isinstance(plain, Completion)
    assert plain.text == "say a/0"


@pytest.mark.parametrize("how", ["fails", "breaks_off", "stalls"])
def test_what_gives_no_answer_is_an_error(how: str) -> None:
    answer, _ = ask(how)
    assert isinstance(answer, EndpointUnavailable)


@pytest.mark.parametrize("how", ["nonsense", "half"])
@pytest.mark.parametrize("seed", range(20))
def test_what_is_no_whole_answer_cannot_be_read_as_one(how: str, seed: int) -> None:
    answer, _ = ask(how, seed)
    assert isinstance(answer, Completion)
    with pytest.raises(OutputInvalid):
        to_answer(answer, Said)


def test_whoever_waits_far_beyond_the_deadline_is_written_down() -> None:
    assert not ask("slow", wait_s=6.0)[1].overdue
    assert len(ask("slow")[1].overdue) == 1
