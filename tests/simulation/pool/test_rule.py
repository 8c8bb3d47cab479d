"""Every rule catches a planted violation, and finds nothing in calls that went well."""

from __future__ import annotations

from collections.abc import Callable

import pytest

from outlast.simulation.pool.book import Asked, Book, Sent, Terms
from outlast.simulation.pool.rule import POOL_RULES, check_pool


def good() -> Book:
    """A stream that b answered after a had failed, and a whole answer of the fallback."""
    book = Book(Terms({"a": 1, "b": None, "spare": None}, frozenset({"spare"}), moves_max=1))
    first = Asked(1, "faults", 1.0, 5.0, 2, stream=True, hedge=True, ended_at=2.0, outcome="answer")
    first.value, first.endpoint, first.got = ("b", 2), "b", [(1.6, "b", 2, 0), (1.7, "b", 2, 1)]
    second = Asked(2, "faults", 3.0, 5.0, 2, stream=False, hedge=False, ended_at=4.0, outcome="answer")
    second.value, second.endpoint, second.degraded = ("spare", 4), "spare", True
    third = Asked(3, "proof", 90.0, 5.0, 2, stream=False, hedge=True, ended_at=91.0, outcome="answer")
    third.value, third.endpoint = ("a", 5), "a"
    fourth = Asked(4, "proof", 91.0, 5.0, 2, stream=False, hedge=True, ended_at=92.0, outcome="answer")
    fourth.value, fourth.endpoint = ("b", 6), "b"
    book.asked = [first, second, third, fourth]
    book.sent = [
        Sent(1, 1, "a", 1.0, 6.0, closed_at=1.5),
        Sent(2, 1, "b", 1.5, 6.0, committed_at=1.6, whole_at=1.9, closed_at=2.0, usage=12),
        Sent(3, 2, "a", 3.0, 8.0, closed_at=3.2, retry_after=(3.2, 10.0)),
        Sent(4, 2, "spare", 3.2, 8.0, whole_at=4.0, closed_at=4.0, usage=12),
        Sent(5, 3, "a", 90.0, 95.0, whole_at=91.0, closed_at=91.0, usage=12),
        Sent(6, 4, "b", 91.0, 96.0, whole_at=92.0, closed_at=92.0, usage=12),
    ]
    book.charged = {"a": 12, "b": 24, "spare": 12}
    return book


def late(book: Book) -> None:
    book.asked[0].ended_at = 6.2


def never(book: Book) -> None:
    book.asked[2].ended_at = None


def given_too_long(book: Book) -> None:
    book.sent[1].deadline = 7.0


def unknown_error(book: Book) -> None:
    book.asked[1].outcome, book.asked[1].value = "KeyError", None


def refused_without_a_time(book: Book) -> None:
    book.asked[1].outcome, book.asked[1].value = "PoolOverloaded", None


def uncaught(book: Book) -> None:
    book.errors.append("Task exception was never retrieved")


def token_twice(book: Book) -> None:
    book.asked[0].got[1] = (1.7, "b", 2, 0)


def token_left_out(book: Book) -> None:
    book.asked[0].got.pop()


def two_sources(book: Book) -> None:
    book.asked[0].got[1] = (1.7, "a", 1, 1)


def sent_after_content(book: Book) -> None:
    book.sent[1].at = 1.65


def thrown_away(book: Book) -> None:
    book.asked[1].outcome, book.asked[1].value = "EndpointUnavailable", None


def broke_off_silently(book: Book) -> None:
    book.asked[0].outcome, book.asked[0].value = "EndpointUnavailable", None


def storm(book: Book) -> None:
    for count in range(40):
        book.asked.append(Asked(10 + count, "faults", 5.0, 5.0, 2, True, True, ended_at=7.0, outcome="Interrupted"))
        book.asked[-1].got = [(6.9, "b", 0, 0)]
        book.sent += [
            Sent(100 + 3 * count + index, 10 + count, "b", 5.0 + 0.5 * index, 10.0, closed_at=5.4 + 0.5 * index)
            for index in range(3)
        ]


def too_many_attempts(book: Book) -> None:
    book.sent[1:1] = [Sent(20 + index, 1, "b", 1.4, 6.0, closed_at=1.4) for index in range(3)]


def hedged_though_not_allowed(book: Book) -> None:
    book.asked[2].hedge = False
    book.sent.append(Sent(7, 3, "b", 90.5, 95.0, closed_at=91.0))


def loser_under_way(book: Book) -> None:
    book.sent[0].closed_at = 1.95


def left_behind(book: Book) -> None:
    book.sent[4].closed_at = None


def over_the_limit(book: Book) -> None:
    book.sent.append(Sent(7, 4, "a", 90.5, 96.0, closed_at=91.0))


def asked_too_early(book: Book) -> None:
    book.sent[4].retry_after = (90.2, 5.0)
    book.sent.append(Sent(7, 3, "a", 90.9, 95.0, closed_at=91.0))


def wrong_and_sent_again(book: Book) -> None:
    book.sent[0].refused_at = 1.4


def refused_by_nobody(book: Book) -> None:
    book.asked[1].outcome, book.asked[1].value = "EndpointRefused", None


def unmarked(book: Book) -> None:
    book.asked[1].degraded = False


def marked_for_nothing(book: Book) -> None:
    book.asked[0].degraded = True


def another_s_name(book: Book) -> None:
    book.asked[0].endpoint = "a"


def counted_twice(book: Book) -> None:
    book.charged["b"] = 48


def failed_when_all_was_well(book: Book) -> None:
    book.asked[2].outcome, book.asked[2].value = "EndpointUnavailable", None


def forgotten(book: Book) -> None:
    book.sent[5].endpoint, book.asked[3].endpoint, book.asked[3].value = "a", "a", ("a", 6)


PLANTED: list[tuple[str, Callable[[Book], None]]] = [
    ("in_time", late), ("in_time", never), ("in_time", given_too_long), ("typed", unknown_error),
    ("typed", refused_without_a_time), ("typed", uncaught), ("ordered", token_twice), ("ordered", token_left_out),
    ("single", two_sources), ("single", sent_after_content), ("lost", thrown_away),
    ("interrupted", broke_off_silently), ("amplified", storm), ("amplified", too_many_attempts),
    ("hedged", hedged_though_not_allowed), ("loser", loser_under_way), ("loser", left_behind),
    ("limited", over_the_limit), ("rested", asked_too_early), ("refused", wrong_and_sent_again),
    ("refused", refused_by_nobody), ("degraded", unmarked), ("degraded", marked_for_nothing),
    ("degraded", another_s_name), ("counted", counted_twice), ("recovered", failed_when_all_was_well),
    ("recovered", forgotten),
]  # fmt: skip


def test_nothing_is_found_where_all_went_well() -> None:
    assert check_pool(good()) == []


@pytest.mark.parametrize(("rule", "plant"), PLANTED, ids=lambda value: getattr(value, "__name__", value))
def test_a_planted_violation_is_found_by_its_rule(rule: str, plant: Callable[[Book], None]) -> None:
    book = good()
    plant(book)
    assert rule in {found.split(":")[0] for found in check_pool(book)}


def test_every_rule_has_a_planted_violation_and_says_what_it_demands() -> None:
    assert {rule for rule, _ in PLANTED} == set(POOL_RULES)
    assert all(POOL_RULES.values())


def test_a_process_that_is_paused_may_be_late_by_its_pause() -> None:
    book = good()
    late(book)
    book.paused = [(5.9, 6.15)]
    assert check_pool(book) == []


def test_a_client_that_left_is_owed_nothing() -> None:
    book = good()
    thrown_away(book)
    book.asked[1].left_at = 3.9
    assert check_pool(book) == []


def test_calls_that_leave_an_endpoint_out_of_rotation_are_not_taken_off_the_budget() -> None:
    book = good()
    storm(book)
    book.terms.moves_max = 2
    assert "amplified" not in {found.split(":")[0] for found in check_pool(book)}
