"""The document intake, its four services and its two models as processes, with gates where books must be kept.

::

    HOME/intake/         the project: app.py, outlast.yaml, .outlast/
    HOME/world/          documents/ and register.sqlite, which only the services write
    HOME/*.log           what the processes say
"""

from __future__ import annotations

import asyncio
import re
import shutil
import sys
from contextlib import AsyncExitStack
from pathlib import Path
from typing import Any

import aiohttp
import msgspec
import yaml

from outlast.drill.gate import Gate
from outlast.drill.guard import Guard
from outlast.drill.part import Part, scripted_model
from outlast.drill.stage import example_directory
from outlast.drill.system import System
from outlast.kernel.clock import Clock
from outlast.kernel.error import OutlastError

example = "document_intake"
agent = "intake"
place = "post"
models = ("first", "spare")
gated = ("preprocessing", *models)
_store_within_s = 10.0
_marked = re.compile(rb"DOC-[0-9a-z-]+")


class NotStored(OutlastError):
    """A document could not be put into storage, so that nothing can be said about it."""

    code = "not_stored"


class IntakeStage:
    """All of it; an async context manager. `gates` has one for each of `gated`, where `with_gates` is so."""

    def __init__(self, home: Path, guard: Guard, clock: Clock, *, with_gates: bool, source: Path | None = None) -> None:
        """`home` is an empty directory; `source`: the example's, or a changed copy of it."""
        self._source = source
        self.project = home / "intake"
        self.world = home / "world"
        self.register = self.world / "register.sqlite"
        python = sys.executable
        scripts = {
            "documents": (python, "storage.py", str(self.world / "documents")),
            "preprocessing": (python, "preprocessing.py"),
            "extractions": (python, "cache.py"),
            "register": (python, "register.py", str(self.register)),
        }
        self.parts: dict[str, Part] = {
            name: Part(name, command, guard, home / f"{name}.log", self.project) for name, command in scripts.items()
        }
        self.parts |= {name: scripted_model(name, home, guard) for name in models}
        self.gates: dict[str, Gate] = {}
        self._with_gates = with_gates
        self._guard = guard
        self._clock = clock
        self._stack = AsyncExitStack()
        self.system = System(self.project, {}, guard, clock)

    async def __aenter__(self) -> IntakeStage:
        ignored = shutil.ignore_patterns(".outlast", "__pycache__", "*.sqlite*")
        source = self._source or example_directory(example)
        await asyncio.to_thread(shutil.copytree, source, self.project, ignore=ignored)
        self.world.mkdir()
        for part in self.parts.values():
            await part.start()
        if self._with_gates:
            for name in gated:
                self.gates[name] = await self._stack.enter_async_context(Gate(self._origin(name), marked))
        (self.project / "outlast.yaml").write_bytes(msgspec.json.encode(self._blueprint()))  # JSON is YAML
        self.system = System(self.project, self._addresses(), self._guard, self._clock)
        return self

    async def __aexit__(self, *_: object) -> None:
        await self._stack.aclose()

    def url(self, name: str) -> str:
        """Where the agent finds a part: at its gate, if it has one. Without ``/v1`` for a model."""
        gate = self.gates.get(name)
        return gate.url if gate is not None else self.parts[name].url.removesuffix("/v1")

    async def store(self, session: aiohttp.ClientSession, document: str, content: str) -> None:
        """Put a document into storage, as whoever scans the post does. Raises NotStored."""
        url = f"{self.parts['documents'].url}/documents/{place}/{document}"
        bound = aiohttp.ClientTimeout(total=_store_within_s)
        try:
            async with session.put(url, data=content.encode(), timeout=bound) as answer:
                answer.raise_for_status()
        except (aiohttp.ClientError, TimeoutError) as error:
            raise NotStored(f"document {document} was not stored: {type(error).__name__}") from None

    def _origin(self, name: str) -> Any:
        return lambda: self.parts[name].url.removesuffix("/v1")

    def _addresses(self) -> dict[str, str]:
        services = ("documents", "preprocessing", "extractions", "register")
        return {f"INTAKE_{name.upper()}": self.url(name) for name in services}

    def _blueprint(self) -> dict[str, Any]:
        """The example's own, at the addresses of today, and with a gateway through which the model is seen."""
        blueprint: dict[str, Any] = yaml.safe_load((self.project / "outlast.yaml").read_text())
        reader = blueprint["models"]["reader"]
        for endpoint in (*reader["endpoints"], reader["fallback"]):
            endpoint["url"] = f"{self.url(endpoint['name'])}/v1"
        blueprint["server"] = {"listen": "127.0.0.1:0"}
        blueprint["gateway"] = {"listen": "127.0.0.1:0"}
        blueprint["services"]["front"] = {"kind": "gateway", "class": "intake", "needs": {"reader": "hard"}}
        return blueprint


def marked(raw: bytes) -> str:
    """The document that a request is about: its mark stands in its text."""
    found = _marked.search(raw)
    return found[0].decode() if found is not None else ""
