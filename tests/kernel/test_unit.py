from __future__ import annotations

from collections.abc import Callable
from datetime import timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from outlast.kernel.error import ConfigurationError
from outlast.kernel.unit import (
    burn_rate,
    duration_exactly,
    duration_text,
    number_exactly,
    rate,
    rate_exactly,
    seconds,
    share,
    share_exactly,
    size,
    size_exactly,
    spending,
    spending_exactly,
    times,
    times_exactly,
    usd,
    usd_exactly,
)


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
    for read in (seconds, size, usd, share, times, rate, spending, burn_rate):
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


@pytest.mark.parametrize("read", [seconds, size, usd, share, times, rate, spending, burn_rate])
@pytest.mark.parametrize("end", ["B", "s", "x", "/s", "%", "USD", "USD/month", "x over 1h"])
def test_more_digits_than_a_number_has_are_refused(read: Callable[[str], object], end: str) -> None:
    with pytest.raises(ConfigurationError):
        read("9" * 400 + end)


def test_money_in_a_time_is_counted_by_the_month() -> None:
    assert spending("9000USD/month") == 9000
    assert spending("1USD/hour") == pytest.approx(730)
    assert spending("10 USD / day") == pytest.approx(10 * 730 / 24)
    assert spending("12USD/year") == 1
    for wrong in ("9000USD", "9000/month", "9000EUR/month", "USD/month", "9000USD/week"):
        with pytest.raises(ConfigurationError, match="write for example 9000USD/month"):
            spending(wrong)


def test_a_burn_rate_is_a_factor_over_a_time() -> None:
    assert burn_rate("14x over 1h") == (14, 3600)
    for wrong in ("14 over 1h", "14x in 1h", "14x over", "over 1h", "14x over 1"):
        with pytest.raises(ConfigurationError):
            burn_rate(wrong)


@pytest.mark.parametrize(
    ("write", "value", "text"),
    [
        (duration_exactly, 0.0, "0s"),
        (duration_exactly, 0.5, "500ms"),
        (duration_exactly, 1.5, "1500ms"),
        (duration_exactly, 90.0, "90s"),
        (duration_exactly, 3024000.0, "35d"),
        (size_exactly, 65536, "64KiB"),
        (size_exactly, 1000, "1000B"),
        (size_exactly, 0, "0B"),
        (usd_exactly, 0.25, "0.25USD"),
        (spending_exactly, 9000.0, "9000USD/month"),
        (share_exactly, 0.9995, "99.95%"),
        (share_exactly, 0.0, "0%"),
        (times_exactly, 14.0, "14x"),
        (rate_exactly, 25.0, "25/s"),
        (rate_exactly, 1.5 / 60, "90/h"),
        (number_exactly, 2.5, "2.5"),
    ],
)
def test_a_quantity_is_written_as_a_person_would(write: Callable[[float], str], value: float, text: str) -> None:
    assert write(value) == text


@pytest.mark.parametrize(
    ("read", "write", "units"),
    [
        (seconds, duration_exactly, ["ms", "s", "m", "h", "d"]),
        (size, size_exactly, ["B", "KiB", "MiB", "GiB"]),
        (usd, usd_exactly, ["USD"]),
        (spending, spending_exactly, ["USD/month"]),
        (share, share_exactly, ["%"]),
        (times, times_exactly, ["x"]),
        (rate, rate_exactly, ["/s", "/m", "/h", "/d"]),
    ],
)
@given(data=st.data())
def test_what_was_read_is_written_and_read_again(
    read: Callable[[str], float], write: Callable[[float], str], units: list[str], data: st.DataObject
) -> None:
    number = data.draw(st.decimals(0, 100, places=data.draw(st.integers(0, 4))))
    value = read(f"{number:f}{data.draw(st.sampled_from(units))}")
    assert read(write(value)) == pytest.approx(value, rel=1e-12)
