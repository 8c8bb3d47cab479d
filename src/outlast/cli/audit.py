"""``outlast audit``: is what the journal holds what was written?"""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from outlast.cli.exit import ExitCode
from outlast.cli.option import Home, Json, command_group

if TYPE_CHECKING:
    from outlast.agent.platform import Platform

audit_app = command_group("Verify the journal's hash chain, or show its records.")

_progress_every = 1000


@audit_app.command()
def verify(home: Home = None, json: Json = False) -> None:
    """Read the whole journal and say whether it is what was written.

    Checks every stream's hash chain, the heads that are anchored outside the database (so that a shortened history
    shows), every blob that an event names, snapshots, the index, and SQLite's own structures. Changes nothing; runs
    beside `outlast up`. Exit code 1 if history was lost or altered.

    For example:

        outlast audit verify --json | jq .whole
    """
    import asyncio

    import msgspec

    from outlast.bootstrap.auditing import audit_journal
    from outlast.cli.home import project
    from outlast.cli.output import note, plain, print_json
    from outlast.journal.audit import Report

    def progress(report: Report) -> None:
        if report.streams % _progress_every == 0:
            note(f"{report.streams} streams, {report.records} records …")

    report = asyncio.run(audit_journal(project(home), progress))
    if json:
        print_json({"whole": report.whole, **msgspec.to_builtins(report)})
    else:
        for flaw in report.flaws:
            print(plain(f"{'FLAW' if flaw.grave else 'note'}  {flaw.damage}: {flaw.subject}: {flaw.message}"))
        counted = (
            f"{report.streams} streams, {report.records} records, {report.events} events, {report.blobs} blobs, "
            f"{report.anchors} anchored heads"
        )
        verdict = "whole" if report.whole else "NOT what was written"
        print(f"{verdict}: {counted}")
        if report.removed:
            print(f"{report.removed} streams were removed after their time: `outlast store removals` lists them")
        if report.sealed:
            print(f"{report.sealed} records are sealed and were not looked into, nor the blobs that they name")
    if not report.whole:
        raise typer.Exit(ExitCode.FAILED)


@audit_app.command()
def show(
    stream: Annotated[
        str, typer.Argument(metavar="RUN|STREAM", show_default=False, help="A run's identifier, or a whole stream key.")
    ],
    home: Home = None,
    json: Json = False,
) -> None:
    """Show the raw records of a stream with their hashes, as they are stored.

    For a run, its history and its inbox. Each hash covers the record and, through the one before it, all of its past.

    For example:

        outlast audit show run_01k…
        outlast audit show run_01k… --json | jq '.records[].body.append_id'
    """
    import asyncio

    from outlast.cli.home import project
    from outlast.cli.output import plain, print_json

    found = asyncio.run(_records(project(home), stream))
    if json:
        print_json({"records": found})
        return
    for record in found:
        try:
            types = ", ".join(str(event["type"]) for event in record["body"]["events"])
        except (KeyError, TypeError):
            types = _sealed_with(record["body"]) or "unreadable"
        last = record["seq"] + record["count"] - 1
        span = str(record["seq"]) if record["count"] == 1 else f"{record['seq']}-{last}"
        print(plain(f"{record['hash'][:16]}  {record['stream']}  {span:>5}  {types}"))


async def _records(home: Path, name: str) -> list[dict[str, Any]]:
    from outlast.blueprint.load import load
    from outlast.bootstrap.reading import open_reading_platform
    from outlast.journal.stream import StreamKey
    from outlast.kernel.error import NotFound
    from outlast.kernel.identity import check_name

    async with open_reading_platform(home, load(home)) as platform:
        if "/" in name:
            streams = [str(StreamKey.parse(name))]
        else:
            check_name("run", name)
            streams = [str(StreamKey(kind, name, platform.store.lineage)) for kind in ("run", "inbox")]
        found = [record for stream in streams for record in await _stream(platform, stream)]
    if not found:
        raise NotFound(f"the journal has no stream {name}: `outlast runs` lists what there is")
    return found


async def _stream(platform: Platform, stream: str) -> list[dict[str, Any]]:
    from outlast.journal.stream import Head

    found: list[dict[str, Any]] = []
    at = Head(0, b"")
    while records := await platform.store.read(stream, at.seq):
        for record in records:
            found.append(
                {
                    "stream": stream,
                    "seq": record.seq,
                    "count": record.count,
                    "hash": record.hash.hex(),
                    "body": _parsed(record.body),
                }
            )
            at = Head(record.seq + record.count - 1, record.hash)
    return found


def _sealed_with(body: Any) -> str:
    """What to say of a record whose events are sealed; "" if they are not."""
    try:
        return f"sealed with key {body['sealed']['key']}"
    except (KeyError, TypeError):
        return ""


def _parsed(body: bytes) -> Any:
    import json

    try:
        return json.loads(body)
    except ValueError:
        return body.decode("utf-8", "replace")
