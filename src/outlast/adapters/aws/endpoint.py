"""A model of an AWS service as an Endpoint, for `run.model` in a worker."""

from __future__ import annotations

import asyncio
from typing import Any

import msgspec

from outlast.adapters.aws.service import Service
from outlast.model.endpoint import Completion, EndpointUnavailable, ModelRequest, Usage

response_bytes_max_default = 4 * 1024 * 1024
"""Bound of one answer: 4 MiB."""


class _Message(msgspec.Struct):
    content: str | None = None


class _Choice(msgspec.Struct):
    message: _Message
    finish_reason: str | None = None


class _Used(msgspec.Struct):
    prompt_tokens: int = 0
    completion_tokens: int = 0


class _Answer(msgspec.Struct):
    choices: list[_Choice]
    model: str = ""
    usage: _Used | None = None


class ServiceEndpoint:
    """Asks one service for chat completions; errors as those of every Endpoint."""

    def __init__(self, name: str, service: Service, model: str) -> None:
        self._name = name
        self._service = service
        self._model = model

    @property
    def name(self) -> str:
        return self._name

    async def complete(self, request: ModelRequest) -> Completion:
        """One whole answer within ``request.timeout_s``."""
        exchange = self._service.begin()
        try:
            async with asyncio.timeout(request.timeout_s):
                answer = await exchange.ask(b"", _body(request, self._model))
                raw = await answer.whole(response_bytes_max_default)
        except TimeoutError:
            raise EndpointUnavailable(
                f"{self._service.where} did not answer within {request.timeout_s:g} s"
            ) from None
        finally:
            exchange.abort()
        try:
            found = msgspec.json.decode(raw, type=_Answer)
            choice = found.choices[0]
        except (msgspec.MsgspecError, IndexError):
            raise EndpointUnavailable(f"{self._service.where} answered with what is no completion") from None
        usage = found.usage or _Used()
        return Completion(
            text=choice.message.content or "",
            model=self._model,
            usage=Usage(usage.prompt_tokens, usage.completion_tokens),
            finish=choice.finish_reason or "stop",
        )

    async def close(self) -> None:
        """Close the connections."""
        self._service.close()


def _body(request: ModelRequest, model: str) -> bytes:
    asked: dict[str, Any] = {
        "model": model,
        "messages": [{"role": message.role, "content": message.content} for message in request.messages],
    }
    if request.schema is not None:
        schema = {"name": "answer", "schema": request.schema}
        asked["response_format"] = {"type": "json_schema", "json_schema": schema}
    if request.max_tokens is not None:
        asked["max_tokens"] = request.max_tokens
    if request.temperature is not None:
        asked["temperature"] = request.temperature
    return msgspec.json.encode(asked)
