"""Every bound of the gateway: its name, its unit, its default."""

from __future__ import annotations

import msgspec


class GatewayLimits(msgspec.Struct, frozen=True):
    """Bounds of one gateway process. Sizes are bytes, times are seconds."""

    head_bytes_max: int = 32 * 1024
    """Request line and header lines of one request; beyond it 431."""
    body_bytes_max: int = 16 << 20
    """One request body (pictures travel in it); beyond it 413, before it is read where its length is announced."""
    bodies_bytes_max: int = 256 << 20
    """All request bodies held at once; beyond it 503."""
    response_bytes_max: int = 16 << 20
    """One JSON answer of an endpoint."""
    frame_bytes_max: int = 4 << 20
    """One frame of an event stream, and all frames before the first content."""
    connections_max: int = 4096
    """Open client connections; one more is answered 503 and closed."""
    pipelined_max: int = 8
    """Requests that a client may send ahead on one connection; beyond it they are not answered."""
    head_timeout_s: float = 10.0
    """From the first byte of a request to the end of its headers; then 408."""
    body_timeout_s: float = 60.0
    """From the end of the headers to the end of the body; then 408."""
    keep_alive_s: float = 75.0
    """An idle connection between two requests."""
    stall_s: float = 30.0
    """A client that takes nothing of its answer for so long is dropped."""
    write_buffer_bytes_max: int = 256 * 1024
    """What a slow client may leave unread before its endpoint is made to wait."""
    linger_s: float = 2.0
    """How long a client that is refused may take to read why."""
    deadline_s: float = 600.0
    """One request from its arrival to the end of its answer, retries included."""
    drain_s: float = 30.0
    """How long a stopping gateway waits for the answers under way."""
    sweep_s: float = 0.5
    """How often time-outs of connections are looked at."""
