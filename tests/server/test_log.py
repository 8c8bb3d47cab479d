from __future__ import annotations

import io
import json
import logging

from outlast.adapters.host.clock import SystemClock
from outlast.kernel.error import NotFound
from outlast.server.log import Log


def lines(stream: io.StringIO) -> list[dict[str, object]]:
    return [json.loads(line) for line in stream.getvalue().splitlines()]


SCOPE = {
    "type": "http",
    "method": "GET",
    "path": "/v1/runs",
    "query_string": b"secret=1",
    "headers": [(b"x", b"secret")],
}


def test_each_line_is_one_json_object_with_a_time_and_a_level() -> None:
    stream = io.StringIO()
    log = Log(stream, SystemClock(), requests=True)
    log.answered(SCOPE, 200, 0.01234)
    log.broken_off({**SCOPE, "path": "/a\nb\ud800"}, NotFound("x"))
    first, second = lines(stream)
    assert (first["event"], first["status"], first["ms"], first["level"]) == ("request", 200, 12.34, "info")
    assert isinstance(first["at"], float)
    assert (second["event"], second["path"], second["code"]) == ("response broken off", "/a\nb?", "not_found")
    assert "secret" not in stream.getvalue()


def test_the_token_never_stands_in_a_line_and_texts_are_bounded() -> None:
    stream = io.StringIO()
    log = Log(stream, SystemClock(), secret="correct-horse-battery")
    log.failed(SCOPE, ValueError("bad correct-horse-battery " + "x" * 10_000))
    assert "correct-horse" not in stream.getvalue()
    assert len(stream.getvalue()) < 2_000


def test_records_of_the_standard_library_are_relayed_from_errors_on() -> None:
    stream = io.StringIO()
    logger, handler = logging.getLogger("theirs"), Log(stream, SystemClock()).handler()
    logger.addHandler(handler)
    logger.warning("not this")
    logger.error("but %s", "this")
    logger.removeHandler(handler)
    assert [(line["event"], line["logger"], line["text"]) for line in lines(stream)] == [
        ("library", "theirs", "but this")
    ]
