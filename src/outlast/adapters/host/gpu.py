"""How busy a GPU of this machine is, and how full its memory: by NVIDIA's management library (NVML), where it is."""

from __future__ import annotations

import asyncio
import importlib
from collections.abc import Callable
from typing import Any

from outlast.model.endpoint import EndpointUnavailable
from outlast.model.report import Report

_missing = "nvidia-ml-py is not installed: pip install 'outlast[gpu]'"


def nvml() -> Any:
    """The bindings of NVML (package nvidia-ml-py, module pynvml). Raises ImportError."""
    return importlib.import_module("pynvml")


class GpuReporter:
    """Reads one GPU. Implements `model.report.Reporter`.

    `library` gives an object with NVML's functions, `source` is what reports say they come from: a stand-in for the
    library names itself otherwise.
    """

    def __init__(self, index: int, library: Callable[[], Any] = nvml, source: str = "nvml") -> None:
        self._index = index
        self._library = library
        self._source = source
        self._open: Any = None

    async def report(self, timeout_s: float) -> Report:
        """Its use over the last sample period, and its memory. The caller bounds it. Raises EndpointUnavailable."""
        return await asyncio.to_thread(self._read)  # a driver in trouble blocks

    async def close(self) -> None:
        """Let go of the library."""
        library, self._open = self._open, None
        if library is not None:
            await asyncio.to_thread(library.nvmlShutdown)

    def _read(self) -> Report:
        try:
            library = self._open
            if library is None:
                library = self._library()
                library.nvmlInit()
                self._open = library
            handle = library.nvmlDeviceGetHandleByIndex(self._index)
            gpu = library.nvmlDeviceGetUtilizationRates(handle).gpu / 100.0
            memory = library.nvmlDeviceGetMemoryInfo(handle)
            return Report(self._source, gpu=_share(gpu), memory=_share(memory.used / memory.total))
        except ImportError:
            raise EndpointUnavailable(f"GPU {self._index} cannot be read: {_missing}") from None
        except Exception as error:  # noqa: BLE001 # NVML raises classes of its own, made at run time
            raise EndpointUnavailable(f"GPU {self._index} cannot be read: {str(error).lower()[:200]}") from None


def _share(value: float) -> float:
    return min(max(value, 0.0), 1.0)
