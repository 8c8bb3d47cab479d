"""The GPU of this machine: through NVML where there is one, through a simulated library where there is none."""

from __future__ import annotations

from types import SimpleNamespace
from typing import Any

import pytest

from outlast.adapters.host.gpu import GpuReporter, nvml
from outlast.model.endpoint import EndpointUnavailable
from outlast.model.report import Report


class SimulatedNvml:
    """NVML's functions on GPUs that do not exist: what it says is labelled `simulated`."""

    def __init__(self, *gpus: tuple[int, int, int]) -> None:
        self.gpus = gpus
        self.open = 0

    def nvmlInit(self) -> None:  # noqa: N802 (NVML's own name)
        self.open += 1

    def nvmlShutdown(self) -> None:  # noqa: N802 (NVML's own name)
        self.open -= 1

    def nvmlDeviceGetHandleByIndex(self, index: int) -> tuple[int, int, int]:  # noqa: N802 (NVML's own name)
        if index >= len(self.gpus):
            raise RuntimeError("Invalid Argument")
        return self.gpus[index]

    def nvmlDeviceGetUtilizationRates(self, handle: tuple[int, int, int]) -> Any:  # noqa: N802 (NVML's own name)
        return SimpleNamespace(gpu=handle[0])

    def nvmlDeviceGetMemoryInfo(self, handle: tuple[int, int, int]) -> Any:  # noqa: N802 (NVML's own name)
        return SimpleNamespace(used=handle[1], total=handle[2])


async def test_a_gpu_tells_its_use_and_its_memory() -> None:
    library = SimulatedNvml((0, 0, 80), (75, 20, 80))
    reporter = GpuReporter(1, lambda: library, source="simulated")
    assert await reporter.report(1.0) == Report("simulated", gpu=0.75, memory=0.25)
    assert await reporter.report(1.0) == Report("simulated", gpu=0.75, memory=0.25)
    assert library.open == 1
    await reporter.close()
    await reporter.close()
    assert library.open == 0


@pytest.mark.parametrize("gpu", [(250, 90, 80), (-1, -1, 80)])
async def test_shares_stay_shares(gpu: tuple[int, int, int]) -> None:
    report = await GpuReporter(0, lambda: SimulatedNvml(gpu), source="simulated").report(1.0)
    assert report.gpu in (0.0, 1.0)
    assert report.memory in (0.0, 1.0)


@pytest.mark.parametrize("gpus", [(), ((10, 1, 0),)], ids=["no such gpu", "no memory"])
async def test_a_gpu_that_cannot_be_read_is_said(gpus: tuple[tuple[int, int, int], ...]) -> None:
    with pytest.raises(EndpointUnavailable, match="GPU 0 cannot be read"):
        await GpuReporter(0, lambda: SimulatedNvml(*gpus), source="simulated").report(1.0)


async def test_without_the_library_it_is_said_how_to_get_it() -> None:
    def missing() -> Any:
        raise ImportError("No module named 'pynvml'")

    with pytest.raises(EndpointUnavailable, match=r"pip install 'outlast\[gpu\]'"):
        await GpuReporter(0, missing).report(1.0)


async def test_a_real_gpu_tells_its_load() -> None:
    try:
        library = nvml()
        library.nvmlInit()
        library.nvmlShutdown()
    except Exception as error:
        pytest.skip(f"there is no GPU that NVML can read here: {error}")
    reporter = GpuReporter(0)
    report = await reporter.report(1.0)
    await reporter.close()
    assert report.gpu is not None
    assert report.memory is not None
    assert 0.0 <= report.gpu <= 1.0
    assert 0.0 < report.memory <= 1.0
