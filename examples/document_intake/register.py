"""The register of documents, which belongs to somebody else: ``python register.py FILE [PORT]``.

``POST /filings`` files whatever it is told, as often as it is told: it has no unique key on purpose, so that a document
that was filed twice would stand there twice. ``GET /filings?key=...`` tells what was filed under a key.
"""

from __future__ import annotations

import asyncio
import os
import sqlite3
import sys
import time
from contextlib import closing
from pathlib import Path
from typing import Any

from aiohttp import web
from serving import serve

COLUMNS = (
    "id INTEGER PRIMARY KEY, key TEXT NOT NULL, ticket TEXT NOT NULL, subject TEXT NOT NULL, amount INTEGER NOT NULL, "
    "pid INTEGER NOT NULL, at REAL NOT NULL, label TEXT NOT NULL, degraded INTEGER NOT NULL"
)
LATENCY_S = 0.03
"""Before and again after it files: the time in which a crash leaves the caller in doubt."""


class Register:
    """`attempt`: what was asked for; `booking`: what was filed. `ticket` is the document; the rest is for auditors."""

    def __init__(self, path: Path) -> None:
        self._path = path
        with closing(self._open()) as base:
            for table in ("attempt", "booking"):
                base.execute(f"CREATE TABLE IF NOT EXISTS {table} ({COLUMNS})")

    async def post(self, request: web.Request) -> web.Response:
        asked = await request.json()
        await asyncio.to_thread(self._insert, "attempt", asked)
        await asyncio.sleep(LATENCY_S)
        number = await asyncio.to_thread(self._insert, "booking", asked)
        await asyncio.sleep(LATENCY_S)
        return web.json_response({"number": number}, status=201)

    async def get(self, request: web.Request) -> web.Response:
        number = await asyncio.to_thread(self._find, request.query.get("key", ""))
        return web.json_response({"number": number})

    def _insert(self, table: str, asked: dict[str, Any]) -> int:
        who = (asked["key"], asked["document"], "filing", 1, os.getpid(), time.time())
        row = (*who, asked["label"], bool(asked["degraded"]))
        names = "key, ticket, subject, amount, pid, at, label, degraded"
        with closing(self._open()) as base:
            done = base.execute(f"INSERT INTO {table} ({names}) VALUES (?, ?, ?, ?, ?, ?, ?, ?)", row)
            return int(done.lastrowid or 0)

    def _find(self, key: str) -> int | None:
        with closing(self._open()) as base:
            row = base.execute("SELECT id FROM booking WHERE key = ? ORDER BY id", (key,)).fetchone()
        return None if row is None else int(row[0])

    def _open(self) -> sqlite3.Connection:
        return sqlite3.connect(self._path, timeout=10.0, isolation_level=None)


if __name__ == "__main__":
    register = Register(Path(sys.argv[1]))
    routes = [web.post("/filings", register.post), web.get("/filings", register.get)]
    serve(routes, int(sys.argv[2]) if len(sys.argv) > 2 else 8774)
