"""A SageMaker endpoint as an upstream: its container is asked for chat completions, whole or as a response stream.

The containers that AWS ships for language models (DJL LMI with vLLM, TGI) take and give OpenAI's format as it stands.
"""

from __future__ import annotations

from collections.abc import AsyncIterator, Mapping
from typing import Any

import msgspec

from outlast.adapters.aws.client import Client, Place
from outlast.adapters.aws.service import Pieces, Service, ServiceExchange
from outlast.model.endpoint import EndpointRefused

read_timeout_s_default = 70.0
"""The service itself gives a container 60 s for an answer that is not streamed."""
piece_bytes = 64 * 1024
"""An answer is read in pieces of so many bytes."""


class _Asked(msgspec.Struct):
    stream: bool = False


def sagemaker(endpoint: str, place: Place, read_timeout_s: float = read_timeout_s_default) -> Service:
    """The upstream of one endpoint, by its name."""
    where = f"SageMaker ({endpoint})"
    client = Client("sagemaker-runtime", place, read_timeout_s)

    async def ask(body: bytes, exchange: ServiceExchange) -> tuple[bytes, Pieces]:
        try:
            stream = msgspec.json.decode(body, type=_Asked).stream
        except msgspec.MsgspecError as error:
            raise EndpointRefused(f"the request is not understood: {error}") from None
        found = await client.get()
        parameters: dict[str, Any] = {"EndpointName": endpoint, "Body": body, "ContentType": "application/json"}
        if stream:
            response = await found.invoke_endpoint_with_response_stream(**parameters)
            exchange.held(response["Body"].close)
            return b"text/event-stream", _parts(response["Body"])
        response = await found.invoke_endpoint(**parameters, Accept="application/json")
        exchange.held(response["Body"].close)
        kind = str(response.get("ContentType", "application/json"))
        return kind.encode("latin-1", "replace"), _pieces(response["Body"])

    return Service(where, client, ask)


async def _parts(events: AsyncIterator[Mapping[str, Any]]) -> AsyncIterator[bytes]:
    async for event in events:
        if part := event.get("PayloadPart"):
            yield part["Bytes"]


async def _pieces(body: Any) -> AsyncIterator[bytes]:
    while piece := await body.read(piece_bytes):
        yield piece
