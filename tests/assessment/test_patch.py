"""Fixes written into the text of a file."""

from __future__ import annotations

from typing import Any

import pytest
import yaml
from hypothesis import given
from hypothesis import strategies as st

from outlast.assessment.finding import Edit
from outlast.assessment.patch import patched, rendered
from outlast.kernel.error import ConfigurationError

TEXT = """\
# The desk.
stores:
  orders: {kind: sql, data: critical}   # the shop's
  # the index is made every night
  index:
    kind: vector
    data: rebuildable  # from documents
agents:
  helper: {needs: {orders: hard, index: {strength: soft, timeout: 300ms}}}
models:
  writer:
    endpoints:
      - {name: a, url: "http://127.0.0.1:1/v1"}
      - name: b   # ours
        url: http://127.0.0.1:2/v1
"""


def change(*path: str | int, value: Any) -> str:
    return patched(TEXT, [Edit(path, value)])


@pytest.mark.parametrize(
    ("path", "value", "line"),
    [
        (("stores", "orders", "data"), "eventual", "  orders: {kind: sql, data: eventual}   # the shop's"),
        (
            ("stores", "orders", "on_loss"),
            "wait",
            "  orders: {kind: sql, data: critical, on_loss: wait}   # the shop's",
        ),
        (("stores", "index", "data"), "critical", "    data: critical  # from documents"),
        (("stores", "index", "rebuild"), "4h", "    data: rebuildable  # from documents\n    rebuild: 4h"),
        (
            ("agents", "helper", "needs", "orders", "timeout"),
            "2s",
            "  helper: {needs: {orders: {strength: hard, timeout: 2s}, index: {strength: soft, timeout: 300ms}}}",
        ),
        (
            ("agents", "helper", "needs", "index", "retry", "budget"),
            "10%",
            "  helper: {needs: {orders: hard, index: {strength: soft, timeout: 300ms, retry: {budget: 10%}}}}",
        ),
        (("models", "writer", "endpoints[1]", "min"), 2, "        url: http://127.0.0.1:2/v1\n        min: 2"),
        (("deploy",), {"first": "1 cell"}, "        url: http://127.0.0.1:2/v1\ndeploy: {first: 1 cell}"),
    ],
)
def test_only_what_must_change_changes(path: tuple[str, ...], value: Any, line: str) -> None:
    result = change(*path, value=value)
    assert line in result
    kept = [one for one in TEXT.splitlines() if one not in result.splitlines()]
    assert len(kept) <= 1
    assert result.count("#") == TEXT.count("#")


def test_a_block_is_replaced_as_a_whole_and_what_follows_stays() -> None:
    result = change("stores", "index", value={"kind": "vector"})
    assert "  index: {kind: vector}  # from documents\nagents:" in result


def test_several_edits_follow_one_another() -> None:
    edits = [Edit(("backup", "orders", "lock"), "30d"), Edit(("backup", "orders", "copies"), ["vault"])]
    assert yaml.safe_load(patched(TEXT, edits))["backup"] == {"orders": {"lock": "30d", "copies": ["vault"]}}


def test_an_empty_file_begins() -> None:
    assert patched("", [Edit(("deploy", "bake"), "5m")]) == "deploy: {bake: 5m}\n"


def test_an_empty_mapping_and_a_missing_last_newline_are_fine() -> None:
    assert patched("stores: {}", [Edit(("stores", "a"), 1)]) == "stores: {a: 1}"
    assert patched("a: 1", [Edit(("b",), 2)]) == "a: 1\nb: 2"


def test_what_cannot_be_written_says_where() -> None:
    with pytest.raises(ConfigurationError, match=r"outlast.yaml:3: .*kind.more.*by hand"):
        change("stores", "orders", "kind", "more", value=1)


def test_a_name_with_dots_is_found() -> None:
    assert patched("stores:\n  a.b: {x: 1}\n", [Edit(("stores", "a", "b", "x"), 2)]) == "stores:\n  a.b: {x: 2}\n"


WORDS = st.text(st.characters(codec="utf-8"), max_size=12)


@given(
    st.recursive(
        WORDS | st.integers() | st.booleans(),
        lambda inner: st.lists(inner, max_size=3) | st.dictionaries(WORDS, inner, max_size=3),
        max_leaves=8,
    )
)
def test_what_is_written_is_read_back(value: Any) -> None:
    assert yaml.safe_load(f"a: {rendered(value)}") == {"a": value}


@pytest.mark.parametrize(
    ("text", "path", "result"),
    [
        ("a: 1\nb: 2  # two\nc: 3\n", ("b",), "a: 1\nc: 3\n"),
        ("a: {b: 1, c: 2, d: 3}\n", ("a", "b"), "a: {c: 2, d: 3}\n"),
        ("a: {b: 1, c: 2, d: 3}\n", ("a", "d"), "a: {b: 1, c: 2}\n"),
        ("a: {b: 1}\nc: 2\n", ("a", "b"), "c: 2\n"),
        ("a:\n  # one\n  - {x: 1}\n  - x: 2\n    y: 3\n  - {}\n", ("a[1]",), "a:\n  # one\n  - {x: 1}\n  - {}\n"),
        ("a:\n  - x: 1\n    y:\n      - 2\n", ("a[0]",), ""),
        ("a: [one, two, three]\n", ("a", 1), "a: [one, three]\n"),
        ("a: 1\n", ("b", "c"), "a: 1\n"),
        ("a: 1\nb: 2", ("b",), "a: 1\n"),
    ],
)  # fmt: skip
def test_what_is_removed_takes_its_line_and_leaves_the_rest(
    text: str, path: tuple[str | int, ...], result: str
) -> None:
    assert patched(text, [Edit(path, None)]) == result


def test_several_items_of_a_list_go_whatever_their_order() -> None:
    text = "a:\n" + "".join(f"  - {{x: {i}}}\n" for i in range(12))
    edits = [Edit((f"a[{i}]",), None) for i in (2, 10, 0)]
    left = [i for i in range(12) if i not in (2, 10, 0)]
    assert patched(text, edits) == "a:\n" + "".join(f"  - {{x: {i}}}\n" for i in left)


def test_an_entry_that_shares_its_line_is_left_to_a_person() -> None:
    with pytest.raises(ConfigurationError, match="change it by hand"):
        patched("a:\n  - - x\n    - y\n  - z\n", [Edit(("a", 0, 0), None)])
    with pytest.raises(ConfigurationError, match="change it by hand"):
        patched("a:\n  - x: 1\n    y: 2\n", [Edit(("a", 0, "x"), None)])
