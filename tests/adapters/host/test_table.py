from __future__ import annotations

import os
import signal
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from outlast.adapters.host import memory, table


@pytest.fixture
def sleeper() -> Iterator[subprocess.Popen[bytes]]:
    process = subprocess.Popen(
        [sys.executable, "-c", "print(flush=True); input()"],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        start_new_session=True,
        env={**os.environ, "OUTLAST_CHILD": "c 1"},
    )
    assert process.stdout is not None
    process.stdout.readline()
    yield process
    process.kill()
    process.communicate()


@pytest.mark.parametrize("proc", [True, False], ids=["proc", "ps"])
def test_a_process_is_found_with_its_group_start_and_memory(sleeper: subprocess.Popen[bytes], proc: bool) -> None:
    found = table.lookup(sleeper.pid, proc=proc)
    assert found is not None
    assert (found.pid, found.group, found.zombie) == (sleeper.pid, sleeper.pid, False)
    assert found.rss > 1 << 20
    again = table.lookup(sleeper.pid, proc=proc)
    assert again is not None
    assert again.started == found.started != ""
    assert [member.pid for member in table.members(sleeper.pid, proc=proc)] == [sleeper.pid]


@pytest.mark.parametrize("proc", [True, False], ids=["proc", "ps"])
def test_a_zombie_is_seen_as_one_and_is_no_member(sleeper: subprocess.Popen[bytes], proc: bool) -> None:
    sleeper.kill()
    os.waitid(os.P_PID, sleeper.pid, os.WEXITED | os.WNOWAIT)
    found = table.lookup(sleeper.pid, proc=proc)
    assert found is not None
    assert found.zombie
    assert table.members(sleeper.pid, proc=proc) == []


@pytest.mark.parametrize("proc", [True, False], ids=["proc", "ps"])
def test_nobody_is_found_under_a_number_that_is_free(sleeper: subprocess.Popen[bytes], proc: bool) -> None:
    sleeper.kill()
    sleeper.wait()
    assert table.lookup(sleeper.pid, proc=proc) is None


def test_a_process_is_recognised_by_its_environment(sleeper: subprocess.Popen[bytes]) -> None:
    assert table.tagged(sleeper.pid, "OUTLAST_CHILD", "c 1")
    assert not table.tagged(sleeper.pid, "OUTLAST_CHILD", "c")
    assert not table.tagged(sleeper.pid, "CHILD", "c 1")


def test_memory_is_that_of_the_process_or_of_its_group(sleeper: subprocess.Popen[bytes]) -> None:
    assert memory.resident(sleeper.pid) > 1 << 20
    assert memory.resident_of_family(sleeper.pid) > 1 << 20
    sleeper.kill()
    sleeper.wait()
    assert memory.resident(sleeper.pid) == 0
    assert memory.resident_of_family(sleeper.pid) == 0


def test_memory_of_a_family_counts_what_was_started_by_a_thread(tmp_path: Path) -> None:
    program = (
        "import subprocess, sys, threading\n"
        "held = []\n"
        "def go(): held.append(subprocess.Popen([sys.executable, '-c',\n"
        "    'x = bytearray(b\"x\" * (64 << 20)); print(flush=True); input()'], stdin=0))\n"
        "thread = threading.Thread(target=lambda: (go(), input()))\n"
        "thread.start(); thread.join()"
    )
    with subprocess.Popen(
        [sys.executable, "-c", program], stdin=subprocess.PIPE, stdout=subprocess.PIPE, start_new_session=True
    ) as process:
        assert process.stdout is not None
        process.stdout.readline()
        assert memory.resident(process.pid) < 64 << 20 < memory.resident_of_family(process.pid)
        os.killpg(process.pid, signal.SIGKILL)


def test_this_boot_has_a_name() -> None:
    assert table.boot_id() == table.boot_id() != ""
