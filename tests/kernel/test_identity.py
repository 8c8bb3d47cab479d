from __future__ import annotations

import re

import pytest
from hypothesis import given
from hypothesis import strategies as st

from outlast.kernel.error import UsageError
from outlast.kernel.identity import check_name, new_id


class At:
    def __init__(self, now: float) -> None:
        self._now = now

    def now(self) -> float:
        return self._now

    monotonic = now

    async def sleep(self, seconds: float) -> None:
        return None


class Chance:
    def __init__(self, token: bytes) -> None:
        self._token = token

    def token(self, size: int) -> bytes:
        return self._token[:size]

    def uniform(self) -> float:
        return 0.0


moments = st.integers(0, 2**44).map(lambda millis: millis / 1000)
tokens = st.binary(min_size=9, max_size=9)


@given(moments, moments, tokens, tokens)
def test_identifiers_sort_by_creation(a: float, b: float, x: bytes, y: bytes) -> None:
    first, second = new_id("run", At(a), Chance(x)), new_id("run", At(b), Chance(y))
    if int(a * 1000) < int(b * 1000):
        assert first < second
    assert check_name("run", first) == first
    assert re.fullmatch(r"run_[0-9a-hjkmnp-tv-z]{22}", first)


@given(moments, tokens, tokens)
def test_chance_tells_identifiers_of_one_moment_apart(at: float, x: bytes, y: bytes) -> None:
    same = new_id("run", At(at), Chance(x)) == new_id("run", At(at), Chance(y))
    bits = 2**65 - 1
    assert same == (int.from_bytes(x, "big") & bits == int.from_bytes(y, "big") & bits)


@given(st.text(max_size=140))
def test_only_valid_names_pass(name: str) -> None:
    valid = re.fullmatch(r"[A-Za-z0-9][A-Za-z0-9_.-]{0,127}", name, re.ASCII) is not None
    if valid:
        assert check_name("tool", name) == name
    else:
        with pytest.raises(UsageError, match=r"tool name .* is not valid"):
            check_name("tool", name)
