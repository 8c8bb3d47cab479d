"""How large an item is, and what it costs to write: DynamoDB's published rules.

Source: "DynamoDB item sizes and formats" and "DynamoDB read and write operations", Amazon DynamoDB Developer Guide.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping
from typing import Any

item_bytes_max = 400 * 1024
"""DynamoDB's bound of one item, names and values of its attributes together: 400 KiB."""

_write_unit_bytes = 1024

Item = Mapping[str, Mapping[str, Any]]
"""An item as the API has it: ``{"pk": {"S": "…"}, …}``."""


def item_bytes(item: Item) -> int:
    """The size of an item: names and values, in bytes."""
    return sum(len(name.encode()) + value_bytes(value) for name, value in item.items())


def value_bytes(value: Mapping[str, Any]) -> int:
    """The size of one value."""
    ((kind, content),) = value.items()
    if kind == "S":
        return len(content.encode())
    if kind == "B":
        return len(content)
    if kind == "N":
        return (len(content.strip("-").replace(".", "").strip("0")) + 1) // 2 + 1 + content.startswith("-")
    if kind == "SS":
        return sum(len(text.encode()) for text in content)
    return 1  # BOOL, NULL: all else that we write


def write_units(*sizes: int) -> int:
    """Units of a write that turns an item of one size into one of another: the larger counts, at least one."""
    return max(1, -(-max(sizes) // _write_unit_bytes))


def index_units(
    old: Item | None, new: Item | None, indexes: Mapping[str, tuple[str, str]], whole: Collection[str]
) -> int:
    """Units of all indexes for a write: one for an entry that comes, goes or changes, two for one that moves.

    `indexes`: the hash and the range key of each. An index holds keys only, one that is in `whole` all of the item.
    """
    units = 0
    for index, keys in indexes.items():
        before, after = _entry(old, keys, index in whole), _entry(new, keys, index in whole)
        if before == after:
            continue
        moved = before is None or after is None or any(before[name] != after[name] for name in keys)
        if moved:
            units += sum(write_units(item_bytes(entry)) for entry in (before, after) if entry is not None)
        elif before is not None and after is not None:
            units += write_units(item_bytes(before), item_bytes(after))
    return units


def _entry(item: Item | None, keys: tuple[str, str], whole: bool) -> Item | None:
    if item is None or any(name not in item for name in keys):
        return None
    return item if whole else {name: item[name] for name in ("pk", "sk", *keys)}
