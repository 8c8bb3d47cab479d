"""What `up` shows of its processes."""

from __future__ import annotations

import io
import json

import pytest
from rich.console import Console

from outlast.cell import event as news
from outlast.cell.member import ChildView
from outlast.cli.board import document_of, line_of, table_of

EVENTS: list[news.CellEvent] = [
    news.ChildStarted("worker_1", "worker", "", 7),
    news.ChildReady("server_1", "server", "", 0.5, address="http://127.0.0.1:1"),
    news.ChildSilent("worker_1", "worker", ""),
    news.ChildBack("worker_1", "worker", ""),
    news.ChildLeaving("worker_1", "worker", ""),
    news.ChildKilled("worker_1", "worker", "", "2 GiB of memory\x1b[2J"),
    news.ChildDead("worker_1", "worker", "", -9, 1.5, 0.25),
    news.ChildDead("worker_1", "worker", "", 0, 1.5),
    news.ChildSaid("worker_1", "error", "a\nb"),
    news.CellFailed("configuration", "no app"),
    news.CellStopped(),
]


@pytest.mark.parametrize("event", EVENTS, ids=lambda event: type(event).__name__)
def test_every_event_is_one_line_that_drives_no_terminal_and_one_json_object(event: news.CellEvent) -> None:
    assert {type(known) for known in EVENTS} == set(news.CellEvent.__args__)
    line = line_of(event)
    assert (line is None) == isinstance(event, news.ChildStarted)
    assert line is None or not {"\n", "\x1b"} & set(line.plain)
    document = json.loads(json.dumps(document_of(event, 12.3456)))
    assert (document["t"], document["at"]) == (type(event).__name__, 12.346)


def test_a_death_says_how_and_what_follows() -> None:
    line = line_of(EVENTS[6])
    assert line is not None
    assert line.plain == "worker worker_1 ended by signal 9, after 1.5 s; another one starts in 250 ms"


def test_the_table_shows_every_process_its_load_and_its_memory() -> None:
    children = [
        ChildView("writer_1", "writer", "", "up", 11, 0, 30 << 20, 90.0),
        ChildView("worker_1", "worker", "default", "up", 12, 3, 50 << 20, 90.0),
        ChildView("worker_2", "worker", "heavy", "silent", 13, 2, 0, 95.0, solo_for="run_9"),
    ]
    screen = Console(file=io.StringIO(), width=120)
    screen.print(table_of(children, "http://127.0.0.1:7788", "desk", 100.0))
    text = screen.file.getvalue()  # type: ignore[attr-defined] # it is the StringIO above
    assert "http://127.0.0.1:7788  5 runs in flight" in text
    assert "worker of heavy, only for run_9" in text
    for part in ("writer_1", "30 MiB", "10.0 s", "silent", "Ctrl-C once"):
        assert part in text


def test_before_anything_serves_it_says_so() -> None:
    screen = Console(file=io.StringIO(), width=120)
    screen.print(table_of([], "", "desk", 1.0))
    assert "starting …" in screen.file.getvalue()  # type: ignore[attr-defined] # it is the StringIO above
