"""The entry point: help, unknown words, errors, exit codes, colour."""

from __future__ import annotations

import os
import pty
import shlex
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path

import pytest

from outlast.cli import main as entry
from outlast.cli.main import COMMANDS, load_command, root
from tests.cli.conftest import Said


def test_help_lists_every_command_and_exits_with_0(cli: Callable[..., Said]) -> None:
    said = cli("--help")
    assert said.code == 0
    text = " ".join(said.out.replace("│", " ").split())  # however narrow the terminal is
    for name, command in COMMANDS.items():
        assert f" {name} {command.help} " in text


def test_no_arguments_are_a_call_for_help(cli: Callable[..., Said]) -> None:
    assert cli() == cli("-h") == cli("--help")


@pytest.mark.parametrize("name", COMMANDS)
def test_every_command_explains_itself_with_an_example(name: str, cli: Callable[..., Said]) -> None:
    command = load_command(name)
    subcommands = list(getattr(command, "commands", {}))
    for path in [[name], *[[name, inner] for inner in subcommands]]:
        said = cli(*path, "--help")
        assert said.code == 0
        assert f"outlast {' '.join(path)}" in said.out
        assert subcommands or "xample" in said.out


@pytest.mark.parametrize("name", COMMANDS)
def test_the_list_of_commands_says_what_each_says_itself(name: str) -> None:
    own = " ".join((load_command(name).help or "").split("\n\n")[0].split())
    assert own == COMMANDS[name].help


def test_a_command_reads_no_other_commands_module(process: Callable[..., Said]) -> None:
    code = (
        "import sys; from outlast.cli.main import main; main(['--help'])\n"
        "heavy = {'msgspec', 'apsw', 'aiohttp', 'yaml', 'asyncio', 'uvicorn', 'starlette', 'http.client'}\n"
        "sys.exit(f'imported: {sorted(heavy & set(sys.modules))}' if heavy & set(sys.modules) else 0)"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, timeout=60)
    assert done.returncode == 0, done.stderr


def test_the_time_that_help_takes_is_printed(capsys: pytest.CaptureFixture[str]) -> None:
    times: list[float] = []
    for _ in range(3):
        start = time.monotonic()
        subprocess.run([sys.executable, "-m", "outlast", "--help"], capture_output=True, timeout=60, check=True)
        times.append(time.monotonic() - start)
    with capsys.disabled():
        sys.stdout.write(f"\noutlast --help: {min(times):.3f} s (best of {len(times)}; the aim is 0.4 s)\n")


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["verson"], "no command 'verson': did you mean 'version'?; see: outlast --help"),
        (["xyz"], "no command 'xyz'; see: outlast --help"),
        (["--verbos"], "no such option: --verbos"),
        (["version", "--jsn"], "no such option: --jsn"),
        (["version", "more"], "got unexpected extra argument"),
        (["show"], "missing argument 'run'; see: outlast show --help"),
        (["runs", "--limit", "0"], "invalid value for '--limit'"),
        (["completion", "tcsh"], "'tcsh' is not one of"),
    ],
)
def test_a_wrong_command_line_is_one_line_and_2(arguments: list[str], message: str, cli: Callable[..., Said]) -> None:
    said = cli(*arguments)
    assert said.code == 2
    assert said.out == ""
    assert said.err.startswith("error: ")
    assert message.lower() in said.err.lower()
    assert said.err.count("\n") == 1


def test_a_fault_of_ours_is_two_lines_without_a_traceback(
    cli: Callable[..., Said], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(COMMANDS, "version", entry.Entry("nowhere", "nothing", "More", "…"))
    said = cli("version")
    assert said.code == 1
    assert said.err.count("\n") == 2
    assert "OUTLAST_DEBUG=1" in said.err
    assert "Traceback" not in said.err
    monkeypatch.setenv("OUTLAST_DEBUG", "1")
    assert "Traceback" in cli("version").err


@pytest.mark.parametrize("arguments", [["--help"], ["version"], ["blueprint", "reference"]])
def test_whoever_reads_our_output_may_stop_early(arguments: list[str]) -> None:
    reader, writer = os.pipe()
    os.close(reader)
    with os.fdopen(writer, "wb") as closed:
        done = subprocess.run(
            [sys.executable, "-m", "outlast", *arguments], stdout=closed, stderr=subprocess.PIPE, timeout=60, text=True
        )
    assert done.stderr == ""
    assert done.returncode == 0


def in_shell(line: str) -> subprocess.CompletedProcess[str]:
    """`line`, in which `outlast` stands for this one."""
    told = line.replace("outlast", f"{shlex.quote(sys.executable)} -m outlast", 1)
    return subprocess.run(["sh", "-c", told], capture_output=True, text=True, timeout=60)


def test_streams_that_were_closed_lead_nowhere() -> None:
    done = in_shell("outlast version >&-")
    assert (done.returncode, done.stderr) == (0, "")
    done = in_shell("outlast verson 2>&-")  # not into standard output instead
    assert (done.returncode, done.stdout) == (2, "")
    done = in_shell("outlast version <&- >&- 2>&-")
    assert done.returncode == 0
    done = in_shell("outlast version <&-")
    assert done.returncode == 0
    assert done.stdout.startswith("outlast")


@pytest.mark.skipif(not Path("/dev/full").exists(), reason="only Linux has a file that is always full")
def test_output_that_a_full_disk_does_not_take_is_one_line_and_5() -> None:
    for arguments in ("version", "blueprint reference", "--help"):
        done = in_shell(f"outlast {arguments} >/dev/full")
        assert (done.returncode, done.stderr) == (5, "error: no space left on device\n")
    assert in_shell("outlast version 2>/dev/full").returncode == 0
    assert in_shell("outlast verson 2>/dev/full").returncode == 2


_colour = ("FORCE_COLOR", "NO_COLOR", "CLICOLOR", "CLICOLOR_FORCE", "TTY_COMPATIBLE", "GITHUB_ACTIONS", "PY_COLORS")


def seen_on_a_terminal(*arguments: str, env: dict[str, str]) -> bytes:
    """What a command writes when its output and errors are a terminal."""
    ours, theirs = pty.openpty()
    child = subprocess.Popen(
        [sys.executable, "-m", "outlast", *arguments],
        stdin=subprocess.DEVNULL,
        stdout=theirs,
        stderr=theirs,
        env={name: value for name, value in os.environ.items() if name not in _colour} | {"TERM": "xterm"} | env,
    )
    os.close(theirs)
    seen = b""
    try:
        while block := os.read(ours, 65536):
            seen += block
    except OSError:  # the other end is closed: the child has ended
        pass
    os.close(ours)
    child.wait(30)
    return seen


@pytest.mark.parametrize("arguments", [["doctor"], ["--help"], ["nonsense"]])
def test_colour_is_for_terminals_and_no_color_turns_it_off(arguments: list[str]) -> None:
    assert b"\x1b[" in seen_on_a_terminal(*arguments, env={})
    colours = (b"\x1b[3", b"\x1b[1;3", b"\x1b[9")
    plain = seen_on_a_terminal(*arguments, env={"NO_COLOR": "1"})
    assert not any(colour in plain for colour in colours)


@pytest.mark.parametrize("arguments", [["doctor"], ["--help"], ["nonsense"]])
def test_there_is_no_colour_in_a_pipe(arguments: list[str], process: Callable[..., Said]) -> None:
    said = process(*arguments)
    assert "\x1b" not in said.out + said.err


def test_the_whole_command_line_is_made_without_running_anything() -> None:
    command = root()
    assert set(command.list_commands(command.make_context("outlast", ["version"]))) == set(COMMANDS)
