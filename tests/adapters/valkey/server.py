"""Real servers that speak Valkey's protocol: one, or a cluster of three shards with a replica each.

``valkey-server`` if it is installed, else ``redis-server``: on loopback, on free ports, ended by their process ids.
"""

from __future__ import annotations

import contextlib
import os
import shutil
import signal
import socket
import subprocess
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.servers.process import free_port

PASSWORD = "not a secret"
START_WITHIN_S = 30.0


def program(kind: str) -> str:
    """The server (``server``) or its command line (``cli``). Skips the test if there is none, except in CI."""
    for name in (f"valkey-{kind}", f"redis-{kind}"):
        if (found := shutil.which(name)) is not None:
            return found
    if os.environ.get("CI") == "true":
        pytest.fail("neither valkey-server nor redis-server is installed: CI needs one")
    pytest.skip("neither valkey-server nor redis-server is installed")


class Server:
    """One process. `kill` is SIGKILL, `freeze` SIGSTOP."""

    def __init__(self, directory: Path, *options: str) -> None:
        self.port, bus = free_port(), free_port()
        directory.mkdir(parents=True, exist_ok=True)
        clustered = ("--cluster-port", str(bus)) if "--cluster-enabled" in options else ()
        port = () if "--tls-port" in options else ("--port", str(self.port))
        told = [str(self.port) if option == "PORT" else option for option in options]
        self.process = subprocess.Popen(
            [
                program("server"), *port, "--bind", "127.0.0.1", "--save", "", "--appendonly", "no", "--dir",
                str(directory), "--requirepass", PASSWORD, "--masterauth", PASSWORD, *clustered, *told,
            ],
            stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL, start_new_session=True,
        )  # fmt: skip

    @property
    def node(self) -> str:
        return f"127.0.0.1:{self.port}"

    def ready(self) -> None:
        end = time.monotonic() + START_WITHIN_S
        while True:
            with contextlib.suppress(OSError), socket.create_connection(("127.0.0.1", self.port), 1):
                return
            if self.process.poll() is not None or time.monotonic() > end:
                raise AssertionError(f"the server did not start: exit status {self.process.poll()}")
            time.sleep(0.02)

    def cli(self, *words: str) -> str:
        command = [program("cli"), "-p", str(self.port), "--no-auth-warning", "-a", PASSWORD, *words]
        return subprocess.run(command, capture_output=True, text=True, timeout=60).stdout

    def kill(self) -> None:
        with contextlib.suppress(ProcessLookupError):
            os.kill(self.process.pid, signal.SIGKILL)
        self.process.wait()

    def freeze(self) -> None:
        os.kill(self.process.pid, signal.SIGSTOP)

    def thaw(self) -> None:
        os.kill(self.process.pid, signal.SIGCONT)


@contextlib.contextmanager
def server(directory: Path, *options: str) -> Iterator[Server]:
    started = Server(directory, *options)
    try:
        started.ready()
        yield started
    finally:
        started.kill()


@contextlib.contextmanager
def cluster(directory: Path, node_timeout_ms: int = 1_000) -> Iterator[list[Server]]:
    """Three primaries and a replica of each, once all slots are served."""
    options = (
        "--cluster-enabled", "yes", "--cluster-node-timeout", str(node_timeout_ms),
        "--cluster-require-full-coverage", "no", "--repl-diskless-sync-delay", "0",
    )  # fmt: skip
    servers: list[Server] = []
    try:
        servers += [Server(directory / str(number), *options) for number in range(6)]
        for each in servers:
            each.ready()
        nodes = [each.node for each in servers]
        made = servers[0].cli("--cluster", "create", *nodes, "--cluster-replicas", "1", "--cluster-yes")
        end = time.monotonic() + START_WITHIN_S
        while not all(_whole(each) and _copied(each) for each in servers):
            if time.monotonic() > end:
                raise AssertionError(f"the cluster did not come up: {made[-500:]}")
            time.sleep(0.1)
        yield servers
    finally:
        for each in servers:
            each.kill()


def primaries(servers: list[Server]) -> list[Server]:
    """Those that serve slots, as a node that lives sees it."""
    living = next(each for each in servers if each.process.poll() is None)
    lines = [line.split() for line in living.cli("cluster", "nodes").splitlines()]
    ports = {
        line[1].partition("@")[0].rpartition(":")[2] for line in lines if "master" in line[2] and "fail" not in line[2]
    }
    return [each for each in servers if str(each.port) in ports]


def _copied(server: Server) -> bool:
    """Whether a replica has the data of its primary: one that never had it is not made a primary."""
    said = server.cli("info", "replication")
    return "role:master" in said or "master_link_status:up" in said


def _whole(each: Server) -> bool:
    info = each.cli("cluster", "info")
    replicas = each.cli("cluster", "nodes").count("slave")
    return "cluster_state:ok" in info and "cluster_known_nodes:6" in info and replicas == 3
