"""``outlast import``: a draft of outlast.yaml from what is deployed already."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from outlast.cli.option import Json, command_group

if TYPE_CHECKING:
    from outlast.assessment.template.cloudformation import Source
    from outlast.assessment.template.draft import Draft

import_app = command_group("Draft outlast.yaml from templates of CloudFormation (CDK, SAM) or plans of Terraform.")

files_max = 64
"""Bound of the files of one import."""
_shown_max = 40
"""Resources of a kind that the report for people names; `--json` names all."""

Files = Annotated[
    list[str],
    typer.Argument(
        metavar="FILE...",
        show_default=False,
        help="Files; - reads standard input; FILE@eu-central-1 says in which region it is deployed.",
    ),
]
Out = Annotated[
    Path | None,
    typer.Option(
        "--output", "-o", metavar="FILE", show_default=False, help="Write the draft there. Default: print it."
    ),
]
Name = Annotated[
    str, typer.Option("--name", show_default=False, help="Name of the system. Default: that of the first file.")
]
Force = Annotated[bool, typer.Option("--force", help="Overwrite the file that --output names.")]
SameAs = Annotated[
    list[str] | None,
    typer.Option(
        "--same-as",
        metavar="FILE",
        show_default=False,
        help="Draft nothing: say where this deployment of the stack is not like FILE. May be repeated.",
    ),
]


@import_app.command("cloudformation")
def cloudformation(
    files: Files, output: Out = None, name: Name = "", force: Force = False, same_as: SameAs = None, json: Json = False
) -> None:
    """Draft a blueprint from templates of CloudFormation: JSON, YAML, SAM, or what `cdk synth` leaves in cdk.out.

    Nothing is asked of AWS. Every resource is accounted for: it became a component, says something about one, says
    nothing about failures, or could not be read. What was assumed stands in comments. Give nested stacks as further
    files, and several regions as FILE@REGION. With --same-as two deployments of one stack are compared, such as what
    `aws cloudformation get-template` says of two regions: exit code 1 if one of them was changed.

    For example:

        outlast import cloudformation template.yaml@eu-central-1 -o outlast.yaml && outlast assess
        outlast import cloudformation cdk.out/*.template.json --json | jq .left
        outlast import cloudformation main.yaml@eu-central-1 standby.yaml@eu-west-1
        outlast import cloudformation main.yaml@eu-central-1 --same-as standby.yaml@eu-west-1
    """
    from outlast.assessment.template.draft import draft_cloudformation

    if same_as:
        _compare(files, same_as, draft_cloudformation, output, json=json)
        return
    _import(files, draft_cloudformation, output, name, force=force, json=json)


@import_app.command("terraform")
def terraform(
    files: Files, output: Out = None, name: Name = "", force: Force = False, same_as: SameAs = None, json: Json = False
) -> None:
    """Draft a blueprint from a plan (or state) of Terraform as JSON.

    Nothing is asked of AWS, and no provider is run. Every resource is accounted for: it became a component, says
    something about one, says nothing about failures, or could not be read. Values of a plan are read and not shown.

    For example:

        terraform plan -out plan.bin && terraform show -json plan.bin > plan.json
        outlast import terraform plan.json -o outlast.yaml && outlast assess
        terraform show -json plan.bin | outlast import terraform - --json | jq .left
    """
    from outlast.assessment.template.draft import draft_terraform

    if same_as:
        _compare(files, same_as, draft_terraform, output, json=json)
        return
    _import(files, draft_terraform, output, name, force=force, json=json)


def _import(
    files: list[str],
    read: Callable[[Sequence[Source], str], Draft],
    output: Path | None,
    name: str,
    *,
    force: bool,
    json: bool,
) -> None:
    from outlast.cli.output import note, print_json
    from outlast.kernel.error import Conflict, UsageError

    if len(files) > files_max:
        raise UsageError(f"{len(files)} files, the bound files_max is {files_max}: give fewer")
    if output is not None and not force and (output.exists() or output.is_symlink()):
        raise Conflict(f"{output} is there already, nothing was written: name another file, or give --force")
    draft = read([_source(file) for file in files], name or _name_of(files[0]))
    _check(draft)
    if output is not None:
        with output.open("w" if force else "x", encoding="utf-8") as file:
            file.write(draft.text)
    if json:
        print_json(_document(draft, output))
        return
    if output is None:
        print(draft.text, end="")
    for line in _report(draft):
        note(line)
    if output is not None:
        note(f"\nwrote {output}. Read its comments, correct what was assumed, then: outlast assess -f {output}")


def _compare(
    files: list[str],
    others: list[str],
    read: Callable[[Sequence[Source], str], Draft],
    output: Path | None,
    *,
    json: bool,
) -> None:
    import msgspec

    from outlast.assessment.template.difference import differences
    from outlast.blueprint.load import parse
    from outlast.cli.exit import ExitCode
    from outlast.cli.output import note, plain, print_json
    from outlast.kernel.error import UsageError

    if output is not None:
        raise UsageError("--output and --same-as do not go together: a comparison drafts nothing")
    if len(files) + len(others) > files_max:
        raise UsageError(f"{len(files) + len(others)} files, the bound files_max is {files_max}: give fewer")
    drafts = [read([_source(file) for file in given], "compared") for given in (files, others)]
    for draft in drafts:
        _check(draft)
    found = differences(*(parse(draft.text.encode()) for draft in drafts))
    if json:
        print_json({"here": files, "there": others, "differences": msgspec.to_builtins(found)})
    else:
        for one in found:
            print(plain(f"{one.where}: {_said(one.here)} in {files[0]}, {_said(one.there)} in {others[0]}"))
        components = len(drafts[0].components), len(drafts[1].components)
        note(f"{len(found)} differences; {components[0]} components in {files[0]}, {components[1]} in {others[0]}")
        unread = sum(len(draft.left) for draft in drafts)
        if unread:
            note(f"{unread} resources were not read, and not compared: see the import of each")
    if found:
        raise typer.Exit(ExitCode.FAILED)


def _said(value: object) -> str:
    import json

    return "nothing" if value is None else value if isinstance(value, str) else json.dumps(value)


def _source(given: str) -> Source:
    import re
    import sys

    from outlast.assessment.template.cloudformation import Source
    from outlast.assessment.template.text import template_bytes_max
    from outlast.kernel.error import ConfigurationError

    match = re.fullmatch(r"(.+)@([a-z]{2}(?:-[a-z]+)+-[0-9])", given)
    file, region = (match[1], match[2]) if match is not None and not Path(given).exists() else (given, "")
    if file == "-":
        return Source("standard input", sys.stdin.buffer.read(template_bytes_max + 1), region)
    try:
        with Path(file).open("rb") as template:
            return Source(file, template.read(template_bytes_max + 1), region)
    except OSError as error:
        why = (error.strerror or str(error)).lower()
        raise ConfigurationError(f"{file} cannot be read: {why}: give a template, or - for standard input") from None


def _name_of(given: str) -> str:
    import re

    stem = Path(given.partition("@")[0]).name.split(".")[0]
    return re.sub(r"[^A-Za-z0-9_.-]+", "-", stem).strip("-_.")[:128] or "imported"


def _check(draft: Draft) -> None:
    """The draft must be a blueprint: what is not would be a fault of the importer."""
    from outlast.blueprint.load import parse
    from outlast.kernel.error import ConfigurationError, UsageError

    try:
        parse(draft.text.encode(), "the draft")
    except UsageError as error:
        raise ConfigurationError(
            f"nothing was written: the draft is not a blueprint, a fault of ours: {error}"
        ) from None


def _document(draft: Draft, output: Path | None) -> dict[str, object]:
    import msgspec

    found = msgspec.to_builtins(draft)
    found["blueprint"] = found.pop("text") if output is None else str(output)
    return found


def _report(draft: Draft) -> list[str]:
    """What became of the resources, for people."""
    made = sum(len(drawn.resources) for drawn in draft.components)
    components = f"{len(draft.components)} components, from {made} resources"
    others = f"{len(draft.told)} more say something about them, {len(draft.quiet)} say nothing about failures"
    lines = [f"{components}; {others}, {len(draft.left)} were not read"]
    if draft.left:
        lines.append("not read:")
        lines += [_left_line(one) for one in draft.left[:_shown_max]]
        if len(draft.left) > _shown_max:
            lines.append(f"  … and {len(draft.left) - _shown_max} more: --json lists all")
    if draft.remarks:
        lines.append("remarks:")
        lines += [f"  {remark}" for remark in draft.remarks[:_shown_max]]
    return lines


def _left_line(one: object) -> str:
    from outlast.assessment.template.resource import Left

    assert isinstance(one, Left)
    place = f" {one.file}:{one.line}" if one.line else ""
    return f"  {one.resource} ({one.type or 'no type'}){place}: {one.why}"
