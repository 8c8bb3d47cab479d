"""The model that writes the demo's replies: a real one on this machine, or the scripted one, which says so."""

from __future__ import annotations

import asyncio
import importlib.util
from collections.abc import AsyncGenerator, Callable
from contextlib import asynccontextmanager
from typing import Literal

from outlast.adapters.local.artifact import minilm, smollm2
from outlast.adapters.local.llama import LlamaOptions
from outlast.adapters.local.process import LocalModelServer
from outlast.adapters.local.pull import Progress, PullFailed, pull
from outlast.adapters.scripted.answer import model_name as scripted_name
from outlast.adapters.scripted.server import ScriptedServer
from outlast.drill.stage import Writer
from outlast.kernel.clock import Clock
from outlast.kernel.error import ConfigurationError

ModelKind = Literal["real", "scripted"]

scripted_delay_s = 0.4
"""What a scripted answer takes: about what the small real model does, so that faults find steps in flight."""
_packages = ("numpy", "onnxruntime", "tokenizers", "xllamacpp")
_options = LlamaOptions(port=0, parallel=2, context_tokens=2048)


async def choose(wanted: ModelKind | None, say: Callable[[str], None]) -> ModelKind:
    """Which model there will be; `say` is told what is fetched, or why it is not the real one.

    The real model's files are pulled if they are not there. Where it was not asked for by name, anything that is in its
    way leads to the scripted one; where it was, to the error that says what.
    """
    if wanted == "scripted":
        return "scripted"
    missing = [name for name in _packages if importlib.util.find_spec(name) is None]
    if missing:
        why = f"the extra `local` is not installed ({', '.join(missing)} missing): pip install 'outlast[local]'"
        if wanted == "real":
            raise ConfigurationError(f"the real model cannot be used: {why}")
        say(f"scripted replies, because {why}")
        return "scripted"
    try:
        for model in (smollm2, minilm):
            await asyncio.to_thread(pull, model, report=_teller(say))
    except PullFailed as error:
        if wanted == "real":
            raise
        say(f"scripted replies, because the real model is not here: {error}")
        return "scripted"
    return "real"


@asynccontextmanager
async def serve(kind: ModelKind, clock: Clock) -> AsyncGenerator[Writer]:
    """The model behind HTTP for as long as the block runs. A real one ends with this process, however that ends."""
    if kind == "scripted":
        async with ScriptedServer(clock=clock, delay_s=scripted_delay_s) as scripted:
            yield Writer(scripted.url, scripted_name)
        return
    server = LocalModelServer(_options)
    await asyncio.to_thread(server.start)
    try:
        yield Writer(server.url, smollm2)
    finally:
        await asyncio.to_thread(server.stop)


def _teller(say: Callable[[str], None]) -> Callable[[Progress], None]:
    """Says how far a file is, in quarters; nothing about files that are there."""

    def told(progress: Progress) -> None:
        if progress.stage == "download":
            quarters = progress.done * 4 // max(1, progress.total)
            say(f"fetching the model file {progress.file}: {quarters * 25} %")

    return told
