"""What the small services of this example have in common: one address on this machine, printed when it is ready."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import Iterable

from aiohttp import web

BODY_BYTES_MAX = 16 * 1024 * 1024


async def listen(routes: Iterable[web.RouteDef], port: int) -> None:
    app = web.Application(client_max_size=BODY_BYTES_MAX)
    app.router.add_get("/health", _health)
    app.router.add_routes(routes)
    runner = web.AppRunner(app, access_log=None, shutdown_timeout=1.0)
    await runner.setup()
    await web.TCPSite(runner, "127.0.0.1", port).start()
    print(f"http://127.0.0.1:{runner.addresses[0][1]}", flush=True)
    await asyncio.Event().wait()


async def _health(request: web.Request) -> web.Response:
    return web.json_response({"ok": True})


def serve(routes: Iterable[web.RouteDef], port: int) -> None:
    """Until it is ended. Port 0 takes a free one."""
    with contextlib.suppress(KeyboardInterrupt):
        asyncio.run(listen(routes, port))
