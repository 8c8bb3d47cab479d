from __future__ import annotations

from datetime import timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from outlast.kernel.error import ConfigurationError
from outlast.kernel.unit import duration_text, seconds, size, usd


@given(st.floats(0, 9e9), st.sampled_from([("ms", 0.001), ("s", 1), ("m", 60), ("h", 3600), ("d", 86400)]))
def test_durations_with_units(number: float, unit: tuple[str, float]) -> None:
    text = f"{number:.6f}"
    if float(text) * unit[1] < 1e10:
        assert seconds(f"{text}{unit[0]}") == pytest.approx(float(text) * unit[1])


@given(st.floats(0.001, 9e9))
def test_a_duration_as_text_is_read_back(value: float) -> None:
    assert seconds(duration_text(value)) == pytest.approx(value, rel=1e-4)


@pytest.mark.parametrize(
    "wrong",
    ["", "5", "s", "5 x", "-1s", "1e3s", "5s5s", -1, -0.1, float("nan"), float("inf"), 1e11, timedelta(-1)],
)
def test_what_is_no_duration_is_refused(wrong: str | float) -> None:
    with pytest.raises(ConfigurationError):
        seconds(wrong)


@given(st.text(max_size=20))
def test_no_text_raises_anything_else(text: str) -> None:
    for read in (seconds, size, usd):
        try:
            read(text)
        except ConfigurationError:
            pass


def test_sizes_and_amounts() -> None:
    assert size("64KiB") == 65536
    assert size("1.5MiB") == 1572864
    assert size(7) == 7
    assert usd("0.25USD") == usd(0.25) == 0.25
    assert seconds(timedelta(minutes=1)) == 60
    for wrong in ("5KB", "5", -1):
        with pytest.raises(ConfigurationError):
            size(wrong)
