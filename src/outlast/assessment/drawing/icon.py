"""A sign for each family of components, 16 pixels wide and high."""

from __future__ import annotations

from outlast.assessment.component import Kind

_PATHS: dict[str, str] = {
    "entry": "M8 1.5a6.5 6.5 0 1 0 0 13a6.5 6.5 0 1 0 0-13zM1.5 8h13M8 1.5c-4 4-4 9 0 13c4-4 4-9 0-13",
    "code": "M2 2.5h12v11h-12zM2 5.5h12M5 8.5l2 1.5l-2 1.5M8.5 11.5h3",
    "model": "M8 1.5l1.8 4.7l4.7 1.8l-4.7 1.8l-1.8 4.7l-1.8-4.7l-4.7-1.8l4.7-1.8z",
    "store": "M2.5 4c0-3 11-3 11 0v8c0 3-11 3-11 0zM2.5 4c0 3 11 3 11 0M2.5 8c0 3 11 3 11 0",
    "queue": "M1.5 5h3v6h-3zM6.5 5h3v6h-3zM11.5 5h3v6h-3z",
    "outside": "M4.5 12.5a3 3 0 0 1 0-6a4 4 0 0 1 7.500-.5a3.200 3.200 0 0 1-.5 6.500z",
    "part": "M8 2l5.500 3v6l-5.500 3l-5.500-3v-6zM8 8v6M8 8l5.500-3M8 8l-5.500-3",
}
_FAMILIES: dict[Kind, str] = {
    "edge": "entry",
    "balancer": "entry",
    "gateway": "entry",
    "agent": "code",
    "service": "code",
    "function": "code",
    "training": "code",
    "model": "model",
    "endpoint": "model",
    "journal": "store",
    "sql": "store",
    "table": "store",
    "vector": "store",
    "cache": "store",
    "blobs": "store",
    "volume": "store",
    "queue": "queue",
    "stream": "queue",
    "external": "outside",
}
meanings: dict[str, str] = {
    "entry": "way in",
    "code": "runs code",
    "model": "model",
    "store": "holds data",
    "queue": "queue",
    "outside": "somebody else's",
    "part": "infrastructure",
}
"""What each family is called in the key."""


def family(kind: Kind) -> str:
    """The family of a kind."""
    return _FAMILIES.get(kind, "part")


def path(name: str) -> str:
    """The sign of a family, as an SVG path."""
    return _PATHS[name]
