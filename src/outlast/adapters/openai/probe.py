"""Whether a server can be connected, and whether it answers HTTP: two checks that cost it nothing.

No key is sent: a server that says 401 is up. What it says about its own errors (5xx) is believed.
"""

from __future__ import annotations

import asyncio
import functools
import re
import ssl

from outlast.adapters.openai.origin import Origin, parse_origin
from outlast.model.endpoint import EndpointUnavailable
from outlast.model.member import Member
from outlast.policy.health import Layer

_STATUS = re.compile(rb"HTTP/1\.[01] ([1-5][0-9][0-9])[ \r]")
_line_bytes_max = 4096


async def probe(member: Member, layer: Layer, timeout_s: float) -> None:
    """Connect to a member; for its application, ask ``GET /v1/models`` too. Raises EndpointUnavailable.

    The caller bounds it by `timeout_s`; the TLS handshake keeps to that by itself too.
    """
    origin = parse_origin(member.url)
    try:
        reader, writer = await asyncio.open_connection(
            origin.host,
            origin.port,
            ssl=_context() if origin.secure else None,
            ssl_handshake_timeout=timeout_s if origin.secure else None,
            limit=_line_bytes_max,
        )
    except (OSError, ValueError) as error:
        reason = error.strerror if isinstance(error, OSError) and error.strerror else str(error)
        raise EndpointUnavailable(f"{member.url} cannot be connected: {reason.lower()}") from None
    try:
        if layer != "connection":
            await _ask(reader, writer, origin, member)
    except (OSError, ValueError, asyncio.IncompleteReadError) as error:
        raise EndpointUnavailable(f"{member.url} broke off: {error}") from None
    finally:
        writer.transport.abort()


@functools.cache
def _context() -> ssl.SSLContext:
    """Made once: it reads all the machine's certificates, which takes longer than a check."""
    return ssl.create_default_context()


async def _ask(reader: asyncio.StreamReader, writer: asyncio.StreamWriter, origin: Origin, member: Member) -> None:
    lines = (
        f"GET {origin.path}/models HTTP/1.1",
        f"Host: {origin.authority}",
        "User-Agent: outlast",
        "Accept: */*",
        "Connection: close",
    )
    writer.write("\r\n".join((*lines, "", "")).encode())
    line = await reader.readline()
    match = _STATUS.match(line)
    if match is None:
        found = "nothing" if not line else "no HTTP"
        raise EndpointUnavailable(f"{member.url} answered {found}, expected an HTTP status")
    if match[1] >= b"500":
        raise EndpointUnavailable(f"{member.url} answered {match[1].decode()}")
