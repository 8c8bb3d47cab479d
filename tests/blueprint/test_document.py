"""YAML within bounds, hostile YAML above all."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from outlast.blueprint import document
from outlast.blueprint.document import (
    Document,
    nearest,
    yaml_aliases_max,
    yaml_bytes_max,
    yaml_depth_max,
)
from outlast.kernel.error import ConfigurationError


def refused(raw: bytes) -> str:
    with pytest.raises(ConfigurationError) as caught:
        Document("outlast.yaml", raw)
    message = str(caught.value)
    assert message.startswith("outlast.yaml")
    assert "\n" not in message
    return message


@pytest.fixture(params=["libyaml", "python"], autouse=True)
def parser(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> str:
    """Both of PyYAML's parsers: not every build has libyaml."""
    if request.param == "python":
        monkeypatch.setattr(document, "_libyaml", None)
    elif document._libyaml is None:
        pytest.skip("PyYAML was built without libyaml")
    return str(request.param)


def test_ten_megabytes_are_refused_by_their_size() -> None:
    assert "yaml_bytes_max" in refused(b"a: " + b"x" * 10_000_000)
    assert Document("f", b"a: " + b"x" * (yaml_bytes_max - 3)).root is not None


def test_a_billion_laughs_are_refused_before_anything_expands() -> None:
    lines = ["a: &a [x, x, x, x, x, x, x, x, x, x]"]
    for before, name in zip("abcdefghijk", "bcdefghijkl", strict=True):
        lines.append(f"{name}: &{name} [" + ", ".join([f"*{before}"] * 10) + "]")
    assert "yaml_aliases_max" in refused("\n".join(lines).encode())


def test_aliases_within_the_bound_are_fine() -> None:
    body = b"a: &a x\nb: [" + b"*a, " * yaml_aliases_max + b"]"
    assert Document("f", body).root is not None


@pytest.mark.parametrize("pair", [b"[]", b"{}"])
def test_deep_nesting_is_refused(pair: bytes) -> None:
    assert "yaml_depth_max" in refused(pair[:1] * 100_000)
    assert "yaml_depth_max" in refused(pair[:1] * (yaml_depth_max + 1) + pair[1:] * (yaml_depth_max + 1))


def test_deep_nesting_by_indentation_is_refused() -> None:
    text = "\n".join(" " * depth + "a:" for depth in range(300))
    assert "yaml_depth_max" in refused(text.encode())


def test_many_small_nodes_are_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(document, "yaml_nodes_max", 1000)  # its true size is met in test_hostile.py
    assert "yaml_nodes_max" in refused(b"[" + b"1," * 1000 + b"]")
    assert Document("f", b"[" + b"1," * 999 + b"]").root is not None


def test_a_list_that_holds_itself_ends() -> None:
    assert Document("f", b"&a [*a]").root is not None


@pytest.mark.parametrize(
    ("raw", "found"),
    [
        (b"\x00", ":1: not valid YAML: the character U+0000"),
        (b"a: 1\nb: \x07", ":2: not valid YAML: the character U+0007"),
        (b"a: 1\n\xff", ":2: not UTF-8"),
        (b"\x7fELF\x02\x01\x01\x00\x80", "not UTF-8"),
        (b"a:\n\tb: 1", ":2:1: not valid YAML: while scanning for the next token; found character"),
        (b"a:\n\tb: 1", "that cannot stand here (indent with spaces)"),
        (b"a: [1", "not valid YAML: while parsing a flow sequence"),
        (b"a: b: c", ":1:5: not valid YAML: mapping values are not allowed"),
        (b"a: 1\n---\na: 2", "expected a single document"),
        (b"a: *nobody", "undefined alias"),
        (b"%YAML 9.9\n---\na: 1", "not valid YAML"),
        (b"a: !!binary |", None),
        ("a: 1\n".encode("utf-16"), "not UTF-8"),
    ],
)
def test_what_is_not_yaml_is_refused_where_it_stands(raw: bytes, found: str | None) -> None:
    if found is None:
        assert Document("f", raw).root is not None  # the tag is the reader's to refuse
    else:
        assert found in refused(raw)


def test_the_line_of_an_error_is_not_shown_because_it_may_hold_a_secret() -> None:
    assert "hunter2" not in refused(b"server: {token: hunter2: }}")


def test_a_byte_order_mark_is_no_error() -> None:
    assert Document("f", b"\xef\xbb\xbfa: 1").root is not None


@pytest.mark.parametrize("raw", [b"", b"# nothing\n", b"---\n"])
def test_an_empty_file_has_no_tree_or_an_empty_one(raw: bytes) -> None:
    root = Document("f", raw).root
    assert root is None or root.value == ""


@given(
    st.binary(max_size=400)
    | st.text(max_size=200).map(str.encode)
    | st.text("{}[]&*a:- \n\t'\"|>!%@", max_size=60).map(str.encode)
)
def test_any_bytes_give_a_tree_or_one_clear_error(raw: bytes) -> None:
    found = ""
    try:
        Document("f", raw)
    except ConfigurationError as error:
        found = str(error)
    assert "\n" not in found


def test_the_nearest_word_is_found_only_when_it_is_near() -> None:
    assert nearest("worker", ["workers", "name"]) == "workers"
    assert nearest("xyz", ["workers", "name"]) is None
