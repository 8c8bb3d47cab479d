"""Golden prompts: what they are, and what a worse model behind the same name brings about, in virtual time."""

from __future__ import annotations

import asyncio

import pytest

from outlast.kernel.error import ConfigurationError
from outlast.model.canary import CanaryPolicy, Golden, parse_golden
from outlast.model.endpoint import EndpointUnavailable
from outlast.model.member import Member, Target
from outlast.model.pool import Ask, Pool
from outlast.policy.drift import DriftPolicy
from tests.model.virtual import Endpoints, SeededRandomness, VirtualClock, answers, in_virtual_time

GOLDEN = [Golden(f"What is {number} + 1?", str(number + 1)) for number in range(10)]


def test_a_file_of_golden_prompts_is_read() -> None:
    raw = b'{"prompt": "Capital of France?", "expect": "Paris"}\n\n{"prompt": "Two primes?", "expect": ["2", "3"]}\n'
    france, primes = parse_golden(raw, "golden.jsonl")
    assert [france.score(text) for text in ("It is PARIS.", "London")] == [1.0, 0.0]
    assert [primes.score(text) for text in ("2 and 3", "3 and 5", "none")] == [1.0, 0.5, 0.0]


@pytest.mark.parametrize(
    ("raw", "problem"),
    [
        (b"", "has 0 prompts, expected 1 to 100"),
        (b'{"prompt": "a", "expect": "b"}\n' * 101, "has 101 prompts, expected 1 to 100"),
        (b'\n{"prompt": "a"}', r"golden.jsonl:2: .*expect"),
        (b'{"prompt": "a", "expect": "b", "x": 1}', r"golden.jsonl:1: .*unknown field `x`"),
        (b'{"prompt": " ", "expect": "b"}', "is empty"),
        (b'{"prompt": "a", "expect": ""}', "is empty"),
        (b'{"prompt": "a", "expect": []}', "is empty"),
        (b'{"prompt": "\xff"}', "golden.jsonl:1"),
        (b" " * (1 << 20) + b"x", "larger than golden_bytes_max"),
    ],
)
def test_what_is_no_such_file_is_refused(raw: bytes, problem: str) -> None:
    with pytest.raises(ConfigurationError, match=problem):
        parse_golden(raw, "golden.jsonl")


@pytest.mark.parametrize("drift", [DriftPolicy(), DriftPolicy(score_min=0.85)])
def test_a_worse_model_is_out_within_five_rounds_and_back_when_it_is_better(drift: DriftPolicy) -> None:
    async def main() -> None:
        worse = False
        rounds = 0

        class Asking:
            closed = False

            async def ask(self, member: Member, prompt: str, timeout_s: float) -> str:
                nonlocal rounds
                number = int(prompt.split()[2])
                if member.name == "dead":
                    raise EndpointUnavailable("down")
                if member.name == "b":
                    rounds += number == 0
                return "no idea" if worse and member.name == "b" and number % 2 else str(number + 1)

            async def close(self) -> None:
                self.closed = True

        examiner = Asking()

        pool = Pool("writer", [Target("a"), Target("b"), Target("dead")], VirtualClock(), SeededRandomness())
        pool.examine(GOLDEN, examiner, CanaryPolicy(drift=drift))
        pool.start()
        await asyncio.sleep(60.0 * 20)
        assert [member.state for member in pool.view().members] == ["in"] * 3
        worse = True
        began = rounds
        while not pool.members[1].sick:
            await asyncio.sleep(1.0)
            assert rounds <= began + 5
        view = pool.view().members[1]
        assert (view.state, view.layers["model"], view.score) == ("sick", "down", 0.5)
        assert "golden prompts score 0.5" in view.why
        send = Endpoints(a=answers(), b=answers(), dead=answers())
        for _ in range(20):
            await pool.call(send, Ask(5.0))
        assert "b" not in send.asked
        worse = False
        await asyncio.sleep(60.0 * 4)
        assert pool.view().members[1].layers["model"] == "up"
        assert not pool.members[1].sick
        await pool.close()
        assert examiner.closed

    in_virtual_time(main)


def test_a_member_that_hangs_delays_nobodys_round_and_a_fallback_is_scored_but_not_judged() -> None:
    async def main() -> None:
        asked: dict[str, int] = {}

        class Asking:
            async def ask(self, member: Member, prompt: str, timeout_s: float) -> str:
                asked[member.name] = asked.get(member.name, 0) + 1
                if member.name == "hangs":
                    await asyncio.sleep(timeout_s)
                    raise EndpointUnavailable("it hangs")
                number = int(prompt.split()[2])
                return "no idea" if member.name == "small" and number % 2 else str(number + 1)

            async def close(self) -> None:
                pass

        small = Pool("small", [Target("small")], VirtualClock(), SeededRandomness())
        targets = [Target("hangs"), Target("well")]
        pool = Pool("writer", targets, VirtualClock(), SeededRandomness(), fallback=small)
        pool.examine(GOLDEN, Asking(), CanaryPolicy(every_s=60.0, drift=DriftPolicy(score_min=0.9)))
        pool.start()
        await asyncio.sleep(60.0 * 30 - 1)
        hangs, well = pool.view().members
        assert (hangs.rounds, well.rounds) == (0, 30)
        assert asked["well"] == 30 * len(GOLDEN)
        (beside,) = small.view().members
        assert (beside.rounds, beside.score, beside.state) == (3, 0.5, "in")
        await pool.close()

    in_virtual_time(main)
