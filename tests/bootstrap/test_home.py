from __future__ import annotations

import multiprocessing
import os
import shutil
from pathlib import Path

import msgspec
import pytest

from outlast.blueprint.load import parse
from outlast.bootstrap.home import CellFile, StateDirectory, Up, remove_own, write_whole
from outlast.kernel.error import ConfigurationError, StoreUnavailable


def test_the_state_directory_is_for_its_user_alone(short_dir: Path) -> None:
    state = StateDirectory(short_dir)
    state.path.mkdir(mode=0o755)
    state.make()
    state.make()
    assert state.path.stat().st_mode & 0o777 == 0o700
    assert state.socket == state.path / "writer.sock"


def test_a_long_path_gets_a_short_socket_in_a_private_directory(tmp_path: Path) -> None:
    home = tmp_path / ("d" * 120)
    home.mkdir()
    state = StateDirectory(home)
    try:
        state.make()
        assert len(os.fsencode(state.socket)) < 107
        assert state.socket.parent.stat().st_mode & 0o777 == 0o700
        assert StateDirectory(home).socket == state.socket != StateDirectory(tmp_path).socket
    finally:
        shutil.rmtree(state.socket.parent)


def test_a_directory_of_somebody_else_is_refused(short_dir: Path) -> None:
    (short_dir / ".outlast").symlink_to("/tmp")
    with pytest.raises(ConfigurationError, match="is not a directory of this user"):
        StateDirectory(short_dir).make()


def test_a_directory_that_cannot_be_made_is_said(short_dir: Path) -> None:
    (short_dir / ".outlast").write_text("a file")
    with pytest.raises((StoreUnavailable, ConfigurationError), match="outlast"):
        StateDirectory(short_dir).make()


def test_children_read_the_blueprint_that_the_supervisor_left(short_dir: Path) -> None:
    state = StateDirectory(short_dir)
    state.make()
    with pytest.raises(StoreUnavailable, match="start `outlast up` again"):
        state.read_cell()
    blueprint = parse(
        b"outlast: 1\nserver: {listen: '127.0.0.1:1', token: env:T}\n"
        b"models: {writer: {endpoints: [{name: own, url: 'http://127.0.0.1:1/v1', model: m, key: 'env:K'}]}}\n"
        b"agents: {a: {workers: {min: 1, memory_max: 1GiB}, deadline: 1s}}\n"
    )
    state.write_cell(blueprint)
    assert state.read_cell() == CellFile(blueprint)
    assert state.cell.stat().st_mode & 0o777 == 0o600


def _write_often(path: Path, times: int) -> None:
    for number in range(times):
        write_whole(path, Up(os.getpid(), f"http://127.0.0.1:{number}"))


def test_processes_that_write_one_file_at_a_time_do_not_hinder_each_other(tmp_path: Path) -> None:
    path = tmp_path / "gateway.json"
    spawn = multiprocessing.get_context("spawn")
    writers = [spawn.Process(target=_write_often, args=(path, 500)) for _ in range(3)]
    for writer in writers:
        writer.start()
    for writer in writers:
        writer.join(60)
    assert [writer.exitcode for writer in writers] == [0, 0, 0]
    assert msgspec.json.decode(path.read_bytes(), type=Up).pid in {writer.pid for writer in writers}
    assert [found.name for found in tmp_path.iterdir()] == ["gateway.json"]


def test_only_the_word_of_this_process_is_taken_back(tmp_path: Path) -> None:
    path = tmp_path / "gateway.json"
    remove_own(path)
    write_whole(path, Up(os.getpid() + 1, "http://127.0.0.1:1"))
    remove_own(path)
    assert path.exists()
    write_whole(path, Up(os.getpid(), "http://127.0.0.1:1"))
    remove_own(path)
    assert not path.exists()
