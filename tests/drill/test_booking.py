from __future__ import annotations

from pathlib import Path

from outlast.drill.failover.booking import Booking, BookLedger


def test_a_line_that_is_being_written_is_not_there_yet(tmp_path: Path) -> None:
    ledger = BookLedger(tmp_path / "ledger")
    assert list(ledger.all()) == []
    first, second = Booking("r1", 1, "key-1", 7), Booking("r1", 2, "key-2", 7)
    ledger.write(first)
    whole = (tmp_path / "ledger").read_bytes()
    for cut in range(1, len(whole)):
        (tmp_path / "ledger").write_bytes(whole + whole[:cut])
        assert list(ledger.all()) == [first]
    (tmp_path / "ledger").write_bytes(whole)
    ledger.write(second)
    assert (ledger.find("key-2"), ledger.find("key-3")) == (second, None)
