"""Closed-loop load: so many keep-alive connections, each asks again as soon as it has its answer.

``python -m benchmarks.gateway.load FILE`` reads one JSON object (`Order`) on standard input and puts one (`Result`)
into FILE when it is done: whole or not at all.
"""

from __future__ import annotations

import asyncio
import sys
import time
from pathlib import Path
from typing import cast

import httptools
import msgspec
import uvloop


class Order(msgspec.Struct):
    """What to ask whom, and how long. Connections take turns over `ports` (more than one: no gateway in between)."""

    ports: list[int]
    headers: dict[str, str]
    body: str
    connections: int
    duration_s: float
    timeout_s: float = 10.0


class Result(msgspec.Struct):
    """Every exchange: when it ended (seconds since 1970), how long it took (s), who answered ("" : an error)."""

    ended: list[float]
    took: list[float]
    by: list[str]
    errors: dict[str, int]


class Client(asyncio.Protocol):
    """One connection; it opens itself again whenever it is closed."""

    def __init__(self, port: int, request: bytes, order: Order, result: Result, until: float) -> None:
        self._loop = asyncio.get_running_loop()
        self._port = port
        self._request = request
        self._order = order
        self._result = result
        self._until = until
        self._begun = 0.0
        self._waiting = False
        self.done = self._loop.create_future()

    async def connect(self) -> None:
        self._begun = time.time()
        try:
            await asyncio.wait_for(self._loop.create_connection(lambda: self, "127.0.0.1", self._port), 5)
        except OSError as error:
            self._waiting = True
            self._over("", type(error).__name__)
            self._loop.call_later(0.02, self._again)

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport = cast(asyncio.Transport, transport)  # uvloop's are not instances of it
        self._ask()

    def _ask(self) -> None:
        now = time.time()
        if now >= self._until:
            self._transport.close()
            if not self.done.done():
                self.done.set_result(None)
            return
        self._parser = httptools.HttpResponseParser(self)
        self._body: list[bytes] = []
        self._begun = now
        self._waiting = True
        self._timer = self._loop.call_later(self._order.timeout_s, self._late)
        self._transport.write(self._request)

    def data_received(self, data: bytes) -> None:
        try:
            self._parser.feed_data(data)
        except httptools.HttpParserError:
            self._over("", "not HTTP")
            self._transport.abort()

    def on_body(self, body: bytes) -> None:
        self._body.append(body)

    def on_message_complete(self) -> None:
        status = self._parser.get_status_code()
        if status == 200:
            body = b"".join(self._body)
            at = body.find(b'"model"')
            self._over(body[at + 7 : at + 40].split(b'"')[1].decode() if at >= 0 else "?")
        else:
            self._over("", str(status))
        if self._parser.should_keep_alive():
            self._loop.call_soon(self._ask)
        else:
            self._transport.close()

    def connection_lost(self, exc: Exception | None) -> None:
        if self._waiting:
            self._over("", "closed")
        self._again()

    def _again(self) -> None:
        if time.time() < self._until:
            self._task = self._loop.create_task(self.connect())
        elif not self.done.done():
            self.done.set_result(None)

    def _late(self) -> None:
        self._over("", "time-out")
        self._transport.abort()

    def _over(self, by: str, error: str = "") -> None:
        if not self._waiting:
            return
        self._waiting = False
        now = time.time()
        if hasattr(self, "_timer"):
            self._timer.cancel()
        self._result.ended.append(now)
        self._result.took.append(now - self._begun)
        self._result.by.append(by)
        if error:
            self._result.errors[error] = self._result.errors.get(error, 0) + 1


async def main(order: Order) -> Result:
    result = Result([], [], [], {})
    body = order.body.encode()
    lines = [b"POST /v1/chat/completions HTTP/1.1", b"host: 127.0.0.1", b"content-type: application/json"]
    lines += [f"{name}: {value}".encode() for name, value in order.headers.items()]
    lines += [b"content-length: %d" % len(body), b"", body]
    request = b"\r\n".join(lines)
    until = time.time() + order.duration_s
    ports = [order.ports[index % len(order.ports)] for index in range(order.connections)]
    clients = [Client(port, request, order, result, until) for port in ports]
    await asyncio.gather(*(client.connect() for client in clients))
    await asyncio.wait([client.done for client in clients], timeout=order.duration_s + order.timeout_s + 5)
    return result


if __name__ == "__main__":
    there = Path(sys.argv[1])
    given = msgspec.json.decode(sys.stdin.readline(), type=Order)
    found = uvloop.run(main(given))
    part = there.with_suffix(".part")
    part.write_bytes(msgspec.json.encode(found))
    part.replace(there)
