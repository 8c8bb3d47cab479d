"""microburst: a proxy in front of a server that stands in for AWS, which fails as AWS does, when it is told to."""

from __future__ import annotations

import contextlib
import json
import urllib.request
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from tests.servers.process import free_port, script, serving


class Faults:
    """The rules of one proxy; the first that matches a call decides what becomes of it."""

    def __init__(self, address: str) -> None:
        self.address = address

    def set(self, *rules: dict[str, Any]) -> None:
        """These from now on, and what was counted before is forgotten."""
        self._ask("POST", "rules", list(rules))
        self._ask("DELETE", "fired", None)

    def fired(self) -> list[dict[str, Any]]:
        """What was done to whom."""
        return json.loads(self._ask("GET", "fired?limit=100000", None))

    def _ask(self, method: str, path: str, body: Any) -> bytes:
        data = None if body is None else json.dumps(body).encode()
        request = urllib.request.Request(
            f"{self.address}/_microburst/{path}", data, {"content-type": "application/json"}, method=method
        )
        with urllib.request.urlopen(request, timeout=10) as answer:
            return answer.read()


@contextlib.contextmanager
def microburst(upstream: str, directory: Path) -> Iterator[Faults]:
    """A proxy before `upstream`, which lets everything pass at first."""
    port = free_port()
    command = [script("microburst"), "--host", "127.0.0.1", "--port", str(port), "--upstream", upstream]
    with serving(command, port, directory / f"microburst-{port}.log"):
        yield Faults(f"http://127.0.0.1:{port}")
