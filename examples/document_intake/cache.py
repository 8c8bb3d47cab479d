"""Keeps extractions for a while, in memory: ``python cache.py [PORT]``. What is lost with it is made again.

``GET`` and ``PUT /entries/{digest}``; the least recently used goes first.
"""

from __future__ import annotations

import sys
from collections import OrderedDict

from aiohttp import web
from serving import serve

ENTRIES_MAX = 10_000


class Cache:
    def __init__(self) -> None:
        self._entries: OrderedDict[str, bytes] = OrderedDict()

    async def put(self, request: web.Request) -> web.Response:
        self._entries[request.match_info["digest"]] = await request.read()
        self._entries.move_to_end(request.match_info["digest"])
        if len(self._entries) > ENTRIES_MAX:
            self._entries.popitem(last=False)
        return web.json_response({"kept": True})

    async def get(self, request: web.Request) -> web.Response:
        digest = request.match_info["digest"]
        if digest not in self._entries:
            return web.json_response(None)
        self._entries.move_to_end(digest)
        return web.Response(body=self._entries[digest], content_type="application/json")


if __name__ == "__main__":
    cache = Cache()
    where = "/entries/{digest}"
    serve([web.put(where, cache.put), web.get(where, cache.get)], int(sys.argv[1]) if len(sys.argv) > 1 else 8773)
