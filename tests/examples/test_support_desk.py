"""The example's data and its parts. The agent itself runs in `examples/support_desk/test_app.py` and in the demo."""

from __future__ import annotations

import json
import re
import threading
from collections import Counter
from pathlib import Path
from typing import Any

import pytest

from outlast.drill.oracle import read_ledger
from outlast.drill.stage import example_directory
from outlast.drill.workload import Case, load_cases

DESK = Path(__file__).resolve().parents[2] / "examples" / "support_desk"
LABELS = {"refund", "delivery", "damage", "question", "complaint"}


@pytest.fixture(scope="module")
def cases() -> list[Case]:
    return load_cases(DESK / "tickets.jsonl")


@pytest.fixture(scope="module")
def orders() -> dict[str, Any]:
    return json.loads((DESK / "orders.json").read_text())


def test_the_demo_finds_the_example() -> None:
    assert example_directory() == DESK


def test_there_are_enough_tickets_and_each_is_its_own(cases: list[Case]) -> None:
    assert len(cases) >= 60
    assert len({case.id for case in cases}) == len(cases)
    assert len({case.text for case in cases}) == len(cases)
    assert {case.label for case in cases} == LABELS
    assert sum(bool(case.refunds) for case in cases) >= 25
    assert any(len(case.refunds) > 1 for case in cases)
    assert any(len(case.text) < 5 for case in cases)
    assert any(len(case.text) > 600 for case in cases)
    assert any("ignore all previous instructions" in case.text.lower() for case in cases)


def test_a_refund_is_due_exactly_where_the_rules_of_the_shop_say_so(cases: list[Case], orders: dict[str, Any]) -> None:
    for case in cases:
        numbers = set(re.findall(r"(?<![\d.,])1\d{3}(?!\d)", case.text)) & set(orders)
        due = {
            number: orders[number]["cents"]
            for number in numbers
            if case.label == "refund"
            and orders[number]["customer"] == case.customer
            and orders[number]["status"] in ("delivered", "returned", "lost")
            and not orders[number]["refunded"]
        }
        assert case.refunds == due, case.id


def test_no_order_is_refunded_for_two_tickets(cases: list[Case]) -> None:
    assert max(Counter(number for case in cases for number in case.refunds).values()) == 1


def test_the_words_alone_tell_every_refund_from_the_rest(load: Any, cases: list[Case]) -> None:
    keywords = load("keywords")
    found = {case.id: keywords.label(case.text)[0] for case in cases}
    assert [case.id for case in cases if (found[case.id] == "refund") != (case.label == "refund")] == []
    assert sum(found[case.id] == case.label for case in cases) >= 0.9 * len(cases)
    assert set(found.values()) <= LABELS


def test_the_ledger_books_whatever_it_is_told(load: Any, tmp_path: Path) -> None:
    ledger = load("ledger").Ledger(tmp_path / "l.sqlite", latency_s=0)
    first = ledger.book("k", "t", "1001", 500)
    second = ledger.book("k", "t", "1001", 500)
    assert (first.order, first.cents) == ("1001", 500)
    assert first.booking != second.booking
    found = read_ledger(tmp_path / "l.sqlite")
    assert len(found.bookings) == len(found.attempts) == 2
    assert found.bookings[0].key == "k"
    assert found.bookings[0].pid > 0


def test_the_ledger_finds_a_booking_by_its_key_only(load: Any, tmp_path: Path) -> None:
    ledger = load("ledger").Ledger(tmp_path / "l.sqlite", latency_s=0)
    receipt = ledger.book("k", "t", "1001", 500)
    assert load("ledger").Ledger(tmp_path / "l.sqlite").find("k") == receipt
    assert ledger.find("other") is None


def test_the_ledger_takes_bookings_from_many_at_once(load: Any, tmp_path: Path) -> None:
    module = load("ledger")
    path = tmp_path / "l.sqlite"
    threads = [
        threading.Thread(target=lambda n=n: module.Ledger(path, latency_s=0).book(f"k{n}", f"t{n}", "1001", n))
        for n in range(8)
    ]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert sorted(entry.key for entry in read_ledger(path).bookings) == [f"k{n}" for n in range(8)]
