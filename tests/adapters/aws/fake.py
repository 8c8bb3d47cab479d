"""Bedrock's and SageMaker's runtimes as far as we use them: a real server on loopback that speaks their protocol.

It says what it was asked, and answers as it is told. What it pretends is written after the API reference and botocore's
models; only AWS knows whether AWS does the same.
"""

from __future__ import annotations

import asyncio
import binascii
import json
import struct
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

from aiohttp import web

WORDS = ["one ", "two ", "three"]
USAGE = {"inputTokens": 7, "outputTokens": 3, "totalTokens": 10}


def event(kind: str, payload: bytes, message: str = "event", *, content: str = "application/json") -> bytes:
    """One message of ``application/vnd.amazon.eventstream``."""
    headers = b""
    for name, value in ((f":{message}-type", kind), (":content-type", content), (":message-type", message)):
        headers += bytes([len(name)]) + name.encode() + b"\x07" + struct.pack(">H", len(value)) + value.encode()
    prelude = struct.pack(">II", 16 + len(headers) + len(payload), len(headers))
    head = prelude + struct.pack(">I", binascii.crc32(prelude))
    whole = head + headers + payload
    return whole + struct.pack(">I", binascii.crc32(whole))


def json_event(kind: str, body: dict[str, Any]) -> bytes:
    return event(kind, json.dumps(body).encode())


class Fake:
    def __init__(self) -> None:
        self.asked: list[dict[str, Any]] = []
        self.error: tuple[int, str, dict[str, str]] | None = None
        """Status, code, headers of what is refused."""
        self.stop = "end_turn"
        self.cut_after: int | None = None
        """A stream breaks off after so many events."""
        self.hang = False
        self.broken = ""
        """An exception in the stream, by its name."""
        self.tool = False
        self.invoke_works = False
        """SageMaker answers whatever Bedrock refuses."""

    async def converse(self, request: web.Request) -> web.StreamResponse:
        body = await request.json()
        self.asked.append({"model": request.match_info["model"], **body})
        if self.hang:
            await asyncio.sleep(3600)
        if self.error is not None:
            return self.refused()
        content: list[dict[str, Any]] = [{"text": "".join(WORDS)}]
        if self.tool:
            content = [{"toolUse": {"toolUseId": "t1", "name": "look", "input": {"at": 3}}}]
        message = {"role": "assistant", "content": content}
        return web.json_response(
            {"output": {"message": message}, "stopReason": self.stop, "usage": USAGE, "metrics": {"latencyMs": 5}}
        )

    async def converse_stream(self, request: web.Request) -> web.StreamResponse:
        self.asked.append({"model": request.match_info["model"], **(await request.json())})
        if self.error is not None:
            return self.refused()
        deltas = [json_event("contentBlockDelta", {"delta": {"text": word}, "contentBlockIndex": 0}) for word in WORDS]
        if self.tool:
            start = {"start": {"toolUse": {"toolUseId": "t1", "name": "look"}}, "contentBlockIndex": 0}
            parts = ('{"at"', ": 3}")
            deltas = [
                json_event("contentBlockStart", start),
                *(
                    json_event("contentBlockDelta", {"delta": {"toolUse": {"input": part}}, "contentBlockIndex": 0})
                    for part in parts
                ),
            ]
        events = [
            json_event("messageStart", {"role": "assistant"}),
            *deltas,
            json_event("contentBlockStop", {"contentBlockIndex": 0}),
            json_event("messageStop", {"stopReason": self.stop}),
            json_event("metadata", {"usage": USAGE, "metrics": {"latencyMs": 5}}),
        ]
        return await self.stream(request, events)

    async def invoke(self, request: web.Request) -> web.StreamResponse:
        self.asked.append({"endpoint": request.match_info["name"], **(await request.json())})
        if self.error is not None and not self.invoke_works:
            return self.refused()
        choice = {"index": 0, "message": {"role": "assistant", "content": "".join(WORDS)}, "finish_reason": "stop"}
        usage = {"prompt_tokens": 7, "completion_tokens": 3, "total_tokens": 10}
        return web.json_response({"object": "chat.completion", "model": "own", "choices": [choice], "usage": usage})

    async def invoke_stream(self, request: web.Request) -> web.StreamResponse:
        self.asked.append({"endpoint": request.match_info["name"], **(await request.json())})
        if self.error is not None and not self.invoke_works:
            return self.refused()
        chunks = [{"choices": [{"index": 0, "delta": {"content": word}, "finish_reason": None}]} for word in WORDS]
        chunks.append({"choices": [{"index": 0, "delta": {}, "finish_reason": "stop"}]})
        text = b"".join(b"data: " + json.dumps(chunk).encode() + b"\n\n" for chunk in chunks) + b"data: [DONE]\n\n"
        # Parts end anywhere, also within a frame.
        parts = [text[start : start + 37] for start in range(0, len(text), 37)]
        kind = "application/octet-stream"
        return await self.stream(request, [event("PayloadPart", part, content=kind) for part in parts])

    async def stream(self, request: web.Request, events: list[bytes]) -> web.StreamResponse:
        response = web.StreamResponse(headers={"content-type": "application/vnd.amazon.eventstream"})
        await response.prepare(request)
        for number, each in enumerate(events):
            if number == self.cut_after:
                if self.broken:
                    await response.write(event(self.broken, b'{"message": "it broke"}', "exception"))
                elif self.hang:
                    await asyncio.sleep(3600)
                else:
                    assert request.transport is not None
                    request.transport.close()
                    return response
                break
            await response.write(each)
        await response.write_eof()
        return response

    def refused(self) -> web.Response:
        assert self.error is not None
        status, code, headers = self.error
        told = {"message": "told to"}
        return web.json_response(told, status=status, headers={"x-amzn-errortype": code, **headers})


@asynccontextmanager
async def fake_aws() -> AsyncIterator[tuple[Fake, str]]:
    """The server and its address."""
    fake = Fake()
    app = web.Application()
    app.router.add_post("/model/{model}/converse", fake.converse)
    app.router.add_post("/model/{model}/converse-stream", fake.converse_stream)
    app.router.add_post("/endpoints/{name}/invocations", fake.invoke)
    app.router.add_post("/endpoints/{name}/invocations-response-stream", fake.invoke_stream)
    runner = web.AppRunner(app, shutdown_timeout=0.1)
    await runner.setup()
    site = web.TCPSite(runner, "127.0.0.1", 0)
    await site.start()
    try:
        yield fake, f"http://127.0.0.1:{runner.addresses[0][1]}"
    finally:
        await runner.cleanup()
