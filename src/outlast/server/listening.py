"""A listening socket: bound where it was asked, and refused where it would be open to others."""

from __future__ import annotations

import ipaddress
import os
import socket

from outlast.blueprint.schema import Listen
from outlast.kernel.error import ConfigurationError


def listen_on(listen: Listen, backlog: int, open_because: str) -> socket.socket:
    """A socket that listens there; beyond this machine only if nothing speaks against it.

    `open_because` says why it would be open to all and what to set, empty if it is not. Raises ConfigurationError.
    """
    try:
        family, _, _, _, address = socket.getaddrinfo(
            listen.host, listen.port, type=socket.SOCK_STREAM, flags=socket.AI_PASSIVE
        )[0]
    except (OSError, UnicodeError) as error:
        raise ConfigurationError(f"address {listen} is not known: {error}; use 127.0.0.1 and a port") from None
    if open_because and not _is_loopback(str(address[0])):
        raise ConfigurationError(
            f"address {listen} can be reached from other machines, and {open_because}, or listen on 127.0.0.1"
        )
    # the protocol is named because asyncio turns Nagle's algorithm off only where it is: 44 ms a request otherwise
    listening = socket.socket(family, socket.SOCK_STREAM, socket.IPPROTO_TCP)
    try:
        listening.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        listening.setblocking(False)
        listening.bind(address)
        listening.listen(backlog)
    except OSError as error:
        listening.close()
        why = os.strerror(error.errno).lower() if error.errno else str(error)
        raise ConfigurationError(
            f"address {listen} cannot be used: {why}; use another port, or 0 for any free one"
        ) from None
    return listening


def is_local(listening: socket.socket) -> bool:
    """Whether only this machine can reach it."""
    return _is_loopback(str(listening.getsockname()[0]))


def where(listening: socket.socket) -> Listen:
    """Its host and port."""
    host, port = listening.getsockname()[:2]
    return Listen(host, port)


def _is_loopback(host: str) -> bool:
    return ipaddress.ip_address(host.partition("%")[0]).is_loopback
