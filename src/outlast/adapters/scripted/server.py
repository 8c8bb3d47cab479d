"""The scripted model behind the real protocol: a small HTTP server on loopback.

``GET /health``, ``GET /v1/models`` and ``POST /v1/chat/completions`` with ``response_format``, ``tools`` and
``stream``, as OpenAI's reference describes them. Every answer names the model ``scripted``.
"""

from __future__ import annotations

import hashlib
from collections.abc import Awaitable, Callable, Sequence
from typing import Any, cast

import msgspec
from aiohttp import web

from outlast.adapters.scripted.answer import answer, asked, model_name
from outlast.adapters.scripted.instance import instance
from outlast.kernel.clock import Clock
from outlast.kernel.error import ConfigurationError
from outlast.model.endpoint import EndpointError, Message, Usage

request_bytes_max = 16 * 1024 * 1024
"""Bound of one request: 16 MiB."""

_created = 0  # the same request gives the same bytes: no clock is read


class _Function(msgspec.Struct, frozen=True):
    name: str
    parameters: dict[str, Any] | None = None


class _Tool(msgspec.Struct, frozen=True):
    function: _Function
    type: str = "function"


class _Part(msgspec.Struct, frozen=True):
    text: str = ""


class _Received(msgspec.Struct, frozen=True):
    role: str
    content: str | list[_Part] | None = None


class _JsonSchema(msgspec.Struct, frozen=True):
    schema: dict[str, Any]


class _Format(msgspec.Struct, frozen=True):
    type: str
    json_schema: _JsonSchema | None = None


class _StreamOptions(msgspec.Struct, frozen=True):
    include_usage: bool = False


class _Chat(msgspec.Struct, frozen=True):
    messages: list[_Received]
    response_format: _Format | None = None
    tools: list[_Tool] = []
    tool_choice: Any = "auto"
    max_tokens: int | None = None
    max_completion_tokens: int | None = None
    stream: bool = False
    stream_options: _StreamOptions = _StreamOptions()


_decoder = msgspec.json.Decoder(_Chat)


class ScriptedServer:
    """The server as an async context manager: ``async with ScriptedServer() as server: server.url``.

    Port 0 takes any free one. Only loopback addresses are served: it has no authentication. With a `clock`, every
    completion takes `delay_s` seconds, as a model's does.
    """

    def __init__(
        self, host: str = "127.0.0.1", port: int = 0, *, clock: Clock | None = None, delay_s: float = 0.0
    ) -> None:
        if host not in ("127.0.0.1", "::1", "localhost"):
            raise ConfigurationError(f"the scripted model listens on loopback only, found {host!r}: use 127.0.0.1")
        self._host = host
        self._port = port
        self._clock = clock
        self._delay_s = delay_s
        self._runner: web.AppRunner | None = None

    @property
    def url(self) -> str:
        """The base URL, up to and including ``/v1``."""
        host = f"[{self._host}]" if ":" in self._host else self._host
        return f"http://{host}:{self._port}/v1"

    async def start(self) -> None:
        """Listen. Raises ConfigurationError if the port is in use."""
        app = web.Application(client_max_size=request_bytes_max, middlewares=[_errors])
        app.router.add_get("/health", _health)
        app.router.add_get("/v1/models", _models)
        app.router.add_post("/v1/chat/completions", self._complete)
        runner = web.AppRunner(app, access_log=None, shutdown_timeout=1.0)
        await runner.setup()
        try:
            await web.TCPSite(runner, self._host, self._port).start()
        except OSError as error:
            await runner.cleanup()
            why = (error.strerror or str(error)).lower()
            raise ConfigurationError(
                f"port {self._port} of {self._host} cannot be used: {why}; choose another"
            ) from None
        self._runner = runner
        self._port = int(runner.addresses[0][1])

    async def stop(self) -> None:
        """Stop listening and end what is under way. Safe to call again."""
        if self._runner is not None:
            await self._runner.cleanup()
            self._runner = None

    async def _complete(self, request: web.Request) -> web.StreamResponse:
        await request.read()  # kept by the request: a client that dies during the delay is no error any more
        if self._clock is not None:
            await self._clock.sleep(self._delay_s)
        return await _chat(request)

    async def __aenter__(self) -> ScriptedServer:
        await self.start()
        return self

    async def __aexit__(self, *_: object) -> None:
        await self.stop()


@web.middleware
async def _errors(
    request: web.Request, handler: Callable[[web.Request], Awaitable[web.StreamResponse]]
) -> web.StreamResponse:
    try:
        return await handler(request)
    except web.HTTPException as error:
        return _refusal(error.status, error.reason)
    except EndpointError as error:
        return _refusal(400, str(error))


def _refusal(status: int, message: str) -> web.Response:
    kind = "not_found_error" if status == 404 else "invalid_request_error"
    return _json({"error": {"message": message, "type": kind, "code": status}}, status)


def _json(document: Any, status: int = 200) -> web.Response:
    return web.Response(body=msgspec.json.encode(document), status=status, content_type="application/json")


async def _health(_: web.Request) -> web.Response:
    return _json({"status": "ok"})


async def _models(_: web.Request) -> web.Response:
    model = {"id": model_name, "object": "model", "created": _created, "owned_by": "outlast"}
    return _json({"object": "list", "data": [model]})


async def _chat(request: web.Request) -> web.StreamResponse:
    raw = await request.read()
    try:
        chat = _decoder.decode(raw)
    except (msgspec.MsgspecError, UnicodeDecodeError, RecursionError) as error:
        return _refusal(400, f"the request is no chat completion request: {error}")
    if not chat.messages:
        return _refusal(400, "messages is empty, expected at least one")
    message, finish, usage = _reply(chat)
    identity = "chatcmpl-" + hashlib.sha256(raw).hexdigest()[:24]
    if chat.stream:
        return await _stream(request, identity, message, finish, usage if chat.stream_options.include_usage else None)
    document = _envelope(identity, "chat.completion")
    document["choices"] = [{"index": 0, "message": message, "finish_reason": finish}]
    document["usage"] = _usage(usage)
    return _json(document)


def _reply(chat: _Chat) -> tuple[dict[str, Any], str, Usage]:
    messages = [Message(cast(Any, item.role), _text(item)) for item in chat.messages]
    call = _tool_call(chat, messages)
    if call is not None:
        usage = Usage(sum(len(item.content.split()) for item in messages), 1)
        return {"role": "assistant", "content": None, "tool_calls": [call]}, "tool_calls", usage
    schema: dict[str, Any] | None = None
    if chat.response_format is not None and chat.response_format.type in ("json_schema", "json_object"):
        schema = chat.response_format.json_schema.schema if chat.response_format.json_schema else {"type": "object"}
    made = answer(messages, schema, chat.max_completion_tokens or chat.max_tokens)
    return {"role": "assistant", "content": made.text}, made.finish, made.usage


def _text(item: _Received) -> str:
    if isinstance(item.content, list):
        return "".join(part.text for part in item.content)
    return item.content or ""


def _tool_call(chat: _Chat, messages: Sequence[Message]) -> dict[str, Any] | None:
    """One call, unless the last message already is a tool's result: the tool the prompt names, else the first."""
    if not chat.tools or chat.tool_choice == "none" or chat.messages[-1].role == "tool":
        return None
    prompt = asked(messages)
    names = [tool.function.name for tool in chat.tools]
    chosen = _forced(chat.tool_choice, names) or instance({"enum": names}, prompt)
    tool = chat.tools[names.index(chosen)]
    arguments = instance({"type": "object", **(tool.function.parameters or {})}, prompt)
    text = msgspec.json.encode(arguments).decode()
    identity = "call_" + hashlib.sha256(f"{prompt}\x1f{chosen}\x1f{text}".encode("utf-8", "replace")).hexdigest()[:24]
    return {"id": identity, "type": "function", "function": {"name": chosen, "arguments": text}}


def _forced(choice: Any, names: Sequence[str]) -> str | None:
    if not isinstance(choice, dict):
        return None
    name: Any = cast("dict[str, Any]", choice).get("function", {}).get("name")
    return name if name in names else None


async def _stream(
    request: web.Request, identity: str, message: dict[str, Any], finish: str, usage: Usage | None
) -> web.StreamResponse:
    response = web.StreamResponse(headers={"Content-Type": "text/event-stream", "Cache-Control": "no-cache"})
    await response.prepare(request)

    async def send(delta: dict[str, Any], ended: str | None = None) -> None:
        document = _envelope(identity, "chat.completion.chunk")
        document["choices"] = [{"index": 0, "delta": delta, "finish_reason": ended}]
        await response.write(b"data: " + msgspec.json.encode(document) + b"\n\n")

    await send({"role": "assistant", "content": ""})
    if message.get("tool_calls"):
        await send({"tool_calls": [{"index": 0, **message["tool_calls"][0]}]})
    words = str(message["content"] or "").split(" ")
    for number, word in enumerate(words):
        if word:
            await send({"content": word if number == len(words) - 1 else word + " "})
    await send({}, finish)
    if usage is not None:
        last: dict[str, Any] = {**_envelope(identity, "chat.completion.chunk"), "choices": [], "usage": _usage(usage)}
        await response.write(b"data: " + msgspec.json.encode(last) + b"\n\n")
    await response.write(b"data: [DONE]\n\n")
    await response.write_eof()
    return response


def _envelope(identity: str, kind: str) -> dict[str, Any]:
    return {"id": identity, "object": kind, "created": _created, "model": model_name}


def _usage(usage: Usage) -> dict[str, int]:
    total = usage.input_tokens + usage.output_tokens
    return {"prompt_tokens": usage.input_tokens, "completion_tokens": usage.output_tokens, "total_tokens": total}
