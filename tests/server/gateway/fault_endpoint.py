"""A model endpoint that misbehaves as it is told: a real process, with real sockets.

``python -m tests.server.gateway.fault_endpoint NAME [PORT]`` prints its port. ``GET /_do/FAULT`` sets what every later
request to ``/v1/chat/completions`` meets, ``GET /_asked`` how many there were. A good answer is `WORDS`, in that order.
"""

from __future__ import annotations

import asyncio
import json
import socket
import struct
import sys

WORDS = [f"w{index} " for index in range(10)]
SLOW_S = 2.0


def completion(name: str) -> bytes:
    choice = {"index": 0, "message": {"role": "assistant", "content": "".join(WORDS)}, "finish_reason": "stop"}
    usage = {"prompt_tokens": 5, "completion_tokens": 10, "total_tokens": 15}
    answer = {"id": "c1", "object": "chat.completion", "created": 1, "model": name, "choices": [choice], "usage": usage}
    return json.dumps(answer).encode()


def frames(name: str) -> list[bytes]:
    """The role, each word, the end, `[DONE]`."""

    def chunk(delta: dict[str, str], finish: str | None = None) -> bytes:
        choice = {"index": 0, "delta": delta, "finish_reason": finish}
        body = {"id": "c1", "object": "chat.completion.chunk", "created": 1, "model": name, "choices": [choice]}
        return b"data: " + json.dumps(body).encode() + b"\n\n"

    words = [chunk({"content": word}) for word in WORDS]
    return [chunk({"role": "assistant", "content": ""}), *words, chunk({}, "stop"), b"data: [DONE]\n\n"]


def head(status: int, kind: str, length: int | None, *more: str) -> bytes:
    lines = [f"HTTP/1.1 {status} Said", f"content-type: {kind}", *more]
    lines.append("transfer-encoding: chunked" if length is None else f"content-length: {length}")
    return ("\r\n".join(lines) + "\r\n\r\n").encode()


def chunked(data: bytes) -> bytes:
    return b"%x\r\n%b\r\n" % (len(data), data)


class Endpoint:
    def __init__(self, name: str) -> None:
        self.name = name
        self.fault = "none"
        self.asked = 0
        self.left = 0
        """Requests whose client went before the end of the answer."""

    async def connected(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        try:
            while True:
                request = await reader.readuntil(b"\r\n\r\n")
                path = request.split(b" ", 2)[1].decode()
                length = next(
                    (int(line[15:]) for line in request.lower().split(b"\r\n") if line.startswith(b"content-length:")),
                    0,
                )
                body = await reader.readexactly(length) if length else b""
                if path.startswith("/_"):
                    writer.write(self.told(path))
                elif path.endswith("/chat/completions"):
                    self.asked += 1
                    try:
                        if not await self.answer(writer, reader, b'"stream":true' in body.replace(b" ", b"")):
                            return
                    except ConnectionError:
                        self.left += 1
                        return
                else:
                    models = json.dumps({"object": "list", "data": [{"id": "m", "object": "model"}]}).encode()
                    writer.write(head(200, "application/json", len(models)) + models)
                await writer.drain()
        except (asyncio.IncompleteReadError, ConnectionError):
            pass
        finally:
            writer.close()

    def told(self, path: str) -> bytes:
        if path.startswith("/_do/"):
            self.fault = path.removeprefix("/_do/")
        said = json.dumps({"asked": self.asked, "left": self.left}).encode()
        return head(200, "application/json", len(said)) + said

    async def answer(self, writer: asyncio.StreamWriter, reader: asyncio.StreamReader, stream: bool) -> bool:
        """One answer; False: the connection is to be closed."""
        fault = self.fault
        good = completion(self.name)
        if fault == "reset_before_headers":
            return reset(writer)
        if fault == "silence":
            await asyncio.sleep(3600)
        if fault == "slow":
            await asyncio.sleep(SLOW_S)
        if fault.isdigit() or fault.startswith("429"):
            more = ["retry-after: 1"] if fault == "429_retry_after" else []
            said = json.dumps({"error": {"message": "told to", "type": "fault", "code": fault}}).encode()
            writer.write(head(int(fault[:3]), "application/json", len(said), *more) + said)
            return True
        if fault == "wrong_content_type":
            page = b"<html>welcome</html>"
            writer.write(head(200, "text/html", len(page)) + page)
            return True
        if fault == "empty":
            writer.write(head(200, "text/event-stream" if stream else "application/json", 0))
            return True
        return await (self.streamed(writer, reader, fault) if stream else self.whole(writer, fault, good))

    async def whole(self, writer: asyncio.StreamWriter, fault: str, good: bytes) -> bool:
        if fault in ("reset_after_headers", "cut_before_content"):
            writer.write(head(200, "application/json", len(good)))
            await writer.drain()
            return reset(writer)
        if fault in ("cut_in_body", "cut_after_content"):
            writer.write(head(200, "application/json", len(good)) + good[: len(good) // 2])
            await writer.drain()
            return False
        if fault == "malformed":
            good = good[:-9] + b'"}]]]oops'
        if fault == "error_in_200":
            good = json.dumps({"error": {"message": "the engine died", "type": "server_error"}}).encode()
        if fault == "no_content":
            good = json.dumps({"id": "c1", "object": "chat.completion", "model": self.name, "choices": []}).encode()
        if fault == "drip":
            writer.write(head(200, "application/json", 1 << 20))
            return await drip(writer, b" ")
        if fault == "oversized":
            writer.write(head(200, "application/json", None) + chunked(b'{"x": "'))
            return await flood(writer)
        writer.write(head(200, "application/json", len(good)) + good)
        return True

    async def streamed(self, writer: asyncio.StreamWriter, reader: asyncio.StreamReader, fault: str) -> bool:
        writer.write(head(200, "text/event-stream", None))
        await writer.drain()
        if fault == "reset_after_headers":
            return reset(writer)
        role, *words = frames(self.name)
        writer.write(chunked(role))
        await writer.drain()
        if fault in ("cut_before_content", "cut_in_body"):
            return False
        if fault == "error_in_200":
            writer.write(chunked(b'data: {"error": {"message": "the engine died", "type": "server_error"}}\n\n'))
            return True
        if fault == "malformed":
            writer.write(chunked(b"data: {oops\n\n"))
            return True
        if fault == "no_content":
            writer.write(chunked(words[-1]) + b"0\r\n\r\n")
            return True
        if fault == "drip":
            return await drip(writer, chunked(b": still here\n\n"))
        if fault == "oversized":
            writer.write(chunked(b"data: "))
            return await flood(writer)
        for index, frame in enumerate(words):
            if index == 4:
                if fault == "cut_after_content":
                    return False
                if fault == "reset_after_content":
                    return reset(writer)
                if fault == "error_after_content":
                    writer.write(
                        chunked(b'data: {"error": {"message": "the engine died", "type": "server_error"}}\n\n')
                    )
                    return True
                if fault == "silence_after_content":
                    await asyncio.sleep(3600)
            if fault == "endless":
                while await reader_is_there(reader):
                    writer.write(chunked(frame))
                    await writer.drain()
                raise ConnectionError
            writer.write(chunked(frame))
            await writer.drain()
        writer.write(b"0\r\n\r\n")
        return True


async def reader_is_there(reader: asyncio.StreamReader) -> bool:
    await asyncio.sleep(0.02)
    return not reader.at_eof()


def reset(writer: asyncio.StreamWriter) -> bool:
    """Close with RST."""
    found = writer.get_extra_info("socket")
    found.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
    writer.transport.abort()
    return False


async def drip(writer: asyncio.StreamWriter, piece: bytes) -> bool:
    """A little now and then, for ever."""
    while True:
        writer.write(piece)
        await writer.drain()
        await asyncio.sleep(0.1)


async def flood(writer: asyncio.StreamWriter) -> bool:
    """Up to 64 MiB, as fast as they are taken."""
    piece = chunked(b"x" * 65536)
    for _ in range(1024):
        writer.write(piece)
        await writer.drain()
    return False


async def main(name: str, port: int) -> None:
    endpoint = Endpoint(name)
    server = await asyncio.start_server(endpoint.connected, "127.0.0.1", port)
    sys.stdout.write(f"{server.sockets[0].getsockname()[1]}\n")
    sys.stdout.flush()
    await server.serve_forever()


if __name__ == "__main__":
    asyncio.run(main(sys.argv[1], int(sys.argv[2]) if len(sys.argv) > 2 else 0))
