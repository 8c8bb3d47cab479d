"""The books beside the memory file: bounded, taken over from processes that ended, never from one that lives."""

from __future__ import annotations

from pathlib import Path

import pytest

from outlast.adapters.postgres.acknowledged import Acknowledged
from outlast.adapters.postgres.loss import losses_beside, read_losses
from outlast.adapters.postgres.memory import Memory
from outlast.adapters.postgres.session import Standing
from outlast.journal.chain import genesis, link
from outlast.journal.commit import Write
from outlast.journal.stream import Head
from outlast.kernel.error import ConfigurationError, StoreCorrupt, StoreUnavailable
from tests.adapters.postgres.opening import Site, opened
from tests.contracts.note import fill, key, note
from tests.servers.postgres import PostgresServer


def write(number: int) -> Write:
    stream = f"run/r{number}@0.local.abcd"
    append = note(stream, genesis(stream), f"a{number}")
    return Write(append, Head(1, link(append.expected.hash, append.body)))


def test_the_books_of_a_process_that_ended_are_taken_over_once(tmp_path: Path) -> None:
    memory = tmp_path / "postgres.json"
    first = Acknowledged(memory, "db/outlast", "one", 100)
    first.note([write(number) for number in range(5)], "sys", 7)
    living = Acknowledged(memory, "db/outlast", "two", 100)
    assert len(living) == 0, "they are held"
    stranger = Acknowledged(memory, "db/other", "three", 100)
    first.close()
    heir = Acknowledged(memory, "db/outlast", "four", 100)
    assert (len(heir), heir.complete) == (5, True)
    assert len(Acknowledged(memory, "db/outlast", "five", 100)) == 0
    stranger.close()
    assert len(Acknowledged(memory, "db/outlast", "six", 100)) == 0, "those of another schema are left"


def test_of_two_that_begin_at_one_moment_one_takes_the_books_over(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    memory = tmp_path / "postgres.json"
    first = Acknowledged(memory, "db/outlast", "one", 100)
    first.note([write(1), write(2)], "sys", 7)
    first.close()
    begin, others = Acknowledged._begin, list[Acknowledged]()

    def late(self: Acknowledged) -> None:
        if not others:
            others.append(self)
            others.append(Acknowledged(memory, "db/outlast", "three", 100))
        begin(self)

    monkeypatch.setattr(Acknowledged, "_begin", late)
    heir = Acknowledged(memory, "db/outlast", "two", 100)
    assert [len(books) for books in (heir, others[1])] == [2, 0]


def test_a_line_that_was_cut_off_is_passed_over(tmp_path: Path) -> None:
    memory = tmp_path / "postgres.json"
    first = Acknowledged(memory, "db/outlast", "one", 100)
    first.note([write(1), write(2)], "sys", 7)
    first.close()
    (path,) = tmp_path.glob("*.acknowledged-one")
    path.write_bytes(path.read_bytes()[:-9])
    assert len(Acknowledged(memory, "db/outlast", "two", 100)) == 1


def test_they_are_bounded_in_memory_and_on_disk_and_say_that_they_forgot(tmp_path: Path) -> None:
    memory = tmp_path / "postgres.json"
    books = Acknowledged(memory, "db/outlast", "one", 10)
    books.note([write(number) for number in range(10)], "sys", 7)
    assert books.complete
    for number in range(10, 60):
        books.note([write(number)], "sys", 7)
    assert (len(books), books.complete) == (10, False)
    (path,) = tmp_path.glob("*.acknowledged-one")
    assert len(path.read_bytes().splitlines()) <= 22
    books.close()
    assert len(Acknowledged(memory, "db/outlast", "two", 10)) == 10


async def test_the_books_of_another_cluster_prove_nothing_here(
    site: Site, server: PostgresServer, tmp_path: Path
) -> None:
    memory = tmp_path / "postgres.json"
    books = Acknowledged(memory, f"postgres/{site.schema}", "one", 10)
    books.note([write(1)], "another", 7)
    books.close()
    async with opened(site, memory=memory) as engine:
        await fill(engine.journal, key(engine.journal, "a"), 1)
        assert engine.losses() == []


def test_the_highest_standing_wins_whoever_saw_it(tmp_path: Path) -> None:
    path = tmp_path / "new" / "postgres.json"
    one, two = Memory(path), Memory(path)
    one.note(Standing("s", 2, 100))
    two.note(Standing("s", 1, 900))
    two.check(Standing("s", 2, 1), "x")
    with pytest.raises(StoreUnavailable, match="timeline 1, timeline 2"):
        two.check(Standing("s", 1, 900), "x")
    assert Memory(path).known == Standing("s", 2, 100)
    path.write_text("{}")
    with pytest.raises(ConfigurationError, match="not understood"):
        Memory(path)


def test_a_place_that_cannot_be_written_is_named(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    with pytest.raises(StoreUnavailable, match="cannot be kept"):
        Memory(tmp_path / "file" / "postgres.json")
    with pytest.raises(StoreUnavailable, match="cannot be kept beside"):
        Acknowledged(tmp_path / "missing" / "postgres.json", "db/outlast", "one", 10)


def test_losses_that_are_not_understood_are_said(tmp_path: Path) -> None:
    memory = tmp_path / "postgres.json"
    assert read_losses(losses_beside(memory)) == []
    losses_beside(memory).write_text("nonsense\n")
    with pytest.raises(StoreCorrupt):
        read_losses(losses_beside(memory))
