"""What checkers see of a tool's call, and that the runtime sees the same."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from outlast.agent.context import Context
from outlast.agent.step import takes_context

CODE = """
from typing import Any
import outlast

app: outlast.App[None] = outlast.App("t")

@app.tool(effect="pure")
async def with_context(ctx: outlast.Context[None], n: int) -> str: ...
@app.tool(effect="pure")
async def by_annotation(context: outlast.Context[Any], n: int) -> str: ...
@app.tool(effect="pure")
async def without(n: int) -> str: ...
@app.tool(effect="pure")
def in_a_thread(ctx: outlast.Context[None], n: int) -> str: ...
@app.tool(effect="pure")
async def anything(value: Any) -> str: ...
@app.tool(effect="pure")
def anything_in_a_thread(value: object, n: int) -> str: ...
@app.tool(effect="pure")
async def unsaid(ctx: Any, n: int) -> str: ...

async def calls() -> None:
    reveal_type(await with_context(1))
    reveal_type(await by_annotation(1))
    reveal_type(await without(1))
    reveal_type(await in_a_thread(1))
    reveal_type(await anything({"a": 1}))
    reveal_type(await anything_in_a_thread("x", 1))
    reveal_type(await unsaid(1))
    await with_context("1")  # WRONG
    await with_context()  # WRONG
    await without("1")  # WRONG
    await in_a_thread(1, 2)  # WRONG
"""


def test_checkers_know_the_arguments_of_a_tool_without_its_context(tmp_path: Path) -> None:
    file = tmp_path / "tools.py"
    file.write_text(CODE)
    command = [sys.executable, "-m", "pyright", "--pythonpath", sys.executable, str(file)]
    done = subprocess.run(command, capture_output=True, text=True, timeout=110)
    lines = done.stdout.splitlines()
    assert sum(' is "str"' in line for line in lines) == 7, done.stdout
    wrong = {number for number, line in enumerate(CODE.splitlines(), 1) if line.endswith("# WRONG")}
    errors = {int(line.split(":")[1]) for line in lines if " - error: " in line}
    assert errors == wrong, done.stdout


def _annotated(ctx: Context[Any], n: int) -> None: ...
def _elsewhere(context: Context[Any] | None, n: int) -> None: ...
def _quoted(context: "outlast.Context[Any]", n: int) -> None: ...  # type: ignore[name-defined]  # noqa: F821, UP037
def _unsaid(ctx: Any, n: int) -> None: ...
def _bare(ctx, n): ...
def _value(value: Any) -> None: ...
def _named(ctx: str) -> None: ...
def _many(contexts: list[Context[Any]]) -> None: ...
def _none() -> None: ...


@pytest.mark.parametrize("function", [_annotated, _elsewhere, _quoted, _unsaid, _bare])
@pytest.mark.parametrize("resolved", [True, False])
def test_the_first_parameter_is_the_context_by_its_annotation_else_by_its_name(function: Any, resolved: bool) -> None:
    assert takes_context(_resolved(function) if resolved else function)


@pytest.mark.parametrize("function", [_value, _named, _many, _none])
@pytest.mark.parametrize("resolved", [True, False])
def test_what_may_be_anything_else_is_not_the_context(function: Any, resolved: bool) -> None:
    assert not takes_context(_resolved(function) if resolved else function)


def _resolved(function: Any) -> Any:
    """As in a module without ``from __future__ import annotations``."""
    import outlast

    def made(*arguments: Any) -> None: ...

    import inspect

    names = {**globals(), "outlast": outlast}
    parameters = [
        parameter.replace(annotation=eval(eval_twice(parameter.annotation), names))
        if isinstance(parameter.annotation, str)
        else parameter
        for parameter in inspect.signature(function).parameters.values()
    ]
    made.__signature__ = inspect.Signature(parameters)
    return made


def eval_twice(annotation: str) -> str:
    """Quoted in the source, it is quoted twice here."""
    return annotation.strip("\"'")
