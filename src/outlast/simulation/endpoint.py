"""A model endpoint that fails, stalls, breaks off, is too slow and answers nonsense, as chance wants."""

from __future__ import annotations

import asyncio
from dataclasses import dataclass

import msgspec

from outlast.model.endpoint import Completion, EndpointUnavailable, ModelRequest, Usage
from outlast.simulation.ledger import Ledger
from outlast.simulation.loop import current_node
from outlast.simulation.world import World

model = "gpt-4.1"
"""Under this name it answers: one that has a price."""
tokens = 5
"""It counts so many of each kind for an answer."""
_patience = 6.0  # times the deadline: nobody may wait for that


@dataclass
class Said:
    """The type that simulated agents ask for."""

    said: str


class SimEndpoint:
    """Answers with what it was asked, mostly, under the model's name `says`. Each other field is a chance."""

    def __init__(
        self, world: World, ledger: Ledger, *, fails: float = 0.15, breaks_off: float = 0.1, stalls: float = 0.05,
        slow: float = 0.05, nonsense: float = 0.1, half: float = 0.1, name: str = "simulated", says: str = model,
    ) -> None:  # fmt: skip
        self._world = world
        self._ledger = ledger
        self.name = name
        self._says = says
        self._chances = {
            "fails": fails, "breaks off": breaks_off, "stalls": stalls, "slow": slow, "nonsense": nonsense,
            "half an answer": half,
        }  # fmt: skip

    async def complete(self, request: ModelRequest) -> Completion:
        node = current_node.get()
        assert node is not None
        asked = next(message.content for message in request.messages if message.content.startswith("say "))
        await self._world.pause(node, 0.05, 0.5)
        how, chance = self._drawn(), self._world.random.random()
        if how:
            self._world.bit[f"model {how}"] += 1
        match how:
            case "fails":
                raise EndpointUnavailable("the endpoint failed (simulated)", 0.1 if chance < 0.5 else None)
            case "breaks off":
                await self._world.pause(node, 0.05, 1.0)
                raise EndpointUnavailable(f"the answer broke off after {asked[: len(asked) // 2]!r} (simulated)")
            case "stalls":
                await asyncio.sleep(request.timeout_s)
                raise EndpointUnavailable("the endpoint stalled (simulated)")
            case "slow":
                await asyncio.sleep(request.timeout_s * _patience)
                self._ledger.overdue.append(f"{asked}: for {request.timeout_s * _patience:.1f} s by {node.name}")
            case _:
                pass
        return Completion(self._text(request, asked, how, chance), self._says, Usage(tokens, tokens), "stop")

    def _drawn(self) -> str:
        left = self._world.random.random()
        for how, chance in self._chances.items():
            left -= chance
            if left < 0:
                return how
        return ""

    def _text(self, request: ModelRequest, asked: str, how: str, chance: float) -> str:
        if request.schema is None:
            return asked
        whole = msgspec.json.encode({"said": asked.removeprefix("say ")}).decode()
        if how == "half an answer":
            return whole[: 1 + int(chance * (len(whole) - 2))]
        if how == "nonsense":
            return ("{]", "", '{"said": 7}', '{"said": null}', "[1, 2]", "\ud83d", "no")[int(chance * 7)]
        return whole

    async def close(self) -> None:
        return None
