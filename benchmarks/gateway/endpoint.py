"""A model endpoint that costs next to nothing: the same chat completion for every request, after a delay.

``python -m benchmarks.gateway.endpoint NAME PORT DELAY_MS [SLOTS]``. It says its name as the completion's
``model``, so that the load generator sees who answered.
"""

from __future__ import annotations

import asyncio
import collections
import json
import sys
from collections.abc import Callable
from typing import cast

import httptools
import uvloop


def completion(name: str) -> bytes:
    """About 1 KB of JSON, as chat completions look."""
    message = {"role": "assistant", "content": "word " * 120}
    usage = {"prompt_tokens": 20, "completion_tokens": 120, "total_tokens": 140}
    choice = {"index": 0, "message": message, "finish_reason": "stop", "logprobs": None}
    answer = {
        "id": "chatcmpl-1",
        "object": "chat.completion",
        "created": 1,
        "model": name,
        "choices": [choice],
        "usage": usage,
    }
    return json.dumps(answer).encode()


class Slots:
    """Requests under way at once; the others wait, as they do in front of a real model. 0: no bound."""

    def __init__(self, count: int) -> None:
        self._free = count or 1 << 30
        self._waiting: collections.deque[Callable[[], object]] = collections.deque()

    def take(self, begin: Callable[[], object]) -> None:
        """Call `begin` as soon as there is a slot for it."""
        if self._free > 0:
            self._free -= 1
            begin()
        else:
            self._waiting.append(begin)

    def give_back(self) -> None:
        """A request is over."""
        if self._waiting:
            self._waiting.popleft()()
        else:
            self._free += 1


class Endpoint(asyncio.Protocol):
    """One connection."""

    def __init__(self, name: str, delay_s: float, slots: Slots) -> None:
        self._loop = asyncio.get_running_loop()
        self._delay_s = delay_s
        self._slots = slots
        self._answers = {
            b"/v1/chat/completions": _response(completion(name)),
            b"/v1/models": _response(
                json.dumps({"object": "list", "data": [{"id": name, "object": "model"}]}).encode()
            ),
        }
        self._other = _response(json.dumps({"status": "ok", "model_path": name, "is_generation": True}).encode())
        self._parser = httptools.HttpRequestParser(self)
        self._url = b""

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport = cast(asyncio.Transport, transport)  # uvloop's are not instances of it

    def data_received(self, data: bytes) -> None:
        self._parser.feed_data(data)

    def on_url(self, url: bytes) -> None:
        self._url = url

    def on_message_complete(self) -> None:
        answer = self._answers.get(self._url)
        if answer is None:
            self._transport.write(self._other)
        elif self._delay_s and self._url.endswith(b"completions"):
            self._slots.take(lambda: self._loop.call_later(self._delay_s, self._write, answer))
        else:
            self._transport.write(answer)

    def _write(self, answer: bytes) -> None:
        self._slots.give_back()
        if not self._transport.is_closing():
            self._transport.write(answer)


def _response(body: bytes) -> bytes:
    return b"HTTP/1.1 200 OK\r\ncontent-type: application/json\r\ncontent-length: %d\r\n\r\n%b" % (len(body), body)


async def main(name: str, port: int, delay_ms: float, count: int) -> None:
    loop = asyncio.get_running_loop()
    slots = Slots(count)
    server = await loop.create_server(lambda: Endpoint(name, delay_ms / 1000, slots), "127.0.0.1", port, backlog=1024)
    await server.serve_forever()


if __name__ == "__main__":
    uvloop.run(main(sys.argv[1], int(sys.argv[2]), float(sys.argv[3]), int(sys.argv[4]) if len(sys.argv) > 4 else 0))
