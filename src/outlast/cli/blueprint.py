"""``outlast blueprint``: the file that says what a system is, checked and shown. Needs no app, no network, no cloud."""

from __future__ import annotations

from typing import Annotated, Any

import typer

from outlast.cli.option import File, Home, Json, command_group

blueprint_app = command_group("Check outlast.yaml, show it with its defaults, print its reference and JSON Schema.")


@blueprint_app.command()
def check(file: File = None, home: Home = None, json: Json = False) -> None:
    """Read a blueprint and say what it describes, or where and why it is not accepted (exit code 2).

    An error names file, line and column, and for a word that is not known the nearest one that is.

    For example:

        outlast blueprint check
        outlast blueprint check -f other.yaml --json | jq .components
    """
    from outlast.blueprint.described import only_described
    from outlast.blueprint.link import components
    from outlast.blueprint.load import load_file
    from outlast.cli.home import blueprint_path
    from outlast.cli.output import plain, print_json

    path = blueprint_path(file, home)
    blueprint, places = load_file(path)
    every = components(blueprint)
    described = only_described(blueprint)
    if json:
        placed: list[dict[str, Any]] = [
            {"component": name, "line": places[name].line, "column": places[name].column}
            if name in places
            else {"component": name}
            for name in every
        ]
        print_json({"file": str(path), "name": blueprint.name, "components": placed, "not_started_by_up": described})
        return
    sections: dict[str, int] = {}
    for name in every:
        section = name.partition(".")[0]
        sections[section] = sections.get(section, 0) + 1
    counted = ", ".join(f"{count} in {section}" for section, count in sections.items())
    print(plain(f"{path}: accepted: {blueprint.name}, {len(every)} components ({counted})"))
    if described:
        print(plain(f"not started by `outlast up`, only described: {', '.join(described)}"))


@blueprint_app.command()
def show(
    file: File = None,
    home: Home = None,
    resolved: Annotated[bool, typer.Option("--resolved", help="With every default filled in.")] = False,
    json: Json = False,
) -> None:
    """Print a blueprint as it was understood: what it says, or, with --resolved, all that follows from it.

    What is printed is a blueprint again. Secrets are shown as it shows them: by where they are.

    For example:

        outlast blueprint show --resolved > resolved.yaml
        outlast blueprint show --resolved --json | jq .stores.journal
    """
    from outlast.blueprint.load import load_file
    from outlast.blueprint.resolved import resolve, written, yaml_text
    from outlast.cli.home import blueprint_path
    from outlast.cli.output import print_json

    blueprint, _ = load_file(blueprint_path(file, home))
    document = written(resolve(blueprint) if resolved else blueprint, defaults=resolved)
    if json:
        print_json(document)
    else:
        print(yaml_text(document), end="")


@blueprint_app.command()
def schema() -> None:
    """Print the JSON Schema of outlast.yaml, with which editors complete and check it.

    For example:

        outlast blueprint schema > outlast.schema.json
        # and as the first line of outlast.yaml:   # yaml-language-server: $schema=outlast.schema.json
    """
    import json

    from outlast.blueprint.reference import json_schema

    print(json.dumps(json_schema(), indent=2, ensure_ascii=False))


@blueprint_app.command()
def reference() -> None:
    """Print the reference of outlast.yaml as Markdown: every key, its values, its default, what it says.

    For example:

        outlast blueprint reference > blueprint.md
    """
    from outlast.blueprint.reference import page

    print(page(), end="")
