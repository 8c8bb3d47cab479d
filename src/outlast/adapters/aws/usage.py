"""What was asked of AWS, counted in the units that it bills."""

from __future__ import annotations

from collections import Counter


class Usage:
    """Counts of one engine, since it was opened. Units are DynamoDB's request units of on-demand tables.

    A unit is what the server said that a call consumed (`ReturnConsumedCapacity`), or, where it said nothing, what
    DynamoDB's published rule gives for the item's size: `ruled` counts those writes. `ruled_units` is the rule's answer
    for every write, index units included, so that the two can be compared.
    """

    def __init__(self) -> None:
        self.calls: Counter[str] = Counter()
        """Calls by service and operation, such as ``dynamodb:PutItem``, repeated ones included."""
        self.repeated: Counter[str] = Counter()
        """Calls that were a repetition of one that failed."""
        self.failed: Counter[str] = Counter()
        """Calls that failed, by what it meant (`fault.py`)."""
        self.appends = 0
        """Records that were written: one conditional put each."""
        self.writes = 0
        """Items that were written, deleted, or refused by their condition."""
        self.write_units = 0.0
        """Write units of the table, indexes not included."""
        self.index_units = 0.0
        """Write units of its indexes."""
        self.read_units = 0.0
        self.ruled = 0
        self.ruled_units = 0.0
        self.hints_lost = 0
        """Hints about runs that were given up: the sweep finds those runs."""

    @property
    def all_write_units(self) -> float:
        """Of the table and its indexes, without replicas."""
        return self.write_units + self.index_units
