"""Emulators of AWS, started by the tests that need them: on loopback, on a free port, ended by their own process id."""

from __future__ import annotations

import functools
import os
import signal
import subprocess
import sys
import time
import urllib.error
import urllib.request
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest

from outlast.adapters.aws.client import Place
from tests.servers.process import free_port

REGION = "eu-central-1"
START_WITHIN_S = 30.0
CREDENTIALS = {"AWS_ACCESS_KEY_ID": "testing", "AWS_SECRET_ACCESS_KEY": "testing", "AWS_EC2_METADATA_DISABLED": "true"}


@contextmanager
def emulator(name: str) -> Iterator[Place]:
    """``ministack`` or ``moto_server``: where it is. Skips the test if it is not installed, except in CI."""
    program = Path(sys.executable).parent / name
    if not program.exists():
        if os.environ.get("CI") == "true":
            pytest.fail(f"{name} is not installed: CI needs it")
        pytest.skip(f"{name} is not installed")
    port = free_port()
    arguments = ["-H", "127.0.0.1", "-p", str(port)] if name == "moto_server" else []
    settings = {"BIND_HOST": "127.0.0.1", "IOT_MTLS_ENABLED": "0", "SFTP_ENABLED": "0", "GATEWAY_PORT": str(port)}
    with running([str(program), *arguments], {**os.environ, **settings, **CREDENTIALS}) as process:
        url = f"http://127.0.0.1:{port}"
        end = time.monotonic() + START_WITHIN_S
        while not _answers(url):
            if process.poll() is not None or time.monotonic() > end:
                pytest.fail(f"{name} did not start: exit status {process.poll()}")
            time.sleep(0.02)
        yield Place(REGION, url)


@contextmanager
def running(command: list[str], environment: Mapping[str, str] | None = None) -> Iterator[subprocess.Popen[bytes]]:
    """A process of its own group, killed at the end."""
    process = subprocess.Popen(
        command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL, env=environment, start_new_session=True
    )
    try:
        yield process
    finally:
        try:
            os.killpg(process.pid, signal.SIGKILL)
        except ProcessLookupError:
            pass
        process.wait()


def _answers(url: str) -> bool:
    try:
        urllib.request.urlopen(url, timeout=1)
    except urllib.error.HTTPError:
        return True
    except OSError:
        return False
    return True


@functools.cache
def _boto(service: str, url: str | None) -> Any:
    from botocore.session import get_session

    return get_session().create_client(
        service, region_name=REGION, endpoint_url=url, aws_access_key_id="testing", aws_secret_access_key="testing"
    )


def ask(service: str, place: Place, operation: str, **parameters: Any) -> dict[str, Any]:
    """One call of a client of its own: for what tests arrange and look at."""
    return getattr(_boto(service, place.endpoint_url), operation)(**parameters)
