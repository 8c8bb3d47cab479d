"""A JSON response."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from starlette.responses import Response

from outlast.kernel.codec import encode


def reply(value: Any, status: int = 200, headers: Mapping[str, str] | None = None) -> Response:
    """`value` as the JSON body of a response."""
    return Response(encode(value, "response"), status, headers, "application/json")
