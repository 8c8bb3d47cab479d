"""An emulator of AWS as a process of its own, and a proxy before it that can refuse or cut calls."""

from __future__ import annotations

import os
import shutil
import socket
import subprocess
import sys
import time
import urllib.error
import urllib.request
from collections.abc import AsyncIterator, Iterator, Mapping
from contextlib import asynccontextmanager, contextmanager
from pathlib import Path

import pytest
from aiohttp import ClientSession, web


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


def _program(name: str) -> str:
    found = shutil.which(name, path=f"{Path(sys.executable).parent}{os.pathsep}{os.environ.get('PATH', '')}")
    if found is None:
        if os.environ.get("CI") == "true":
            pytest.fail(f"{name} is not installed: pip install {name}")
        pytest.skip(f"{name} is not installed: pip install {name}")
    return found


@contextmanager
def _serving(command: list[str], url: str, environ: Mapping[str, str], log: Path) -> Iterator[str]:
    with log.open("wb") as out:
        process = subprocess.Popen(command, stdout=out, stderr=subprocess.STDOUT, env={**os.environ, **environ})
    try:
        end = time.monotonic() + 60
        while True:
            try:
                urllib.request.urlopen(url, timeout=1).close()
                break
            except urllib.error.HTTPError:
                break  # it speaks
            except OSError:
                if process.poll() is not None or time.monotonic() > end:
                    pytest.fail(f"{command[0]} did not start: {log.read_text()[-2000:]}")
                time.sleep(0.05)
        yield url
    finally:
        process.kill()
        process.wait()


@contextmanager
def ministack(directory: Path) -> Iterator[str]:
    """Its address."""
    port = free_port()
    environ = {"BIND_HOST": "127.0.0.1", "IOT_MTLS_ENABLED": "0", "SFTP_ENABLED": "0", "GATEWAY_PORT": str(port)}
    with _serving([_program("ministack")], f"http://127.0.0.1:{port}", environ, directory / "ministack.log") as url:
        yield url


@contextmanager
def moto(directory: Path, calls_before_policies: int = 1_000_000) -> Iterator[str]:
    """Its address. After so many calls it enforces IAM policies."""
    port = free_port()
    environ = {"INITIAL_NO_AUTH_ACTION_COUNT": str(calls_before_policies)}
    command = [_program("moto_server"), "-H", "127.0.0.1", "-p", str(port)]
    with _serving(command, f"http://127.0.0.1:{port}/moto-api/", environ, directory / "moto.log") as url:
        yield url.removesuffix("/moto-api/")


class Proxy:
    """Stands before an emulator; counts calls by what they ask, and answers in its place when told to."""

    def __init__(self, behind: str) -> None:
        self.url = ""
        self.calls: list[str] = []
        self.errors: list[tuple[int, str]] = []
        """Status and code of the next answers; 0: the connection is cut. The last one stays if `for_ever`."""
        self.for_ever = False
        self._behind = behind

    async def answer(self, request: web.Request) -> web.StreamResponse:
        body = await request.read()
        self.calls.append(request.headers.get("X-Amz-Target", "").rpartition(".")[2])
        if self.errors:
            status, code = self.errors[0] if self.for_ever else self.errors.pop(0)
            if status == 0:
                assert request.transport is not None
                request.transport.abort()
                return web.Response()
            answer = {"__type": code, "message": f"{code} by the proxy"}
            return web.json_response(answer, status=status, content_type="application/x-amz-json-1.1")
        headers = {name: value for name, value in request.headers.items() if name.lower() != "host"}
        async with ClientSession() as session, session.post(self._behind, data=body, headers=headers) as got:
            return web.Response(body=await got.read(), status=got.status, content_type=got.content_type)


@asynccontextmanager
async def proxied(behind: str) -> AsyncIterator[Proxy]:
    proxy = Proxy(behind)
    application = web.Application()
    application.router.add_route("*", "/{path:.*}", proxy.answer)
    runner = web.AppRunner(application)
    await runner.setup()
    site = web.TCPSite(runner, "127.0.0.1", 0)
    await site.start()
    assert site._server is not None
    proxy.url = f"http://127.0.0.1:{site._server.sockets[0].getsockname()[1]}"  # type: ignore[attr-defined] # asyncio's
    try:
        yield proxy
    finally:
        await runner.cleanup()
