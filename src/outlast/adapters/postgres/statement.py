"""What is said to the database for a round of appends: one statement, which is one transaction.

A record is inserted if the record that ends right before it is there, with the hash that was expected. Records are
immutable and follow each other without a gap, so whoever continues the same end asks for the same primary key: one gets
it. A run's patch is applied if its append was. All processes take rows in the same order, records before runs: they
wait for each other, never in a circle.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from msgspec import UNSET

from outlast.adapters.postgres.session import Values
from outlast.journal.commit import Write
from outlast.journal.index import HintPatch, RunEntry
from outlast.kernel.error import UsageError

hint_text_bytes_max = 1024
"""Bound of each text of a hint but `reason`, 1 KiB: they stand in indexes."""

FIELDS = RunEntry.__struct_fields__
_COUNTERS = ("mail", "seen")
_TYPES = {"wake_at": "float8", "created_at": "float8", "updated_at": "float8", "mail": "int8", "seen": "int8"}
_default = RunEntry("")
_bits = {name: 1 << index for index, name in enumerate(FIELDS)}

_RECORDS = """
    INSERT INTO record (stream, seq, count, body, hash)
    SELECT w.stream, w.seq, w.count, w.body, w.hash
    FROM unnest(%b::text[], %b::int8[], %b::int8[], %b::text[], %b::bytea[], %b::bytea[])
        AS w(stream, seq, count, body, hash, before)
    WHERE w.seq = 1 OR (
        SELECT r.seq + r.count = w.seq AND r.hash = w.before
        FROM record r WHERE r.stream = w.stream AND r.seq < w.seq ORDER BY r.seq DESC LIMIT 1
    )
    ORDER BY w.stream COLLATE "C"
    ON CONFLICT (stream, seq) DO NOTHING
    RETURNING stream
"""
_RECORD = """
    INSERT INTO record (stream, seq, count, body, hash)
    SELECT %(stream)b::text, %(seq)b::int8, %(count)b::int8, %(body)b::text, %(hash)b::bytea
    WHERE %(seq)b = 1 OR (
        SELECT r.seq + r.count = %(seq)b AND r.hash = %(before)b::bytea
        FROM record r WHERE r.stream = %(stream)b AND r.seq < %(seq)b ORDER BY r.seq DESC LIMIT 1
    )
    ON CONFLICT (stream, seq) DO NOTHING
    RETURNING stream
"""
# what else is asked in the same round trip: how long the log is, and whether commits still wait for a standby
_WITH_LSN = "(SELECT pg_wal_lsn_diff(pg_current_wal_insert_lsn(), '0/0')::int8)"
_WITHOUT_LSN = "0::int8"
_GUARDED = "(SELECT current_setting('synchronous_standby_names') <> '')"


def _changed(name: str) -> str:
    new = f"greatest(r.{name}, excluded.{name})" if name in _COUNTERS else f"excluded.{name}"
    return f"{name} = CASE WHEN excluded.said & {_bits[name]} <> 0 THEN {new} ELSE r.{name} END"


_COLUMNS = ", ".join(FIELDS)
_PATCHES = f"""
    INSERT INTO run AS r ({_COLUMNS}, said)
    SELECT {", ".join(f"h.{name}" for name in FIELDS)}, h.said
    FROM unnest(%b::text[], {", ".join(f"%b::{_TYPES.get(name, 'text')}[]" for name in FIELDS)}, %b::int8[])
        AS h(stream, {_COLUMNS}, said)
    WHERE h.stream = ANY ((SELECT array_agg(stream) FROM written)::text[])
    ORDER BY h.run COLLATE "C"
    ON CONFLICT (run) DO UPDATE
    SET {", ".join(_changed(name) for name in FIELDS if name != "run")}, said = excluded.said
"""  # noqa: S608 (names of fields)


def _appending(*, with_lsn: bool) -> tuple[str, str, str]:
    more = f"{_WITH_LSN if with_lsn else _WITHOUT_LSN}, {_GUARDED}"
    return (
        f"{_RECORD}, {more}",
        f"{_RECORDS}, {more}",
        f"WITH written AS ({_RECORDS}), patched AS ({_PATCHES}) SELECT stream, {more} FROM written",  # noqa: S608
    )


_APPENDING = (_appending(with_lsn=False), _appending(with_lsn=True))


def appending(writes: Sequence[Write], *, with_lsn: bool) -> tuple[str, Values]:
    """The statement of a round, and its values: rows of stream, length of the log, whether standbys are waited for."""
    lone, plain, hinted = _APPENDING[with_lsn]
    hints = [(write.append.stream, write.append.hint) for write in writes if write.append.hint is not None]
    if hints:
        return hinted, _record_values(writes) + _patch_values(hints)
    if len(writes) == 1:
        return lone, _lone_values(writes[0])
    return plain, _record_values(writes)


HEADS = """
    SELECT w.stream, e.seq, e.hash FROM unnest(%b::text[]) AS w(stream) CROSS JOIN LATERAL (
        SELECT r.seq + r.count - 1 AS seq, r.hash FROM record r WHERE r.stream = w.stream ORDER BY r.seq DESC LIMIT 1
    ) e
"""
BARRIER = "SELECT pg_logical_emit_message(true, 'outlast', ''), current_setting('synchronous_standby_names') <> ''"
"""Writes a word to the log that means nothing: when its commit is replicated, so is all that was before it."""


def _lone_values(write: Write) -> dict[str, Any]:
    append = write.append
    return {
        "stream": append.stream,
        "seq": append.expected.seq + 1,
        "count": append.count,
        "body": append.body.decode(),
        "hash": write.head.hash,
        "before": append.expected.hash,
    }


def _record_values(writes: Sequence[Write]) -> list[Any]:
    return [
        [write.append.stream for write in writes],
        [write.append.expected.seq + 1 for write in writes],
        [write.append.count for write in writes],
        [write.append.body.decode() for write in writes],
        [write.head.hash for write in writes],
        [write.append.expected.hash for write in writes],
    ]


def _patch_values(hints: Sequence[tuple[str, HintPatch]]) -> list[Any]:
    rows = [_row(patch) for _, patch in hints]
    columns = [list(column) for column in zip(*rows, strict=True)]
    return [[stream for stream, _ in hints], *columns]


def _row(patch: HintPatch) -> list[Any]:
    said = 0
    row: list[Any] = []
    for name in FIELDS:
        value = getattr(patch, name)
        if value is UNSET:
            value = getattr(_default, name)
        else:
            said |= _bits[name]
        if isinstance(value, str):
            row.append(value.replace("\x00", "\ufffd"))
        else:
            row.append(int(value) if name in _COUNTERS else float(value))
    return [*row, said]


def check_patch(patch: HintPatch) -> None:
    """What these tables refuse: it must not fail the neighbours in its round. Raises UsageError."""
    for name in FIELDS:
        value = getattr(patch, name)
        size = len(value.encode()) if name != "reason" and isinstance(value, str) else 0
        if size > hint_text_bytes_max:
            raise UsageError(
                f"hint of run {patch.run[:128]!r}: {name} is {size} bytes, the bound hint_text_bytes_max is "
                f"{hint_text_bytes_max}"
            )
