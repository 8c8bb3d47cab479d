"""``outlast gateway`` and ``outlast pools``: what is wrong with the command is said, with what to do."""

from __future__ import annotations

import socket
from collections.abc import Callable
from pathlib import Path

import pytest

from tests.cli.conftest import Said


@pytest.fixture(autouse=True)
def nowhere(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """No project here, and none named by the environment."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.delenv("OUTLAST_HOME", raising=False)


def test_a_gateway_without_endpoints_and_without_a_project_says_how_to_name_endpoints(cli: Callable[..., Said]) -> None:
    said = cli("gateway")
    assert said.code == 2
    assert "give --to URL once for each endpoint" in said.err


@pytest.mark.parametrize("option", ["--model", "--key"])
def test_an_option_that_would_be_ignored_is_refused(option: str, cli: Callable[..., Said]) -> None:
    said = cli("gateway", option, "env:WRITER")
    assert said.code == 2
    assert f"{option} goes with --to" in said.err


def test_an_endpoint_given_twice_is_refused(cli: Callable[..., Said]) -> None:
    said = cli("gateway", "--to", "http://127.0.0.1:9/v1", "--to", "http://127.0.0.1:9/v1/", "--listen", "nonsense")
    assert said.code == 2
    assert "one endpoint twice" in said.err


@pytest.mark.parametrize("command", ["pools", "pools --json", "pools drain own-1", "gateway reload"])
def test_where_no_gateway_answers_the_command_that_starts_one_is_named(command: str, cli: Callable[..., Said]) -> None:
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))  # bound and not listening: connections are refused
        said = cli(*command.split(), "--at", f"http://127.0.0.1:{taken.getsockname()[1]}")
    assert said.code == 5
    assert said.out == ""
    assert "is `outlast gateway` running?" in said.err
