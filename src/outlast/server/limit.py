"""Every bound of the HTTP server: its name, its unit, its default."""

from __future__ import annotations

import msgspec


class Limits(msgspec.Struct, frozen=True):
    """Bounds of one server process. Sizes are bytes, times are seconds."""

    body_bytes_max: int = 1 << 20
    """One request body; larger ones are refused with 413, before they are read where their length is announced."""
    header_bytes_max: int = 16 * 1024
    """All header lines of one request together; beyond it 431."""
    header_count_max: int = 64
    """Header lines of one request; beyond it 431."""
    target_bytes_max: int = 4 * 1024
    """Path and query together; beyond it 414."""
    json_depth_max: int = 64
    """Objects and arrays inside each other in a body; beyond it 400."""
    connections_max: int = 1024
    """Open connections; one more is answered 503 and closed."""
    requests_max: int = 128
    """Requests being answered at once, followers not counted; one more is answered 503."""
    starts_max: int = 112
    """Of these, requests that start a run of one agent; one more is answered 503, and its neighbours keep places."""
    followers_max: int = 256
    """Clients that follow events or wait for an end; one more is answered 503."""
    header_timeout_s: float = 10.0
    """From a connection's first byte of a request to the end of its headers; then 408."""
    body_timeout_s: float = 30.0
    """From the end of the headers to the end of the body; then 408."""
    request_timeout_s: float = 30.0
    """From the end of the headers to the end of the response, followers excepted; then 504."""
    keep_alive_s: float = 15.0
    """An idle connection between two requests."""
    wait_max_s: float = 60.0
    """The most that ``Prefer: wait=`` is honoured for."""
    heartbeat_s: float = 15.0
    """A follower that hears nothing else hears a comment this often."""
    poll_s: float = 1.0
    """How often a follower looks into the store by itself, behind the notices."""
    follower_stall_s: float = 10.0
    """A follower that takes nothing for this long is dropped."""
    follow_max_s: float = 3600.0
    """A follower is told to come back after this time."""
    page_events_max: int = 1000
    """Events in one JSON page."""
    page_bytes_max: int = 4 << 20
    """A JSON page of events, or what a follower is sent at once, ends after the event that passes this size."""
    answer_bytes_max: int = 48 << 20
    """One JSON answer; a run with more than this in its steps is shown without their values when asked so."""
    list_runs_max: int = 200
    """Runs in one page of the list."""
    probe_timeout_s: float = 2.0
    """How long `/readyz` waits for each of the store's answers."""
    discard_bytes_max: int = 4 << 20
    """How much of a refused body is read and thrown away, so that the client gets to read the refusal."""
    linger_s: float = 2.0
    """How long a closing connection may take to read what it was sent, or to stop sending."""
    drain_s: float = 5.0
    """How long a stopping server waits for the requests it is answering."""


text_end = r"$(?!\n)"
"""The end of a pattern, for JSON Schema and for Python alike, whose ``$`` would let a line break follow."""

name_pattern = "^[A-Za-z0-9][A-Za-z0-9_.-]{0,127}" + text_end
"""What `kernel.identity.check_name` accepts, as OpenAPI shows it."""

idempotency_key_pattern = "^[!#-~]{1,128}" + text_end
"""Visible ASCII without the double quote: what an ``Idempotency-Key`` may be."""
