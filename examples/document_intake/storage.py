"""Where documents lie: ``python storage.py DIRECTORY [PORT]``.

``PUT`` and ``GET /documents/{place}/{id}``; a document is durable before it is acknowledged.
"""

from __future__ import annotations

import asyncio
import os
import re
import sys
from pathlib import Path

from aiohttp import web
from serving import serve

NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]{0,99}")


class Storage:
    def __init__(self, directory: Path) -> None:
        self._directory = directory

    async def put(self, request: web.Request) -> web.Response:
        path = self._path(request)
        await asyncio.to_thread(_write, path, await request.read())
        return web.json_response({"stored": True}, status=201)

    async def get(self, request: web.Request) -> web.Response:
        try:
            return web.Response(body=await asyncio.to_thread(self._path(request).read_bytes))
        except FileNotFoundError:
            raise web.HTTPNotFound(text="no such document") from None

    def _path(self, request: web.Request) -> Path:
        place, name = request.match_info["place"], request.match_info["id"]
        if not (NAME.fullmatch(place) and NAME.fullmatch(name)):
            raise web.HTTPBadRequest(text="a place and an id are letters, digits, dots and dashes, 100 at most")
        return self._directory / place / name


def _write(path: Path, raw: bytes) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    part = path.with_name(f"{path.name}.part")
    with part.open("wb") as file:
        file.write(raw)
        file.flush()
        os.fsync(file.fileno())
    part.replace(path)


if __name__ == "__main__":
    storage = Storage(Path(sys.argv[1]))
    where = "/documents/{place}/{id}"
    serve([web.put(where, storage.put), web.get(where, storage.get)], int(sys.argv[2]) if len(sys.argv) > 2 else 8771)
