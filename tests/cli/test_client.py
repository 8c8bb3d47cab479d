"""The HTTP client, against a real server on loopback that misbehaves on demand."""

from __future__ import annotations

import contextlib
import json
import threading
from collections.abc import Callable, Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

import pytest

from outlast.cli import client as module
from outlast.cli.client import Client
from outlast.cli.exit import Unavailable
from outlast.cli.remote import Remote
from outlast.kernel import error as errors

Answer = Callable[["Handler"], None]


class Handler(BaseHTTPRequestHandler):
    """Hands each request to the test's function and remembers what was asked."""

    protocol_version = "HTTP/1.1"
    answer: Answer
    seen: list[Handler]

    def do_GET(self) -> None:
        length = int(self.headers.get("Content-Length", "0"))
        self.sent = json.loads(self.rfile.read(length)) if length else None
        self.seen.append(self)
        self.close_connection = True
        type(self).answer(self)

    def do_POST(self) -> None:
        self.do_GET()

    def log_message(self, format: str, *args: Any) -> None:
        """Say nothing."""

    def reply(self, status: int, body: bytes, kind: str = "application/json") -> None:
        self.send_response(status)
        self.send_header("Content-Type", kind)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def stream(self, *blocks: str) -> None:
        """Server-sent events, and then the connection ends."""
        self.send_response(200)
        self.send_header("Content-Type", "text/event-stream")
        self.end_headers()
        for block in blocks:
            self.wfile.write(block.encode())
            self.wfile.flush()


@contextlib.contextmanager
def serving(answer: Answer) -> Iterator[tuple[str, list[Handler]]]:
    """The address of a server that answers so, and the requests that it saw."""
    kind = type("Bound", (Handler,), {"answer": staticmethod(answer), "seen": []})
    with ThreadingHTTPServer(("127.0.0.1", 0), kind) as server:
        thread = threading.Thread(target=server.serve_forever, args=(0.02,))
        thread.start()
        try:
            yield f"http://127.0.0.1:{server.server_address[1]}", kind.seen
        finally:
            server.shutdown()
            thread.join()


def remote(address: str) -> Remote:
    return Remote(lambda: Client(address))


def event(number: int, kind: str = "step.done") -> str:
    data = json.dumps({"seq": number, "at": 1.0, "type": kind, "data": {}})
    return f"id: {number}\nevent: {kind}\ndata: {data}\n\n"


def test_documents_queries_bodies_and_the_token_go_over_the_wire() -> None:
    with serving(lambda request: request.reply(200, b'{"a": 1}')) as (address, seen):
        client = Client(address, token="hunter2hunter2hunter2")
        assert client.get("/v1/runs", {"state": "held", "agent": None, "limit": 3}) == {"a": 1}
        assert client.post("/v1/x", {"input": "ä"}, {"Idempotency-Key": "k"}) == {"a": 1}
        assert seen[0].path == "/v1/runs?state=held&limit=3"
        assert seen[0].headers["Authorization"] == "Bearer hunter2hunter2hunter2"
        assert seen[1].sent == {"input": "ä"}
        assert seen[1].headers["Idempotency-Key"] == "k"


@pytest.mark.parametrize("name", ["", "a/b", "../runs"])
def test_a_name_that_would_be_another_path_is_refused_and_not_asked_for(name: str) -> None:
    with serving(lambda request: request.reply(404, b"{}")) as (address, seen):
        access = remote(address)
        for ask in (
            lambda: access.view(name),
            lambda: access.signal("run_1", name, 1, None),
            lambda: access.start(name, {}, None, None),
            lambda: access.stop_agent(name, ""),
            lambda: access.session(name),
        ):
            with pytest.raises(errors.UsageError, match="is not valid: use 1 to 128 letters"):
                ask()
        assert seen == []


@pytest.mark.parametrize(
    ("status", "code", "kind"),
    [
        (404, "not_found", errors.NotFound),
        (409, "conflict", errors.Conflict),
        (422, "type_mismatch", errors.TypeMismatch),
        (413, "body_too_large", errors.PayloadTooLarge),
        (400, "bad_request", errors.UsageError),
        (401, "unauthorized", errors.ConfigurationError),
        (503, "store_unavailable", errors.StoreUnavailable),
        (503, "overloaded", Unavailable),
        (504, "took_too_long", Unavailable),
        (500, "store_corrupt", errors.StoreCorrupt),
        (500, "outlast", errors.OutlastError),
    ],
)
def test_what_the_server_refuses_is_raised_as_its_own_kind(
    status: int, code: str, kind: type[errors.OutlastError]
) -> None:
    body = json.dumps({"status": status, "detail": "the reason", "code": code}).encode()
    with (
        serving(lambda request: request.reply(status, body, "application/problem+json")) as (address, _),
        pytest.raises(kind, match="the reason"),
    ):
        Client(address).get("/v1/runs")


def test_an_answer_that_is_not_ours_is_said_to_be_none() -> None:
    with (
        serving(lambda request: request.reply(200, b"<html>")) as (address, _),
        pytest.raises(Unavailable, match="is it an outlast server"),
    ):
        Client(address).get("/v1/runs?token=x")
    with (
        serving(lambda request: request.reply(418, b"<html>")) as (address, _),
        pytest.raises(errors.OutlastError, match="status 418"),
    ):
        Client(address).get("/v1/runs")


def test_nobody_there_is_unavailable_and_says_what_to_do() -> None:
    with serving(lambda request: request.reply(200, b"")) as (address, _):
        pass
    with pytest.raises(Unavailable, match="is `outlast up` running"):
        Client(address).get("/livez")


def test_a_server_that_never_answers_is_given_up() -> None:
    hold = threading.Event()
    with serving(lambda request: hold.wait(20)) as (address, _):  # type: ignore[arg-type,return-value] # answers nothing
        with pytest.raises(Unavailable, match="no answer in time"):
            Client(address, timeout_s=0.05).get("/livez")
        hold.set()


def test_an_answer_beyond_its_bound_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "answer_bytes_max", 10)
    with (
        serving(lambda request: request.reply(200, b'"0123456789"')) as (address, _),
        pytest.raises(errors.PayloadTooLarge, match="answer_bytes_max"),
    ):
        Client(address).get("/")


def test_events_are_parsed_as_the_standard_says() -> None:
    body = ": a comment\n\nretry: 1000\n\nid:7\nevent: x\ndata: a\ndata: b\n\ndata: last\r\n\r\ndata: broken off"
    with serving(lambda request: request.stream(body)) as (address, seen):
        found = [(item.id, item.type, item.data) for item in Client(address).events("/e", 3)]
        assert found == [("7", "x", "a\nb"), ("", "message", "last")]
        assert seen[0].headers["Last-Event-ID"] == "3"


def test_a_line_without_end_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "line_bytes_max", 100)
    with (
        serving(lambda request: request.stream("data: " + "x" * 1000)) as (address, _),
        pytest.raises(errors.PayloadTooLarge),
    ):
        list(Client(address).events("/e", 0))


def test_a_follower_comes_back_where_it_was_until_the_last_event() -> None:
    answers: list[Answer] = [
        lambda request: request.stream(event(1), event(2), "id: 3\nevent: step.do"),  # breaks off inside an event
        lambda request: request.reply(503, b'{"code": "stopping", "detail": "in a moment"}'),
        lambda request: request.stream(event(3), "event: outlast.stopping\ndata: {}\n\n"),
        lambda request: request.stream(event(4, "run.completed")),
    ]

    def next_answer(request: Handler) -> None:
        answers.pop(0)(request)

    with serving(next_answer) as (address, seen):
        found = [item["seq"] for item in remote(address).follow("run_1")]
        assert found == [1, 2, 3, 4]
        assert [request.headers["Last-Event-ID"] for request in seen] == ["0", "2", "2", "3"]
        assert not answers


def test_a_follower_of_a_run_that_is_over_ends_at_once() -> None:
    with serving(lambda request: request.reply(204, b"")) as (address, _):
        assert list(remote(address).follow("run_1", after=9)) == []


def test_a_follower_gives_up_when_nobody_comes_back(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("outlast.cli.remote.follow_patience_s", 0.3)
    with serving(lambda request: request.reply(503, b"{}")) as (address, seen), pytest.raises(Unavailable):
        list(remote(address).follow("run_1"))
    assert len(seen) > 1


def test_an_error_in_the_stream_is_raised() -> None:
    problem = json.dumps({"detail": "its history is broken", "code": "store_corrupt"})
    with (
        serving(lambda request: request.stream(f"event: outlast.error\ndata: {problem}\n\n")) as (address, _),
        pytest.raises(errors.OutlastError, match="its history is broken"),
    ):
        list(remote(address).follow("run_1"))


def test_lists_are_read_page_by_page_up_to_the_limit() -> None:
    def answer(request: Handler) -> None:
        first = "before" not in request.path
        page = {"runs": [{"run": "a"}] * 200, "next": "a"} if first else {"runs": [{"run": "b"}] * 50, "next": None}
        request.reply(200, json.dumps(page).encode())

    with serving(answer) as (address, seen):
        assert len(remote(address).runs(None, None, None, 1000)["runs"]) == 250
        assert "before=a" in seen[1].path


def test_a_list_of_several_pages_is_as_old_as_the_oldest_of_them() -> None:
    ages: list[float | None] = [1.5, 0.5, 1.5, None]

    def answer(request: Handler) -> None:
        more = len(seen) % 2
        page = {"runs": [{"run": "a"}], "next": "a" if more else None, "behind_s": ages[len(seen) - 1]}
        request.reply(200, json.dumps(page).encode())

    with serving(answer) as (address, seen):
        assert remote(address).runs(None, None, None, 1000)["behind_s"] == 1.5
        assert remote(address).runs(None, None, None, 1000)["behind_s"] is None
    with serving(lambda request: request.reply(200, b'{"runs": [], "next": null}')) as (address, _):
        assert remote(address).runs(None, None, None, 1000) == {"runs": []}


def test_names_in_paths_cannot_leave_their_place() -> None:
    with serving(lambda request: request.reply(200, b"{}")) as (address, seen):
        remote(address).view("..%2Fagents?x=1#y")
        assert seen[0].path == "/v1/runs/..%252Fagents%3Fx%3D1%23y"
