"""The gateway benchmark in a short form; whether the figures are good is not a test's business."""

from __future__ import annotations

from pathlib import Path

import pytest

from benchmarks.gateway import overload
from benchmarks.gateway.__main__ import Gateway, cost, freeze, kill, measure


def test_without_a_gateway_requests_are_counted_and_timed(tmp_path: Path) -> None:
    gateway = Gateway("direct")
    cost("direct", gateway, tmp_path, 0.5)
    assert gateway.rps
    assert gateway.p50_ms
    assert gateway.p99_ms
    assert gateway.p99_ms >= gateway.p50_ms
    assert not gateway.remark


def test_what_is_not_installed_is_left_out(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("benchmarks.gateway.subject.PEERS", tmp_path)
    said: list[str] = []
    assert measure("litellm", tmp_path, 0.1, said.append) is None
    assert said == ["litellm: not installed, left out"]


@pytest.mark.slow
def test_a_killed_and_a_frozen_endpoint_are_measured(tmp_path: Path) -> None:
    gateway = Gateway("outlast")
    cost("outlast", gateway, tmp_path, 0.5)
    kill("outlast", gateway, tmp_path, 0.4)
    freeze("outlast", gateway, tmp_path, 0.3)
    assert gateway.cpu_us_per_request
    assert gateway.memory_mb
    assert gateway.start_s
    assert gateway.kill_requests
    assert gateway.freeze_goodput
    assert (gateway.return_s is None) == ("served nothing" in gateway.remark), "it is measured, or said to be missing"


@pytest.mark.slow
async def test_overload_and_the_loss_of_every_endpoint_are_measured(tmp_path: Path) -> None:
    found = await overload.measure(2.0, tmp_path, down_s=2.0)
    assert found["refused"]
    assert found["refused_without_retry_after"] == 0
    assert found["unanswered"] == 0
    down = found["all_down"]
    assert isinstance(down, dict)
    assert down["asked_while_down"]
    assert down["unanswered"] == 0
    assert down["gateway_restarted"] is False
