"""Amazon Bedrock as an upstream: chat completions through Converse and ConverseStream."""

from __future__ import annotations

from collections.abc import AsyncIterator, Mapping
from typing import Any, cast

import msgspec

from outlast.adapters.aws.client import Client, Place
from outlast.adapters.aws.converse import Frames, to_completion, to_converse
from outlast.adapters.aws.service import Pieces, Service, ServiceExchange
from outlast.kernel.clock import Clock
from outlast.model.endpoint import EndpointRefused, EndpointUnavailable

read_timeout_s_default = 120.0
"""The longest silence of the service, between two events too."""


def bedrock(model: str, place: Place, clock: Clock, read_timeout_s: float = read_timeout_s_default) -> Service:
    """The upstream of one model: its id, or the id of an inference profile."""
    where = f"Bedrock ({model})"
    client = Client("bedrock-runtime", place, read_timeout_s)

    async def ask(body: bytes, exchange: ServiceExchange) -> tuple[bytes, Pieces]:
        asked = _object(body)
        parameters = to_converse(asked, model)
        found = await client.get()
        if not asked.get("stream"):
            response = await found.converse(**parameters)
            answer = to_completion(response, model, int(clock.now()))
            return b"application/json", _once(msgspec.json.encode(answer))
        response = await found.converse_stream(**parameters)
        exchange.held(response["stream"].close)
        options = asked.get("stream_options")
        usage = bool(isinstance(options, dict) and cast("dict[str, Any]", options).get("include_usage"))
        frames = Frames(response, model, int(clock.now()), usage=usage)
        return b"text/event-stream", _frames(response["stream"], frames, where)

    return Service(where, client, ask)


async def _frames(events: AsyncIterator[Mapping[str, Any]], frames: Frames, where: str) -> AsyncIterator[bytes]:
    async for event in events:
        for frame in frames.frames(event):
            yield frame
    if not frames.ended:
        raise EndpointUnavailable(f"the stream of {where} broke off before its end")


async def _once(body: bytes) -> AsyncIterator[bytes]:
    yield body


def _object(body: bytes) -> dict[str, Any]:
    try:
        return msgspec.json.decode(body, type=dict[str, Any])
    except msgspec.MsgspecError as error:
        raise EndpointRefused(f"the request is no JSON object: {error}") from None
