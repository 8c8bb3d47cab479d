"""A model server for tests on a real socket: says what a test has it say, and remembers what it was asked."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Awaitable, Callable
from typing import Any

Handler = Callable[["Asked", asyncio.StreamWriter], Awaitable[None]]


class Asked:
    """One request as it arrived."""

    def __init__(self, target: str, headers: dict[str, str], body: bytes, reader: asyncio.StreamReader) -> None:
        self.target = target
        self.headers = headers
        self.body = body
        self.reader = reader

    @property
    def json(self) -> Any:
        return json.loads(self.body)


class ModelServer:
    """``async with ModelServer(handler) as server: server.url``. Without a handler it answers as a chat model does.

    `asked` are the requests so far, `open` the connections that brought some and are open.
    """

    def __init__(self, handler: Handler | None = None) -> None:
        self.handler: Handler = handler or completion
        self.asked: list[Asked] = []
        self.open = 0
        self._server: asyncio.Server | None = None
        self._writers: set[asyncio.StreamWriter] = set()
        self._port = 0

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self._port}/v1"

    async def __aenter__(self) -> ModelServer:
        await self.start()
        return self

    async def __aexit__(self, *_: object) -> None:
        await self.stop()

    async def start(self) -> None:
        self._server = await asyncio.start_server(self._serve, "127.0.0.1", self._port, reuse_address=True)
        self._port = self._server.sockets[0].getsockname()[1]

    async def stop(self) -> None:
        """As a killed process: nobody listens, every connection is reset."""
        assert self._server is not None
        self._server.close()
        for writer in list(self._writers):
            writer.transport.abort()
        await self._server.wait_closed()

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self._writers.add(writer)
        counted = False
        try:
            while True:
                head = (await reader.readuntil(b"\r\n\r\n")).decode("latin-1").split("\r\n")
                headers = {name.lower(): value.strip() for name, _, value in (line.partition(":") for line in head[1:])}
                body = await reader.readexactly(int(headers.get("content-length", "0")))
                if head[0].startswith("GET "):  # a check of the pool's, not a request
                    writer.write(whole({"object": "list", "data": []}))
                    continue
                self.open += not counted
                counted = True
                asked = Asked(head[0].split(" ")[1], headers, body, reader)
                self.asked.append(asked)
                await self.handler(asked, writer)
                await writer.drain()
        except (asyncio.IncompleteReadError, ConnectionError, asyncio.CancelledError):
            pass
        finally:
            self.open -= counted
            self._writers.discard(writer)
            writer.close()


def whole(document: Any, status: int = 200, headers: str = "", kind: str = "application/json") -> bytes:
    """A JSON answer."""
    body = document if isinstance(document, bytes) else json.dumps(document).encode()
    head = f"HTTP/1.1 {status} Whatever\r\nContent-Type: {kind}\r\nContent-Length: {len(body)}\r\n{headers}\r\n"
    return head.encode() + body


STREAM = b"HTTP/1.1 200 OK\r\nContent-Type: text/event-stream\r\nTransfer-Encoding: chunked\r\n\r\n"


def piece(data: bytes) -> bytes:
    """A chunk."""
    return b"%x\r\n%b\r\n" % (len(data), data)


LAST = b"0\r\n\r\n"


def event(document: Any) -> bytes:
    """A frame of an event stream."""
    return b"data: " + (document if isinstance(document, bytes) else json.dumps(document).encode()) + b"\n\n"


def chat_answer(text: str = "hello", model: str = "m") -> dict[str, Any]:
    return {
        "id": "chatcmpl-1",
        "object": "chat.completion",
        "created": 1,
        "model": model,
        "choices": [{"index": 0, "message": {"role": "assistant", "content": text}, "finish_reason": "stop"}],
        "usage": {"prompt_tokens": 3, "completion_tokens": 2, "total_tokens": 5},
    }


def chat_delta(delta: dict[str, Any], finish: str | None = None) -> bytes:
    return event(
        {
            "id": "chatcmpl-1",
            "object": "chat.completion.chunk",
            "created": 1,
            "model": "m",
            "choices": [{"index": 0, "delta": delta, "finish_reason": finish}],
        }
    )


ROLE = chat_delta({"role": "assistant"})
DONE = event(b"[DONE]")


def words(*texts: str) -> bytes:
    return b"".join(chat_delta({"content": text}) for text in texts)


async def completion(asked: Asked, writer: asyncio.StreamWriter) -> None:
    """What a chat model answers."""
    if asked.json.get("stream"):
        writer.write(STREAM)
        for frame in (ROLE, words("hel"), words("lo"), chat_delta({}, "stop"), DONE):
            writer.write(piece(frame))
        writer.write(LAST)
    else:
        writer.write(whole(chat_answer()))


def says(*pieces: bytes, then: str = "") -> Handler:
    """A handler that writes the same every time; `then`: ``reset``, ``close`` or ``hang``."""

    async def handler(asked: Asked, writer: asyncio.StreamWriter) -> None:
        for one in pieces:
            writer.write(one)
        await writer.drain()
        if then == "reset":
            writer.transport.abort()
        elif then == "close":
            writer.close()
        elif then == "hang":
            await asked.reader.read()  # until the other side goes

    return handler
