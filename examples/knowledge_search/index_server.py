"""A small vector search with a process of its own, so that it can be slow, frozen or dead.

``python index_server.py [PORT]``; ``GET /search?q=...`` gives the nearest passages. Port 0 takes a free one; the
address is printed when it is ready.
"""

from __future__ import annotations

import asyncio
import contextlib
import json
import sys
from pathlib import Path

from aiohttp import web
from embedding import open_embedding

HERE = Path(__file__).parent


async def serve(port: int) -> None:
    embedding = open_embedding()
    passages = json.loads((HERE / "passages.json").read_text())
    vectors = {one["id"]: embedding.vector(f"{one['title']}. {one['text']}") for one in passages}

    async def search(request: web.Request) -> web.Response:
        asked = await asyncio.to_thread(embedding.vector, request.query.get("q", "")[:1_000])
        near = {name: sum(a * b for a, b in zip(asked, vector, strict=True)) for name, vector in vectors.items()}
        best = sorted(near, key=lambda name: near[name], reverse=True)[:3]
        return web.json_response({"passages": best, "by": f"vectors ({embedding.name})"})

    app = web.Application()
    app.router.add_get("/search", search)
    runner = web.AppRunner(app)
    await runner.setup()
    site = web.TCPSite(runner, "127.0.0.1", port)
    await site.start()
    print(f"http://127.0.0.1:{runner.addresses[0][1]}", flush=True)
    await asyncio.Event().wait()


if __name__ == "__main__":
    with contextlib.suppress(KeyboardInterrupt):
        asyncio.run(serve(int(sys.argv[1]) if len(sys.argv) > 1 else 8765))
