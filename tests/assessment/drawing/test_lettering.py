"""Widths of text."""

from __future__ import annotations

from hypothesis import given, settings
from hypothesis import strategies as st

from outlast.assessment.drawing.lettering import fitted, width


@settings(max_examples=60)
@given(st.text(max_size=80), st.integers(20, 300))
def test_what_is_fitted_is_no_wider_than_its_room(text: str, room: int) -> None:
    assert width(fitted(text, room, 13, bold=True), 13, bold=True) <= room


def test_a_long_name_keeps_its_beginning_and_its_end() -> None:
    short = fitted("OrdersServiceTaskDefinitionRolePolicy", 160, 13)
    assert short.startswith("Orders")
    assert short.endswith("Policy")
    assert "…" in short


def test_a_short_name_stays_whole() -> None:
    assert fitted("orders", 100, 13) == "orders"
