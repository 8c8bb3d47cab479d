from __future__ import annotations

from pathlib import Path

import pytest

from outlast.adapters.host.lock import DirectoryLock
from outlast.blueprint.load import parse
from outlast.blueprint.schema import Blueprint
from outlast.bootstrap.home import state_directory
from outlast.bootstrap.platform import build_endpoints, memory_platform, open_client_platform, open_direct_platform
from outlast.journal.chain import genesis
from outlast.journal.record import make_append
from outlast.journal.stream import Applied
from outlast.kernel.error import Conflict, StoreUnavailable


async def test_memory_and_direct_platforms_take_appends(short_dir: Path) -> None:
    for opened in (memory_platform(), open_direct_platform(short_dir, Blueprint())):
        async with opened as platform:
            stream = f"run/r1@{platform.store.lineage}"
            append = make_append(stream, genesis(stream), "a1", 0.0, [{"type": "x"}])
            assert isinstance(await platform.store.append(append), Applied)
            assert not await platform.executors.confirm_dead("nobody")


async def test_a_direct_platform_has_the_directory_to_itself(short_dir: Path) -> None:
    with DirectoryLock(short_dir / state_directory), pytest.raises(Conflict, match="is in use by process"):
        async with open_direct_platform(short_dir, Blueprint()):
            pass
    async with open_direct_platform(short_dir, Blueprint()):
        with pytest.raises(Conflict, match="is in use by process"):
            DirectoryLock(short_dir / state_directory)
    DirectoryLock(short_dir / state_directory).close()


async def test_without_a_writer_a_client_platform_is_a_clear_error(short_dir: Path) -> None:
    with pytest.raises(StoreUnavailable, match="is `outlast up` running"):
        async with open_client_platform(short_dir, Blueprint(), wait_s=0.1):
            pass


def test_without_models_the_scripted_one_answers_to_every_name(short_dir: Path) -> None:
    endpoints = build_endpoints(Blueprint(), short_dir)
    assert endpoints["writer"] is endpoints.get("anything")
    assert "reader" in endpoints
    assert list(endpoints) == ["scripted"]


async def test_configured_models_are_the_only_ones(short_dir: Path) -> None:
    text = b"outlast: 1\nmodels: {writer: {endpoints: [{name: own, url: 'http://127.0.0.1:1/v1', model: m}]}}\n"
    endpoints = build_endpoints(parse(text), short_dir)
    assert list(endpoints) == ["writer"]
    assert endpoints["writer"].name == "writer"
    assert endpoints.get("reader") is None
    await endpoints["writer"].close()
