"""The gateways that are compared: how each is started in front of two endpoints, with what it recommends."""

from __future__ import annotations

import json
import shutil
import sys
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
PEERS = ROOT / ".venv-gateways" / "bin"
PORTKEY = ROOT / ".venv-gateways" / "node_modules" / "@portkey-ai" / "gateway" / "build" / "start-server.js"

MODEL = "bench"


@dataclass
class Subject:
    """One gateway: its command, the headers that its clients send, its environment."""

    name: str
    command: list[str]
    headers: dict[str, str] = field(default_factory=dict[str, str])
    environment: dict[str, str] = field(default_factory=dict[str, str])
    start_timeout_s: float = 60.0


def outlast(port: int, endpoints: list[int], directory: Path) -> Subject | None:
    """Ours, with its default settings."""
    to = [part for endpoint in endpoints for part in ("--to", f"http://127.0.0.1:{endpoint}/v1")]
    script = [str(Path(sys.executable).with_name("outlast"))]
    return Subject("outlast", [*script, "gateway", *to, "--model", MODEL, "--listen", f"127.0.0.1:{port}"])


def litellm(port: int, endpoints: list[int], directory: Path) -> Subject | None:
    """LiteLLM's proxy: two deployments of one model name, shuffled, with its default retries and cool-down."""
    program = PEERS / "litellm"
    if not program.exists():
        return None
    models = [
        {
            "model_name": MODEL,
            "litellm_params": {
                "model": f"openai/{MODEL}",
                "api_base": f"http://127.0.0.1:{endpoint}/v1",
                "api_key": "none",
            },
        }
        for endpoint in endpoints
    ]
    config = directory / "litellm.json"
    config.write_text(json.dumps({"model_list": models}))  # JSON is YAML
    command = [str(program), "--config", str(config), "--host", "127.0.0.1", "--port", str(port), "--num_workers", "1"]
    key = "sk-measured-on-loopback-only-0123456789abcdef"  # it refuses to start without one
    environment = {
        "LITELLM_LOG": "ERROR",
        "LITELLM_LOCAL_MODEL_COST_MAP": "True",
        "LITELLM_TELEMETRY": "False",
        "LITELLM_MASTER_KEY": key,
    }
    return Subject("litellm", command, {"authorization": f"Bearer {key}"}, environment, start_timeout_s=120)


def portkey(port: int, endpoints: list[int], directory: Path) -> Subject | None:
    """Portkey's open gateway: balanced over two, each with the other as its fallback."""
    node = shutil.which("node")
    if node is None or not PORTKEY.exists():
        return None
    targets = [
        {"provider": "openai", "api_key": "none", "custom_host": f"http://127.0.0.1:{endpoint}/v1"}
        for endpoint in endpoints
    ]
    both = [{"strategy": {"mode": "fallback"}, "targets": order} for order in (targets, targets[::-1])]
    config = json.dumps({"strategy": {"mode": "loadbalance"}, "targets": both})
    command = [node, str(PORTKEY), f"--port={port}", "--headless"]
    return Subject("portkey", command, {"x-portkey-config": config}, {"TRUSTED_CUSTOM_HOSTS": "127.0.0.1,localhost"})


def sglang_router(port: int, endpoints: list[int], directory: Path) -> Subject | None:
    """SGLang's router in Rust, defaults, round robin."""
    program = PEERS / "sglang-router"
    if not program.exists():
        return None
    urls = [f"http://127.0.0.1:{endpoint}" for endpoint in endpoints]
    command = [str(program), "launch", "--host", "127.0.0.1", "--port", str(port), "--policy", "round_robin"]
    return Subject("sglang-router", [*command, "--prometheus-port", str(port + 1), "--worker-urls", *urls])


def vllm_router(port: int, endpoints: list[int], directory: Path) -> Subject | None:
    """The router of vLLM, in Rust, defaults, round robin."""
    program = PEERS / "vllm-router"
    if not program.exists():
        return None
    urls = [f"http://127.0.0.1:{endpoint}" for endpoint in endpoints]
    command = [str(program), "--host", "127.0.0.1", "--port", str(port), "--policy", "round_robin"]
    return Subject("vllm-router", [*command, "--prometheus-port", str(port + 1), "--worker-urls", *urls])


def haproxy(port: int, endpoints: list[int], directory: Path) -> Subject | None:
    """HAProxy with health checks twice a second, retries elsewhere, and sessions shut down with their server."""
    program = shutil.which("haproxy") or shutil.which("haproxy", path="/usr/sbin")
    if program is None:
        return None
    servers = "\n".join(
        f"  server s{endpoint} 127.0.0.1:{endpoint} check inter 500ms fall 2 rise 2 on-marked-down shutdown-sessions"
        for endpoint in endpoints
    )
    config = directory / "haproxy.cfg"
    config.write_text(
        f"""defaults
  mode http
  timeout connect 1s
  timeout client 30s
  timeout server 30s
  timeout check 500ms
  retries 3
  option redispatch 1
  option http-buffer-request
  retry-on all-retryable-errors
frontend f
  bind 127.0.0.1:{port}
  default_backend b
backend b
  balance leastconn
  option httpchk GET /health
{servers}
"""
    )
    return Subject("haproxy", [program, "-db", "-q", "-f", str(config)])


SUBJECTS: dict[str, Callable[[int, list[int], Path], Subject | None]] = {
    "outlast": outlast,
    "litellm": litellm,
    "portkey": portkey,
    "sglang-router": sglang_router,
    "vllm-router": vllm_router,
    "haproxy": haproxy,
}
