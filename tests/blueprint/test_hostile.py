"""Files that mean harm end in one clear error, within bounds of time and memory that the system enforces."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

from outlast.blueprint.document import yaml_bytes_max

_LIMITED = """
import resource, sys
from pathlib import Path
from outlast.blueprint.load import load_file
from outlast.kernel.error import ConfigurationError
resource.setrlimit(resource.RLIMIT_CPU, (40, 40))
resource.setrlimit(resource.RLIMIT_AS, (1 << 30, 1 << 30))
try:
    load_file(Path(sys.argv[1]))
except ConfigurationError as error:
    sys.exit(str(error))
"""


def laughs() -> bytes:
    """A list of lists of lists …, each ten times the one before."""
    lines = ["a: &a [x, x, x, x, x, x, x, x, x, x]"]
    for before, name in zip("abcdefghijk", "bcdefghijkl", strict=True):
        lines.append(f"{name}: &{name} [" + ", ".join([f"*{before}"] * 10) + "]")
    return "\n".join(lines).encode()


def crowd() -> bytes:
    """One agent with very many needs, and a hundred aliases of it."""
    needs = ", ".join(f"n{index}: hard" for index in range(20_000))
    aliases = "\n".join(f"  a{index}: *a" for index in range(99))
    return f"agents:\n  a: &a {{needs: {{{needs}}}}}\n{aliases}\n".encode()


def circle() -> bytes:
    """A mapping that holds itself."""
    return b"agents: &a\n  one: *a\n"


def many(line: str, count: int = 60_000) -> bytes:
    """The line with a number for each N."""
    return b"\n".join(line.replace("N", str(index)).encode() for index in range(count))


HOSTILE = {
    "ten megabytes": (b"name: " + b"x" * 10_000_000, "yaml_bytes_max"),
    "a billion laughs": (laughs(), "yaml_aliases_max"),
    "a crowd of aliases": (crowd(), "values_max"),
    "a circle": (circle(), "unknown key 'one' in agents.one"),
    "a list in itself": (b"escalation: {a: &a [*a]}", "expected keys and values"),
    "deep lists": (b"[" * yaml_bytes_max, "yaml_depth_max"),
    "deep mappings": (b"{" * yaml_bytes_max, "yaml_depth_max"),
    "deep dashes": (b"- " * (yaml_bytes_max // 2), "yaml_depth_max"),
    "deep questions": (b"? " * (yaml_bytes_max // 2), "yaml_depth_max"),
    "many items": (b"[" + b"1," * (yaml_bytes_max // 2 - 2) + b"]", "yaml_nodes_max"),
    "many keys": (many("kN: 1"), "yaml_nodes_max"),
    "many services": (b"services:\n" + many("  sN: {kind: api}", 3_000), "components_max"),
    "many anchors": (many("aN: &aN 1", 40_000), "unknown key"),
    "open quote": (b"name: '" + b"x\n" * (yaml_bytes_max // 2 - 4), "not valid YAML"),
    "long key": (b"x" * (yaml_bytes_max - 3) + b": 1", "not valid YAML"),
    "long number": (b"takeover_after: " + b"9" * 100_000 + b"s", "is not understood"),
    "an object": (b"name: !!python/object/apply:os.system [ls]", "name is a list"),
    "a merge": (b"<<: {name: a}", "unknown key '<<'"),
    "zeros": (b"\x00" * 1000, "not valid YAML"),
}


@pytest.mark.parametrize("name", HOSTILE)
def test_a_hostile_file_gives_one_clear_error_within_bounds(name: str, tmp_path: Path) -> None:
    raw, found = HOSTILE[name]
    path = tmp_path / "outlast.yaml"
    path.write_bytes(raw)
    done = subprocess.run([sys.executable, "-c", _LIMITED, str(path)], capture_output=True, text=True, timeout=100)
    assert done.returncode == 1, done.stderr[-500:]
    assert found in done.stderr
    assert done.stderr.startswith(str(path))
    assert done.stderr.count("\n") == 1
    assert len(done.stderr) < 1000
