"""Reads what model servers publish of their load: metrics of vLLM, SGLang, llama.cpp and TGI, slots of llama.cpp.

Sources: "Production metrics" of vLLM and of SGLang, the README of llama.cpp's server, TGI's metrics reference, as of
2026. What a page says is untrusted: it is bounded, numbers that make no sense are left out, all else is passed over.
"""

from __future__ import annotations

import math
from collections.abc import Callable

import msgspec

from outlast.adapters.openai.connection import Upstream, parse_origin
from outlast.kernel.clock import Clock
from outlast.kernel.error import ConfigurationError
from outlast.model.endpoint import EndpointUnavailable
from outlast.model.report import Report

page_bytes_max = 1 << 20
"""Bound of one page: 1 MiB; a vLLM publishes some 100 KiB."""
requests_max = 1e9
"""A server that says it has more requests than this is not believed."""

_METRICS: dict[bytes, tuple[str, str]] = {
    b"vllm:num_requests_running": ("vllm", "running"),
    b"vllm:num_requests_waiting": ("vllm", "waiting"),
    b"vllm:kv_cache_usage_perc": ("vllm", "slots"),
    b"vllm:gpu_cache_usage_perc": ("vllm", "slots"),
    b"sglang:num_running_reqs": ("sglang", "running"),
    b"sglang:num_queue_reqs": ("sglang", "waiting"),
    b"sglang:token_usage": ("sglang", "slots"),
    b"llamacpp:requests_processing": ("llama.cpp", "running"),
    b"llamacpp:requests_deferred": ("llama.cpp", "waiting"),
    b"llamacpp:kv_cache_usage_ratio": ("llama.cpp", "slots"),
    b"tgi_batch_current_size": ("tgi", "running"),
    b"tgi_queue_size": ("tgi", "waiting"),
}
"""What is read, whose it is, and which number of a report it is. vLLM's "perc" are shares of 1."""


class _Slot(msgspec.Struct):
    is_processing: bool


_slots = msgspec.json.Decoder(list[_Slot])


def load_url(base: str, path: str) -> str:
    """A page at the root of the server that serves `base`, a base URL such as ``http://127.0.0.1:8001/v1``."""
    origin = parse_origin(base)
    return f"{'https' if origin.secure else 'http'}://{origin.authority}/{path}"


def read_load(page: bytes) -> Report | None:
    """What a page says, whatever its format; None: nothing that is known here."""
    return _read_slots(page) if page.lstrip()[:1] in (b"[", b"{") else _read_metrics(page)


def _read_slots(page: bytes) -> Report | None:
    try:
        slots = _slots.decode(page)
    except (msgspec.MsgspecError, UnicodeDecodeError, RecursionError):
        return None
    if not slots:
        return None
    busy = sum(slot.is_processing for slot in slots)
    return Report("llama.cpp", slots=busy / len(slots), running=float(busy))


def _read_metrics(page: bytes) -> Report | None:
    """Requests are summed over engines and models; of caches the fullest counts."""
    found: dict[str, float] = {}
    source = ""
    for line in page.splitlines():
        known = _METRICS.get(line.partition(b"{")[0].partition(b" ")[0])
        if known is None:
            continue
        value = _value(line)
        if value is None or value > (1.0 if known[1] == "slots" else requests_max):
            continue
        source, kind = known
        before = found.get(kind, 0.0)
        found[kind] = max(before, value) if kind == "slots" else before + value
    if not source:
        return None
    return Report(source, slots=found.get("slots"), running=found.get("running"), waiting=found.get("waiting"))


def _value(line: bytes) -> float | None:
    """The value of a sample, which a time stamp may follow; None: it is no number, or below zero."""
    fields = line.rpartition(b"}")[2].split() if b"{" in line else line.split()[1:]
    try:
        value = float(fields[0])
    except (ValueError, IndexError):
        return None
    return value if math.isfinite(value) and value >= 0.0 else None


class PageReporter:
    """Reads one page. Implements `model.report.Reporter`; `secret` gives the API key, empty for none."""

    def __init__(self, url: str, clock: Clock, secret: Callable[[], str] = str) -> None:
        self._url = url
        self._secret = secret
        self._upstream = Upstream(url, clock, idle_max=1)

    async def report(self, timeout_s: float) -> Report:
        """What the page says now. The caller bounds it by `timeout_s`. Raises EndpointUnavailable."""
        exchange = self._upstream.begin()
        try:
            answer = await exchange.ask(self._head(), b"")
            page = await answer.whole(page_bytes_max)
        except BaseException:
            exchange.abort()
            raise
        exchange.done()
        if answer.status != 200:
            raise EndpointUnavailable(f"{self._url} answered {answer.status}, expected a page with the server's load")
        found = read_load(page)
        if found is None:
            raise EndpointUnavailable(f"{self._url} holds no load that is known here (vLLM, SGLang, llama.cpp, TGI)")
        return found

    async def close(self) -> None:
        self._upstream.close()

    def _head(self) -> bytes:
        origin = self._upstream.origin
        try:
            key = self._secret()
        except ConfigurationError as error:
            raise EndpointUnavailable(f"{self._url} is not asked, its key is not there: {error}") from None
        lines = [
            f"GET {origin.path} HTTP/1.1",
            f"Host: {origin.authority}",
            "User-Agent: outlast",
            "Accept: text/plain, application/json",
        ]
        if key:
            lines.append(f"Authorization: Bearer {key}")
        return "\r\n".join((*lines, "", "")).encode()
