from __future__ import annotations

import sys
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from outlast.blueprint.load import parse
from outlast.bootstrap.app import configure_app, load_app, pools_of
from outlast.kernel.error import ConfigurationError

GOOD = """import outlast
app = outlast.App('desk')
@app.agent
async def support(run, message: str) -> str:
    return message
"""
Project = Callable[..., Path]


@pytest.fixture
def project(tmp_path: Path) -> Iterator[Project]:
    """A directory with these files; what was imported from it is forgotten afterwards."""
    before, path = set(sys.modules), list(sys.path)

    def make(**files: str) -> Path:
        for name, text in files.items():
            (tmp_path / f"{name}.py").write_text(text)
        return tmp_path

    yield make
    sys.path[:] = path
    for name in set(sys.modules) - before:
        del sys.modules[name]


@pytest.mark.parametrize("target", ["desk_one:app", "desk_one.py:app", "desk_one"])
def test_an_app_is_found_by_module_by_file_and_alone(project: Project, target: str) -> None:
    app = load_app(target, project(desk_one=GOOD))
    assert app.name == "desk"
    assert list(app.agents) == ["support"]


@pytest.mark.parametrize(
    ("target", "files", "says"),
    [
        ("nothing:app", {}, "there is no .*nothing.py, nor a package of that name: create it"),
        ("nothing.py:app", {}, "app file .*nothing.py is not there: create it"),
        ("pack.deep:app", {}, "there is no .*deep.py"),
        ("m1:app", {"m1": "x = 1"}, "m1 has no 'app'$"),
        ("m2:ap", {"m2": GOOD}, "m2 has no 'ap'; there is m2:app"),
        ("m3:app", {"m3": "app = 3"}, "app m3:app is int, expected an outlast.App: write app = outlast.App"),
        ("m4", {"m4": "x = 1"}, "m4 holds no outlast.App"),
        ("m5", {"m5": GOOD + "other = outlast.App('two')"}, "m5 holds 2 Apps: choose one of m5:app, m5:other"),
        ("m6:app", {"m6": "import sys\nsys.exit(3)"}, "cannot be imported: SystemExit: 3\n.*m6.py:2 in <module>: sys"),
        ("m7:app", {"m7": "def x(:\n"}, "cannot be imported: SyntaxError: invalid syntax\n.*m7.py:1: def x"),
        ("m8:app", {"m8": "import nowhere_to_be_found"}, "ModuleNotFoundError: No module named 'nowhere_to_be_found'"),
        ("m9:app", {"m9": GOOD + "@app.tool(effect='sometimes')\ndef t(): ..."}, r"ConfigurationError: .*\n.*m9.py:6"),
    ],
)
def test_what_cannot_be_loaded_is_said_clearly(project: Project, target: str, files: dict[str, str], says: str) -> None:
    with pytest.raises(ConfigurationError, match=says):
        load_app(target, project(**files))


def test_an_error_at_import_shows_the_users_lines_and_none_of_ours(project: Project) -> None:
    home = project(top="import middle\n", middle="import json\ndef go():\n    return json.loads('{')\ngo()\n")
    with pytest.raises(ConfigurationError) as caught:
        load_app("top:app", home)
    text = str(caught.value)
    assert text.startswith("app top:app cannot be imported: JSONDecodeError: ")
    assert [line.split(" in ")[0].split("/")[-1] for line in text.splitlines()[1:]] == [
        "top.py:1", "middle.py:4", "middle.py:3",
    ]  # fmt: skip


def test_the_blueprint_goes_before_the_code(project: Project) -> None:
    app = load_app("desk_two:app", project(desk_two=GOOD))
    assert pools_of(app) == ("default",)
    said = b"outlast: 1\nagents: {support: {workers: {min: 1}, deadline: 30s, budget: {steps: 7, cost: 0.5USD}}}\n"
    configure_app(app, parse(said))
    options = app.agents["support"].options
    assert (options.pool, options.deadline_s, options.budget.steps, options.budget.usd) == ("support", 30.0, 7, 0.5)
    assert pools_of(app) == ("support",)
    with pytest.raises(ConfigurationError, match=r"agents\.helpdesk is not an agent"):
        configure_app(app, parse(b"outlast: 1\nagents: {helpdesk: {deadline: 1s}}\n"))
