"""``outlast pools``: what a gateway knows of its endpoints, and commands to them."""

from __future__ import annotations

import os
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from outlast.bootstrap.vault import vault
from outlast.cli.option import Home, Json, context_settings

if TYPE_CHECKING:
    from outlast.cli.client import Client

admin_variable = "OUTLAST_GATEWAY_ADMIN"
"""Where the admin token is taken from if outlast.yaml does not say where it is."""

At = Annotated[
    str | None,
    typer.Option(
        "--at", metavar="URL", show_default=False, help="The gateway. Default: the project's, else 127.0.0.1:7789."
    ),
]
Endpoint = Annotated[str, typer.Argument(metavar="ENDPOINT", show_default=False, help="The endpoint's name.")]
ModelName = Annotated[
    str | None,
    typer.Option("--model", metavar="NAME", show_default=False, help="Its model, where several have such an endpoint."),
]

pools_app = typer.Typer(
    help="Show the pools of a gateway; drain, eject or weigh an endpoint.\n\nFor example:\n\n    outlast pools",
    add_completion=False,
    invoke_without_command=True,
    pretty_exceptions_enable=False,
    rich_markup_mode="rich",
    context_settings=context_settings,
)


@pools_app.callback()
def pools(context: typer.Context, at: At = None, home: Home = None, json: Json = False) -> None:
    """Show them, unless a command follows."""
    if context.invoked_subcommand is not None:
        return
    from outlast.cli.output import console, print_json

    found = reach(at, home).get("/v1/pools")
    if json:
        print_json(found)
        return
    from rich.table import Table

    table = Table("model", "endpoint", "state", "in flight", "weight", "to first token", box=None, pad_edge=False)
    for pool in found["pools"]:
        for member in pool["members"]:
            first = member.get("first_token_s")
            table.add_row(
                pool["name"],
                member["name"],
                str(member["state"]),
                str(member["in_flight"]),
                f"{member['weight']:g}",
                "" if first is None else f"{first * 1000:.0f} ms",
            )
    console().print(table)


@pools_app.command(epilog="Example: outlast pools drain own-1")
def drain(endpoint: Endpoint, model: ModelName = None, at: At = None, home: Home = None, json: Json = False) -> None:
    """Give an endpoint no new requests; what it answers now ends."""
    _command(at, home, json, model, endpoint, "drain", {})


@pools_app.command(epilog="Example: outlast pools undrain own-1")
def undrain(endpoint: Endpoint, model: ModelName = None, at: At = None, home: Home = None, json: Json = False) -> None:
    """Give a drained or ejected endpoint requests again."""
    _command(at, home, json, model, endpoint, "undrain", {})


@pools_app.command(epilog="Example: outlast pools eject own-1 --for 10m")
def eject(
    endpoint: Endpoint,
    duration: Annotated[str, typer.Option("--for", metavar="DURATION", help="How long, such as 90s or 10m.")] = "5m",
    model: ModelName = None,
    at: At = None,
    home: Home = None,
    json: Json = False,
) -> None:
    """Take an endpoint out for a while."""
    from outlast.kernel.unit import seconds

    _command(at, home, json, model, endpoint, "eject", {"for_s": seconds(duration)})


@pools_app.command(epilog="Example: outlast pools weight own-1 0.5")
def weight(
    endpoint: Endpoint,
    weight: Annotated[float, typer.Argument(metavar="WEIGHT", min=0.0, max=1000.0, help="Relative to its peers'.")],
    model: ModelName = None,
    at: At = None,
    home: Home = None,
    json: Json = False,
) -> None:
    """Change an endpoint's share of the requests, until the gateway is started again."""
    _command(at, home, json, model, endpoint, "weight", {"weight": weight})


def reach(at: str | None, home: Path | None) -> Client:
    """A client of the gateway at `at`, else of the one that runs for the project here, else of the default address."""
    from outlast.cli.client import Client

    token = os.environ.get(admin_variable)
    address = at
    if at is None:
        address, found = _here(home)
        token = token or found
    return Client(address or "http://127.0.0.1:7789", token, started_by="outlast gateway")


def _here(home: Path | None) -> tuple[str | None, str | None]:
    import msgspec

    from outlast.blueprint.load import load
    from outlast.bootstrap.home import Up, gateway_file
    from outlast.cli.home import project
    from outlast.kernel.error import ConfigurationError

    try:
        where = project(home)
    except ConfigurationError:
        if home is not None:
            raise
        return None, None
    section = load(where).gateway
    admin = section.admin if section is not None else None
    token = admin.resolve(os.environ, where, vault()) if admin is not None else None
    try:
        return msgspec.json.decode(gateway_file(where).read_bytes(), type=Up).address, token
    except (OSError, msgspec.MsgspecError):
        return None, token


def _command(
    at: str | None, home: Path | None, json: bool, model: str | None, endpoint: str, verb: str, body: dict[str, Any]
) -> None:
    from outlast.cli.output import note, print_json

    command = {"endpoint": endpoint, **({"model": model} if model is not None else {}), **body}
    answer = reach(at, home).post(f"/v1/pools/{verb}", command)
    if json:
        print_json(answer)
    else:
        note(f"{answer['model']}/{answer['endpoint']}: {answer['state']}, weight {answer['weight']:g}")
