"""``outlast gateway``: one address in front of model endpoints, on its own."""

from __future__ import annotations

import os
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from outlast.cli.option import Home, Json, context_settings

if TYPE_CHECKING:
    from collections.abc import Callable

    from outlast.bootstrap.gateway import Plan

gateway_app = typer.Typer(
    help="Put one address in front of model endpoints.\n\n"
    "Serves /v1/chat/completions, /v1/embeddings, /v1/responses and /v1/messages from the endpoints given with --to, "
    "or from models: in outlast.yaml, until Ctrl-C or SIGTERM. SIGHUP, or outlast gateway reload, reads the "
    "configuration again.\n\n"
    "For example:\n\n"
    "    outlast gateway --to http://127.0.0.1:8001/v1 --to http://127.0.0.1:8002/v1 --model writer",
    add_completion=False,
    invoke_without_command=True,
    pretty_exceptions_enable=False,
    rich_markup_mode="rich",
    context_settings=context_settings,
)


@gateway_app.callback()
def gateway(
    context: typer.Context,
    to: Annotated[
        list[str] | None,
        typer.Option("--to", metavar="URL", show_default=False, help="An endpoint's base URL; give it once for each."),
    ] = None,
    model: Annotated[
        str | None,
        typer.Option(
            "--model",
            metavar="NAME",
            show_default="default",
            help="What clients and endpoints call the model. With --to.",
        ),
    ] = None,
    key: Annotated[
        str | None,
        typer.Option(
            "--key", metavar="REF", show_default=False, help="The endpoints' API key: env:NAME or file:PATH. With --to."
        ),
    ] = None,
    listen: Annotated[
        str | None,
        typer.Option("--listen", metavar="HOST:PORT", show_default=False, help="Default: 127.0.0.1:7789; port 0: any."),
    ] = None,
    home: Home = None,
    json: Json = False,
) -> None:
    """Serve, unless a command follows."""
    if context.invoked_subcommand is not None:
        return
    from outlast.bootstrap.gateway import run, run_gateway
    from outlast.bootstrap.home import Up, gateway_file, remove_own, write_whole
    from outlast.cli.output import note, print_json

    _check(to, model, key)
    where = Path.cwd()
    left: Path | None = None
    if to:
        read = _addresses(to, model or "default", key, listen)
    else:
        from outlast.cli.home import project

        where = project(home, "give --to URL once for each endpoint, or --home DIR with an outlast.yaml")
        left = gateway_file(where)
        read = _file(where, listen)

    def ready(address: str) -> None:
        if left is not None:
            left.parent.mkdir(mode=0o700, exist_ok=True)
            write_whole(left, Up(os.getpid(), address))
        if json:
            print_json({"address": address, "pid": os.getpid()})
        else:
            print(f"the gateway answers at {address}/v1 (Ctrl-C stops it)", flush=True)

    try:
        run(lambda: run_gateway(read, where, ready=ready, note=note))
    finally:
        if left is not None:
            remove_own(left)


@gateway_app.command(epilog="Example: outlast gateway reload")
def reload(
    at: Annotated[
        str | None, typer.Option("--at", metavar="URL", show_default=False, help="The gateway. Default: the one here.")
    ] = None,
    home: Home = None,
    json: Json = False,
) -> None:
    """Have a running gateway read its configuration again; no request is dropped."""
    from outlast.cli.output import note, print_json
    from outlast.cli.pools import reach

    answer = reach(at, home).post("/v1/pools/reload", {})
    if json:
        print_json(answer)
    else:
        note(f"the gateway serves {', '.join(answer['models'])}")


def _check(to: list[str] | None, model: str | None, key: str | None) -> None:
    """Raise ConfigurationError where what was given would be ignored, or would count one endpoint as two."""
    from outlast.kernel.error import ConfigurationError

    for name, value in (("--model", model), ("--key", key)):
        if value is not None and not to:
            raise ConfigurationError(f"{name} goes with --to: give --to URL too, or write it in outlast.yaml")
    urls = [url.rstrip("/") for url in to or ()]
    if len(set(urls)) < len(urls):
        raise ConfigurationError("--to names one endpoint twice: give each once; weights go into outlast.yaml")


def _addresses(to: list[str], model: str, key: str | None, listen: str | None) -> Callable[[], Plan]:
    from outlast.blueprint.schema import Gateway
    from outlast.blueprint.secret import Secret
    from outlast.bootstrap.gateway import parse_listen, plan_for

    section = Gateway(listen=parse_listen(listen)) if listen is not None else Gateway()
    secret = Secret.parse(key) if key is not None else None
    return lambda: plan_for(to, model, secret, section)


def _file(home: Path, listen: str | None) -> Callable[[], Plan]:
    from outlast.bootstrap.gateway import parse_listen, plan_of

    chosen = parse_listen(listen) if listen is not None else None

    def read() -> Plan:
        from outlast.blueprint.load import load

        return plan_of(load(home), chosen)

    return read
