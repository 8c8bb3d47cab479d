"""A JSON response."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from starlette.responses import Response

from outlast.kernel.codec import encode
from outlast.server.limit import Limits


def reply(
    value: Any, status: int = 200, headers: Mapping[str, str] | None = None, limit: int = Limits().answer_bytes_max
) -> Response:
    """`value` as the JSON body of a response; raises PayloadTooLarge above `limit` bytes."""
    return Response(encode(value, "the answer", limit), status, headers, "application/json")
