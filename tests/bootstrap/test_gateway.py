"""The gateway as a process: on its own, and as a child of a cell."""

from __future__ import annotations

import asyncio
import contextlib
import functools
import json
import os
import signal
import ssl
import subprocess
import sys
import time
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator
from contextlib import asynccontextmanager, contextmanager
from pathlib import Path
from typing import Any

import aiohttp
import msgspec
import pytest

from outlast.blueprint.load import load
from outlast.bootstrap.cell import Cell
from outlast.bootstrap.home import Up, gateway_file
from outlast.cell import event as news
from tests.adapters.valkey.server import PASSWORD as VALKEY_PASSWORD
from tests.adapters.valkey.server import server as valkey_server
from tests.server.gateway.upstream import LAST, ROLE, STREAM, Asked, ModelServer, chat_answer, piece, words

Until = Callable[..., Awaitable[None]]

pytestmark = pytest.mark.crash

CHAT = "/v1/chat/completions"
ASK = {"model": "writer", "messages": [{"role": "user", "content": "hi"}]}


@contextmanager
def outlast(*arguments: str, cwd: Path | None = None, environ: dict[str, str] | None = None) -> Iterator[Any]:
    """``outlast …`` as a process; killed at the end if it has not ended."""
    process = subprocess.Popen(
        [sys.executable, "-m", "outlast.cli.main", *arguments],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        cwd=cwd,
        env={**os.environ, **(environ or {})},
    )
    try:
        yield process
    finally:
        process.kill()
        process.communicate()


async def address_of(process: Any) -> str:
    line = await asyncio.wait_for(asyncio.to_thread(process.stdout.readline), 60)
    if not line:
        pytest.fail(f"it ended with {process.wait()}: {process.stderr.read()}")
    return str(json.loads(line)["address"])


@asynccontextmanager
async def session() -> AsyncIterator[aiohttp.ClientSession]:
    async with aiohttp.ClientSession(timeout=aiohttp.ClientTimeout(total=60)) as found:
        yield found


def command(*arguments: str, cwd: Path | None = None) -> Any:
    done = subprocess.run(
        [sys.executable, "-m", "outlast.cli.main", *arguments], capture_output=True, text=True, timeout=60, cwd=cwd
    )
    assert done.returncode == 0, done.stderr
    return json.loads(done.stdout) if "--json" in arguments else done.stdout + done.stderr


async def test_addresses_are_enough(tmp_path: Path) -> None:
    async with ModelServer() as one, ModelServer() as two, session() as client:
        asked = ["--to", one.url, "--to", two.url, "--model", "writer", "--listen", "127.0.0.1:0", "--json"]
        with outlast("gateway", *asked, cwd=tmp_path) as process:
            address = await address_of(process)
            while len(one.asked + two.asked) < 10 or not (one.asked and two.asked):
                assert len(one.asked + two.asked) < 200, "one of them is never asked"
                async with client.post(address + CHAT, json=ASK) as response:
                    assert await response.json() == chat_answer()
            assert {asked.json["model"] for asked in one.asked + two.asked} == {"writer"}
            shown = await asyncio.to_thread(command, "pools", "--at", address, "--json")
            assert [member["name"] for member in shown["pools"][0]["members"]] == ["endpoint-1", "endpoint-2"]
            said = await asyncio.to_thread(command, "pools", "drain", "endpoint-1", "--at", address)
            assert "endpoint-1: drained" in said
            process.send_signal(signal.SIGTERM)
            assert await asyncio.to_thread(process.wait, 60) == 0
        assert list(tmp_path.iterdir()) == []


async def test_it_ends_what_it_answers_before_it_stops(tmp_path: Path, until: Until) -> None:
    go_on = asyncio.Event()

    async def slowly(asked: Asked, writer: asyncio.StreamWriter) -> None:
        writer.write(STREAM + piece(ROLE + words("one")))
        await go_on.wait()
        writer.write(piece(words("two") + b"data: [DONE]\n\n") + LAST)

    async with ModelServer(slowly) as one, session() as client:
        arguments = ["--to", one.url, "--model", "writer", "--listen", "127.0.0.1:0", "--json"]
        with outlast("gateway", *arguments, cwd=tmp_path) as process:
            address = await address_of(process)
            async with client.post(address + CHAT, json={**ASK, "stream": True}) as response:
                await response.content.readany()
                process.send_signal(signal.SIGTERM)

                async def refuses() -> bool:
                    try:
                        async with client.get(address + "/livez"):
                            return False
                    except aiohttp.ClientConnectionError:
                        return True

                await until(refuses, 60, "it takes no new connections")
                go_on.set()
                assert (await response.read()).endswith(b"[DONE]\n\n")
            assert await asyncio.to_thread(process.wait, 60) == 0


def blueprint(*endpoints: str, more: str = "") -> str:
    listed = ", ".join(f'{{name: e{number}, url: "{url}", model: m}}' for number, url in enumerate(endpoints, 1))
    return f"gateway: {{listen: '127.0.0.1:0'{more}}}\nmodels: {{writer: {{endpoints: [{listed}]}}}}\n"


async def test_a_reload_drops_no_request_and_takes_the_new_configuration(tmp_path: Path) -> None:
    async with ModelServer() as one, ModelServer() as two, session() as client:
        file = tmp_path / "outlast.yaml"
        file.write_text(blueprint(one.url))
        with outlast("gateway", "--json", cwd=tmp_path) as process:
            address = await address_of(process)
            assert msgspec.json.decode(gateway_file(tmp_path).read_bytes(), type=Up).address == address
            statuses: list[int] = []
            stop = asyncio.Event()

            async def ask() -> None:
                while not stop.is_set():
                    async with client.post(address + CHAT, json=ASK) as response:
                        statuses.append(response.status)

            asking = [asyncio.create_task(ask()) for _ in range(4)]
            file.write_text(blueprint(two.url))
            said = await asyncio.to_thread(command, "gateway", "reload", "--json", cwd=tmp_path)
            assert said == {"models": ["writer"]}
            before = len(one.asked)
            async with client.post(address + CHAT, json=ASK) as response:
                assert response.status == 200
            file.write_text("models: {writer: {endpoints: []}}")
            process.send_signal(signal.SIGHUP)
            line = await asyncio.wait_for(asyncio.to_thread(process.stderr.readline), 60)
            assert "the old one stands" in line
            stop.set()
            await asyncio.gather(*asking)
            assert set(statuses) == {200}
            assert two.asked
            assert len(one.asked) <= before + 4
            process.send_signal(signal.SIGTERM)
            assert await asyncio.to_thread(process.wait, 60) == 0
        assert not gateway_file(tmp_path).exists()


async def test_it_listens_with_tls_where_a_certificate_is_given(tmp_path: Path) -> None:
    made = subprocess.run(
        ["openssl", "req", "-x509", "-newkey", "rsa:2048", "-nodes", "-keyout", "key.pem", "-out", "cert.pem", "-days",
         "2", "-subj", "/CN=localhost", "-addext", "subjectAltName=DNS:localhost,IP:127.0.0.1"],
        cwd=tmp_path, capture_output=True,
    )  # fmt: skip
    assert made.returncode == 0, made.stderr
    async with ModelServer() as one, session() as client:
        tls = ", tls: {certificate: cert.pem, key: key.pem}"
        (tmp_path / "outlast.yaml").write_text(blueprint(one.url, more=tls))
        with outlast("gateway", "--json", cwd=tmp_path) as process:
            address = await address_of(process)
            assert address.startswith("https://")
            context = ssl.create_default_context(cafile=str(tmp_path / "cert.pem"))
            for stream in (False, True):
                async with client.post(address + CHAT, json={**ASK, "stream": stream}, ssl=context) as response:
                    assert response.status == 200
                    assert b"hel" in await response.read()


ONE_MODEL = "models: {w: {endpoints: [{name: a, url: 'http://h/v1', model: m}]}}"


@pytest.mark.parametrize(
    ("text", "said"),
    [
        (f"gateway: {{listen: '0.0.0.0:0'}}\n{ONE_MODEL}", "keys"),
        ("gateway: {}\n", "names no models"),
        ("gateway: {keys: {a: {key: plain}}}\n", "env:NAME"),
        (f"gateway: {{tls: {{certificate: c, key: k}}, listen: '127.0.0.1:0'}}\n{ONE_MODEL}", "gateway.tls"),
    ],
)
def test_a_configuration_that_cannot_be_used_is_one_line(tmp_path: Path, text: str, said: str) -> None:
    (tmp_path / "outlast.yaml").write_text(text)
    with outlast("gateway", cwd=tmp_path) as process:
        out, err = process.communicate(timeout=60)
        assert process.returncode == 2
        assert out == ""
        assert said in err
        assert err.count("\n") == 1


APP = "import outlast\napp = outlast.App('desk')\n@app.agent\nasync def echo(run, text: str) -> str:\n    return text\n"


async def test_up_runs_a_gateway_beside_the_cell_and_starts_it_again(short_dir: Path, until: Until) -> None:
    async with ModelServer() as one, session() as client:
        (short_dir / "app.py").write_text(APP)
        (short_dir / "outlast.yaml").write_text(
            f"outlast: 1\nworkers: {{min: 1}}\nserver: {{listen: '127.0.0.1:0'}}\n{blueprint(one.url)}"
        )
        events: list[news.CellEvent] = []
        cell = Cell(short_dir, load(short_dir), listener=events.append)
        running = asyncio.create_task(cell.run())
        try:
            await until(lambda: cell.ready() or running.done(), 60, "the cell serves")

            async def answers() -> bool:
                try:
                    address = msgspec.json.decode(gateway_file(short_dir).read_bytes(), type=Up).address
                    async with client.post(address + CHAT, json=ASK) as response:
                        return response.status == 200
                except (aiohttp.ClientConnectionError, OSError):
                    return False

            await until(answers, 60, "the gateway answers")
            (child,) = [child for child in cell.view() if child.kind == "gateway"]
            os.kill(child.pid, signal.SIGKILL)

            def another() -> bool:
                return any(view.kind == "gateway" and view.pid != child.pid for view in cell.view())

            await until(another, 60, "another one")
            await until(answers, 60, "the new gateway answers")
            cell.drain()
            await until(lambda: news.CellStopped() in events, 60, "it has drained")
            assert not [event for event in events if isinstance(event, news.ChildKilled)]
        finally:
            cell.stop()
            await asyncio.wait([running], timeout=60)
        assert running.done()
        assert not gateway_file(short_dir).exists()


async def test_replicas_read_each_other(tmp_path: Path, until: Until) -> None:
    async with ModelServer() as server, session() as client:
        asked = ["--to", server.url, "--model", "writer", "--listen", "127.0.0.1:0", "--json"]
        with outlast("gateway", *asked, cwd=tmp_path) as first:
            peer = await address_of(first)
            (tmp_path / "outlast.yaml").write_text(
                f"models: {{writer: {{endpoints: [{{name: endpoint-1, url: '{server.url}', model: writer}}]}}}}\n"
                f"gateway: {{listen: '127.0.0.1:0', peers: ['{peer}']}}\n"
            )
            with outlast("gateway", "--json", cwd=tmp_path) as second:
                address = await address_of(second)

                async def peer_is(up: int) -> bool:
                    async with client.get(f"{address}/metrics") as response:
                        return f'outlast_gateway_peer_up{{peer="{peer}"}} {up}' in await response.text()

                await until(lambda: peer_is(1), 60, "the peer is read")
                first.kill()
                await until(lambda: peer_is(0), 60, "the peer is missed")
                async with client.post(address + CHAT, json=ASK) as response:
                    assert response.status == 200


async def test_replicas_keep_to_the_limits_of_a_key_together_and_alone_when_the_counters_are_lost(
    tmp_path: Path, until: Until
) -> None:
    pytest.importorskip("valkey")
    keys = ", keys: {team: {key: env:TEAM_KEY, requests_per_minute: 120}}, shared: env:VALKEY_URL"
    with valkey_server(tmp_path / "valkey") as counters:
        environ = {
            "TEAM_KEY": "key-of-the-team-1234",
            "VALKEY_URL": f"valkey://:{VALKEY_PASSWORD.replace(' ', '%20')}@{counters.node}",
        }
        headers = {"Authorization": f"Bearer {environ['TEAM_KEY']}"}
        async with ModelServer() as model, session() as client, contextlib.AsyncExitStack() as stack:
            (tmp_path / "outlast.yaml").write_text(blueprint(model.url, more=keys))
            replicas = [stack.enter_context(outlast("gateway", "--json", cwd=tmp_path, environ=environ)) for _ in "ab"]
            addresses = [await address_of(replica) for replica in replicas]

            async def ask(address: str) -> int:
                async with client.post(address + CHAT, json=ASK, headers=headers) as response:
                    return response.status

            async def shown(address: str, value: int) -> bool:
                async with client.get(f"{address}/metrics", headers=headers) as response:
                    return f"outlast_gateway_shared_up {value}" in await response.text()

            for address in addresses:
                await until(functools.partial(shown, address, 1), 60, "it takes part")
            began = time.monotonic()
            assert [await ask(addresses[0]) for _ in range(120)] == [200] * 120
            answers: list[int] = []

            async def refused() -> bool:
                answers.append(await ask(addresses[1]))
                await asyncio.sleep(0.1)  # alone, it would take 150 of them to empty the bucket
                return answers[-1] == 429

            await until(refused, 60, "the other replica knows what this one let through")
            refilled = 2 * (time.monotonic() - began)  # meanwhile
            assert answers.count(200) < 60 + refilled, answers
            counters.kill()
            await until(lambda: shown(addresses[1], 0), 60, "the counters are missed")
            await until(lambda: answers_again(ask, addresses[1]), 60, "it keeps to the limit alone")


async def answers_again(ask: Callable[[str], Awaitable[int]], address: str) -> bool:
    return await ask(address) == 200
