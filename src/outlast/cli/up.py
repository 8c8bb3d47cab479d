"""``outlast up``: everything that runs on one machine, in the foreground."""

from __future__ import annotations

from typing import Annotated

import typer

from outlast.cli.option import File, Home


def up(
    reload: Annotated[bool, typer.Option("--reload", help="Start workers anew whenever a .py file changes.")] = False,
    port: Annotated[
        int | None,
        typer.Option("--port", min=0, max=65535, show_default=False, help="Port of the HTTP API; 0: any free one."),
    ] = None,
    workers: Annotated[
        int | None,
        typer.Option(
            "--workers", min=1, max=64, show_default=False, help="Workers of the default pool, besides one spare."
        ),
    ] = None,
    file: File = None,
    home: Home = None,
    json: Annotated[
        bool, typer.Option("--json", help="One JSON object a line on standard output for everything that happens.")
    ] = False,
) -> None:
    """Run workers, server and supervisor here, until Ctrl-C.

    All open runs go on, wherever they stopped. Ctrl-C once lets steps in flight end (30 s at most), twice stops at
    once; neither loses anything, nor does kill -9. What the blueprint describes and nothing here stands for is named.

    With -f another file says what runs. Commands beside it follow; once it has ended they read outlast.yaml again.

    For example:

        outlast up --reload
        outlast up --port 0 --workers 4 --json
        outlast up -f production.yaml
    """
    from outlast.cli.home import project
    from outlast.cli.stage import run_up

    run_up(project(home), file, reload=reload, port=port, workers=workers, json=json)
