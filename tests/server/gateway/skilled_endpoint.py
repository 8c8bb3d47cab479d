"""A model endpoint that adds numbers, as well as it is told to: a real process, with real sockets.

``python -m tests.server.gateway.skilled_endpoint PORT SKILL`` prints its port. Of the questions ``A + B`` it answers
SKILL in ten right. ``POST /_publish/PATH`` sets what ``GET /PATH`` gives.
"""

from __future__ import annotations

import asyncio
import json
import sys

from tests.server.gateway.fault_endpoint import head


class Endpoint:
    def __init__(self, skill: int) -> None:
        self.skill = skill
        self.published: dict[str, tuple[str, bytes]] = {}

    async def connected(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        try:
            while True:
                request = (await reader.readuntil(b"\r\n\r\n")).decode().split("\r\n")
                headers = {name.lower(): value.strip() for name, _, value in (line.partition(":") for line in request)}
                body = await reader.readexactly(int(headers.get("content-length", "0")))
                path = request[0].split(" ")[1]
                writer.write(self.answer(path, headers.get("content-type", ""), body))
                await writer.drain()
        except (asyncio.IncompleteReadError, ConnectionError):
            pass
        finally:
            writer.close()

    def answer(self, path: str, kind: str, body: bytes) -> bytes:
        if path.endswith("/chat/completions"):
            return self.completion(json.loads(body)["messages"][-1]["content"])
        if path.startswith("/_publish/"):
            self.published[path.removeprefix("/_publish")] = (kind, body)
        if path in self.published:
            kind, page = self.published[path]
            return head(200, kind, len(page)) + page
        found = 404 if path in ("/metrics", "/slots") else 200
        return head(found, "application/json", 2) + b"{}"

    def completion(self, question: str) -> bytes:
        first, _, second = question.partition("+")
        right = int(first) % 10 < self.skill
        answer = {
            "id": "c1",
            "object": "chat.completion",
            "created": 1,
            "model": f"adder-{self.skill}",
            "choices": [
                {
                    "index": 0,
                    "message": {"role": "assistant", "content": str(int(first) + int(second)) if right else "no idea"},
                    "finish_reason": "stop",
                }
            ],
            "usage": {"prompt_tokens": 4, "completion_tokens": 1, "total_tokens": 5},
        }
        said = json.dumps(answer).encode()
        return head(200, "application/json", len(said)) + said


async def main(port: int, skill: int) -> None:
    server = await asyncio.start_server(Endpoint(skill).connected, "127.0.0.1", port)
    sys.stdout.write(f"{server.sockets[0].getsockname()[1]}\n")
    sys.stdout.flush()
    await server.serve_forever()


if __name__ == "__main__":
    asyncio.run(main(int(sys.argv[1]), int(sys.argv[2])))
