"""What a process prints arrives whole, also where Python was told not to buffer and the writer is interrupted."""

from __future__ import annotations

import fcntl
import json
import os
import signal
import struct
import subprocess
import sys
import termios
import time
from collections.abc import Sequence
from pathlib import Path

import pytest

PIPE_BYTES = 65_536
TEXT_BYTES = 3_000_000

PRINTS = f"""
import sys
from outlast.adapters.host.output import print_whole
print_whole()
print("x" * {TEXT_BYTES - 1}, file=sys.STREAM)
"""


def interrupted(command: Sequence[str], stream: str, flags: dict[str, str]) -> tuple[bytes, int]:
    """What came of a process that was stopped, and told to go on, when it waited for its reader."""
    out, err = (subprocess.PIPE if name == stream else None for name in ("stdout", "stderr"))
    process = subprocess.Popen(list(command), env={**os.environ, **flags}, stdout=out, stderr=err)
    pipe = process.stdout or process.stderr
    assert pipe is not None
    deadline = time.monotonic() + 60
    while struct.unpack("i", fcntl.ioctl(pipe, termios.FIONREAD, b"\0" * 4))[0] < PIPE_BYTES:
        assert process.poll() is None, "it ended before its pipe was full"
        assert time.monotonic() < deadline, "its pipe was never full"
        time.sleep(0.001)
    process.send_signal(signal.SIGSTOP)
    while Path(f"/proc/{process.pid}/stat").read_text().rsplit(") ", 1)[1][0] != "T":
        assert time.monotonic() < deadline, "it did not stop"
        time.sleep(0.001)
    process.send_signal(signal.SIGCONT)
    out, err = process.communicate(timeout=60)
    return (out if stream == "stdout" else err), process.returncode


@pytest.mark.skipif(sys.platform != "linux", reason="looks into /proc")
@pytest.mark.parametrize("unbuffered", ["", "1"])
@pytest.mark.parametrize("stream", ["stdout", "stderr"])
def test_a_writer_that_is_interrupted_loses_nothing(stream: str, unbuffered: str) -> None:
    written, code = interrupted(
        [sys.executable, "-c", PRINTS.replace("STREAM", stream)], stream, {"PYTHONUNBUFFERED": unbuffered}
    )
    assert (len(written), code) == (TEXT_BYTES, 0)


@pytest.mark.skipif(sys.platform != "linux", reason="looks into /proc")
def test_the_document_of_a_command_arrives_whole() -> None:
    command = [sys.executable, "-m", "outlast", "blueprint", "schema"]
    written, code = interrupted(command, "stdout", {"PYTHONUNBUFFERED": "1"})
    assert code == 0
    assert len(written) > PIPE_BYTES
    assert json.loads(written)["type"] == "object"


def test_what_is_printed_is_there_at_once_where_that_was_asked_for() -> None:
    code = "from outlast.adapters.host.output import print_whole as w; w(); print('up', end=''); input()"
    with subprocess.Popen(
        [sys.executable, "-u", "-c", code], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    ) as process:
        assert process.stdout is not None
        assert process.stdout.read(2) == "up"
        process.communicate("\n", timeout=60)
    assert process.returncode == 0


def test_every_process_that_prints_documents_prints_them_whole() -> None:
    said_in_one_line = {"llama.py"}  # where it serves: a pipe takes a line of less than 4 KiB whole
    for path in (Path(__file__).parents[3] / "src" / "outlast").rglob("*.py"):
        if path.name in said_in_one_line:
            continue
        code = path.read_text("utf-8")
        if '__name__ == "__main__"' in code and "sys.stdout" in code:
            assert "print_whole()" in code, path
