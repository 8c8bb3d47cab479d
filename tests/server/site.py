"""A real server on a loopback port, and clients that talk to it: a polite one, and a raw socket for the others."""

from __future__ import annotations

import asyncio
import io
import json
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from typing import Any

import aiohttp
import msgspec
from yarl import URL

from outlast.adapters.host.clock import SystemClock
from outlast.adapters.host.randomness import OsRandomness
from outlast.adapters.memory.blob import MemoryBlobs
from outlast.adapters.memory.store import MemoryStore
from outlast.agent import event as ev
from outlast.agent.app import App
from outlast.agent.control import Control
from outlast.agent.create import run_key
from outlast.agent.platform import Platform
from outlast.blueprint.schema import Listen
from outlast.journal.blob import Payload
from outlast.journal.index import HintPatch
from outlast.journal.record import make_append
from outlast.journal.stream import Applied
from outlast.kernel.codec import encode
from outlast.kernel.identity import new_id
from outlast.server.limit import Limits
from outlast.server.openapi import make_document
from outlast.server.serve import serve
from tests.server.contract import Contract


class NobodyLives:
    """Executors of a host without workers."""

    async def confirm_dead(self, worker: str) -> bool:
        return True


def memory_platform() -> Platform:
    store = MemoryStore()
    return Platform(SystemClock(), OsRandomness(), store, store, store, MemoryBlobs(), NobodyLives())


def desk() -> App[None]:
    """An app with agents of several shapes; none of them runs unless a worker does."""
    app: App[None] = App("desk")

    @app.agent
    async def support(run: Any, message: str, urgent: bool = False) -> dict[str, int]:
        """Answer a customer."""
        return {"length": len(message)}

    @app.agent
    async def total(run: Any, numbers: list[float]) -> float:
        """Add numbers up."""
        return sum(numbers)

    @app.agent
    async def quiet(run: Any) -> None:
        """Take nothing, give nothing."""

    return app


@dataclass
class Answer:
    status: int
    headers: Mapping[str, str]
    body: bytes

    @property
    def json(self) -> Any:
        return json.loads(self.body)

    @property
    def code(self) -> str:
        """The code of a problem document, which this must be."""
        assert self.headers["content-type"] == "application/problem+json", self.body
        problem = self.json
        assert problem["status"] == self.status
        assert set(problem) == {"type", "title", "status", "detail", "code", "retryable"}
        return problem["code"]


@dataclass
class Told:
    """One server-sent event."""

    id: str | None
    type: str
    data: Any


def app_of(control: Control) -> App[Any]:
    assert control.app is not None
    return control.app


@dataclass
class Site:
    address: str
    control: Control
    log: io.StringIO
    stop: asyncio.Event
    http: aiohttp.ClientSession
    beats: list[int] = field(default_factory=list)
    contract: Contract = field(init=False)

    def __post_init__(self) -> None:
        self.contract = Contract(make_document(app_of(self.control), authenticated=False))

    @property
    def platform(self) -> Platform:
        return self.control.platform

    @property
    def busy(self) -> int:
        """Requests and followers at the last beat."""
        return self.beats[-1]

    @property
    def port(self) -> int:
        return int(self.address.rpartition(":")[2])

    async def ask(
        self, method: str, path: str, data: bytes | None = None, headers: Mapping[str, str] | None = None
    ) -> Answer:
        """One request. Whatever the answer is, it must be what the server's own document says."""
        body = None if data is None else io.BytesIO(data)
        async with self.http.request(method, URL(self.address + path, encoded=True), data=body, headers=headers) as got:
            answer = Answer(got.status, got.headers, await got.read())
        self.contract.check(method, path, answer.status, answer.headers, answer.body)
        return answer

    async def get(self, path: str, **headers: str) -> Answer:
        return await self.ask("GET", path, headers={name.replace("_", "-"): value for name, value in headers.items()})

    async def post(self, path: str, body: Any = None, **headers: str) -> Answer:
        sent = {"Content-Type": "application/json"} | {k.replace("_", "-"): v for k, v in headers.items()}
        return await self.ask("POST", path, json.dumps({} if body is None else body).encode(), sent)

    @asynccontextmanager
    async def follow(self, run: str, after: int | None = None) -> AsyncIterator[AsyncIterator[Told]]:
        headers = {"Accept": "text/event-stream"} | ({} if after is None else {"Last-Event-ID": str(after)})
        async with self.http.get(f"{self.address}/v1/runs/{run}/events", headers=headers) as answer:
            assert answer.status == 200, await answer.read()
            yield told(answer.content)

    async def followed(self, run: str, after: int | None = None) -> list[Told]:
        """All that a follower is told until the stream ends."""
        async with self.follow(run, after) as events:
            return [event async for event in events]

    async def start(self, agent: str = "quiet", **body: Any) -> str:
        answer = await self.post(f"/v1/agents/{agent}/runs", body)
        assert answer.status == 201, answer.body
        return answer.json["run"]

    async def raw(self, *pieces: bytes, deadline_s: float = 20.0) -> bytes:
        """What the server says to these bytes until it ends the connection, if need be by a reset."""
        loop = asyncio.get_running_loop()
        transport, heard = await loop.create_connection(Heard, "127.0.0.1", self.port)
        try:
            async with asyncio.timeout(deadline_s):
                for piece in pieces:
                    transport.write(piece)
                await heard.ended.wait()
        finally:
            transport.abort()
        return bytes(heard.said)


class Heard(asyncio.Protocol):
    """Keeps what it hears, also when the connection is reset while it still sends."""

    def __init__(self) -> None:
        self.said = bytearray()
        self.ended = asyncio.Event()

    def data_received(self, data: bytes) -> None:
        self.said += data

    def connection_lost(self, exc: Exception | None) -> None:
        self.ended.set()


async def told(lines: aiohttp.StreamReader) -> AsyncIterator[Told]:
    fields: dict[str, str] = {}
    async for raw in lines:
        line = raw.decode().rstrip("\n")
        if not line:
            if "data" in fields:
                yield Told(fields.get("id"), fields["event"], json.loads(fields["data"]))
            fields = {}
        elif not line.startswith(":"):
            name, _, value = line.partition(": ")
            fields[name] = value


@asynccontextmanager
async def running(
    control: Control,
    app: App[Any],
    *,
    limits: Limits | None = None,
    token: str | None = None,
    listen: Listen | None = None,
    log_requests: bool = False,
) -> AsyncIterator[Site]:
    """A server in this loop, until the block ends."""
    up: asyncio.Future[str] = asyncio.get_running_loop().create_future()
    stop, log, beats = asyncio.Event(), io.StringIO(), list[int]()
    serving = asyncio.create_task(
        serve(
            control, app, listen=listen or Listen("127.0.0.1", 0), token=token, stop=stop, ready=up.set_result,
            beat=beats.append, limits=limits, log_to=log, log_requests=log_requests,
        )
    )  # fmt: skip
    await asyncio.wait({serving, up}, return_when=asyncio.FIRST_COMPLETED)
    if serving.done():
        serving.result()
    headers = {} if token is None else {"Authorization": f"Bearer {token}"}
    connector = aiohttp.TCPConnector(limit=0)
    async with aiohttp.ClientSession(connector=connector, headers=headers) as http:
        try:
            yield Site(up.result(), control, log, stop, http, beats)
        finally:
            stop.set()
            async with asyncio.timeout(20):
                await serving


async def grow(platform: Platform, run: str, *events: ev.RunEvent, state: Any = "running") -> int:
    """Append events to a run as its owner would; returns the number of the last."""
    stream = run_key(platform, run)
    head = await platform.store.head(stream)
    now = platform.clock.now()
    token = new_id("test", platform.clock, platform.randomness)
    hint = HintPatch(run, state=state, updated_at=now)
    outcome = await platform.store.append(make_append(stream, head, token, now, list(events), hint))
    assert isinstance(outcome, Applied)
    return outcome.head.seq


def completed(value: Any = None) -> ev.RunCompleted:
    return ev.RunCompleted(Payload(msgspec.Raw(encode(value))))


def done(number: int, value: Any) -> ev.StepDone:
    """A step that gave something."""
    return ev.StepDone(str(number), "give", "", 0.0, Payload(msgspec.Raw(encode(value))), "step")


def marked(number: int) -> ev.VersionMarked:
    """An event that only says its number."""
    return ev.VersionMarked(str(number), "mark", number)
