"""Chat completions in the words of Bedrock's Converse, and back. Pure; nothing is sent here.

Sources: Amazon Bedrock API reference, Converse and ConverseStream; OpenAI's reference, chat completions.
"""

from __future__ import annotations

import base64
import binascii
from collections.abc import Iterator, Mapping, Sequence
from typing import Any, cast

import msgspec

from outlast.model.endpoint import EndpointRefused, EndpointUnavailable

Json = dict[str, Any]

_FINISH = {
    "end_turn": "stop",
    "stop_sequence": "stop",
    "max_tokens": "length",
    "model_context_window_exceeded": "length",
    "tool_use": "tool_calls",
    "guardrail_intervened": "content_filter",
    "content_filtered": "content_filter",
}
_IMAGE_FORMATS = {"image/png": "png", "image/jpeg": "jpeg", "image/gif": "gif", "image/webp": "webp"}
_REFUSED = ("logprobs", "top_logprobs", "logit_bias", "audio", "prediction", "functions", "function_call")
"""What Converse has no word for and what would change the answer: asked for, the request goes elsewhere."""


def to_converse(body: Mapping[str, Any], model: str) -> Json:
    """The parameters of Converse for a chat completion request.

    Raises EndpointRefused: with `elsewhere` for what only this service cannot do, else for what is no valid request.
    """
    for name in _REFUSED:
        if body.get(name):
            raise EndpointRefused(f"Bedrock's Converse does not take {name}", elsewhere=True)
    if body.get("n", 1) not in (1, None):
        raise EndpointRefused("Bedrock's Converse gives one answer: leave n out", elsewhere=True)
    system, messages = _messages(body.get("messages"))
    asked: Json = {"modelId": model, "messages": messages}
    if system:
        asked["system"] = system
    if inference := _inference(body):
        asked["inferenceConfig"] = inference
    if tools := _tools(body, messages):
        asked["toolConfig"] = tools
    if output := _output(body.get("response_format")):
        asked["outputConfig"] = output
    return asked


def to_completion(response: Mapping[str, Any], model: str, created: int) -> Json:
    """A chat completion from what Converse answered. Raises EndpointUnavailable for what is no answer."""
    try:
        content = response["output"]["message"]["content"]
        finish = _finish(response["stopReason"])
    except (KeyError, TypeError):
        raise EndpointUnavailable("Bedrock answered without a message") from None
    texts = [block["text"] for block in content if "text" in block]
    calls = [
        {
            "id": block["toolUse"]["toolUseId"],
            "type": "function",
            "function": {"name": block["toolUse"]["name"], "arguments": _json(block["toolUse"].get("input", {}))},
        }
        for block in content
        if "toolUse" in block
    ]
    message: Json = {"role": "assistant", "content": "".join(texts) if texts or not calls else None}
    if calls:
        message["tool_calls"] = calls
    return {
        "id": _identity(response),
        "object": "chat.completion",
        "created": created,
        "model": model,
        "choices": [{"index": 0, "message": message, "finish_reason": finish, "logprobs": None}],
        "usage": _usage(response.get("usage")),
    }


class Frames:
    """The frames of a chat completion stream, from the events of ConverseStream."""

    def __init__(self, response: Mapping[str, Any], model: str, created: int, *, usage: bool) -> None:
        """`usage`: whether the client asked for a last chunk that tells the tokens."""
        self._head: Json = {
            "id": _identity(response),
            "object": "chat.completion.chunk",
            "created": created,
            "model": model,
        }
        self._usage_asked = usage
        self._calls: dict[int, int] = {}
        self._stopped = False
        self.ended = False
        """Whether the stream came to its end: the last event of Converse is its metadata."""

    def frames(self, event: Mapping[str, Any]) -> Iterator[bytes]:
        """What one event means to the client. Raises EndpointUnavailable for an answer that Bedrock calls broken."""
        if "messageStart" in event:
            yield self._chunk({"role": "assistant", "content": ""})
        elif "contentBlockStart" in event:
            block = event["contentBlockStart"]
            if use := block.get("start", {}).get("toolUse"):
                index = self._calls.setdefault(block.get("contentBlockIndex", 0), len(self._calls))
                function = {"name": use["name"], "arguments": ""}
                call = {"index": index, "id": use["toolUseId"], "type": "function", "function": function}
                yield self._chunk({"tool_calls": [call]})
        elif "contentBlockDelta" in event:
            block = event["contentBlockDelta"]
            delta = block.get("delta", {})
            if delta.get("text"):
                yield self._chunk({"content": delta["text"]})
            elif use := delta.get("toolUse"):
                index = self._calls.setdefault(block.get("contentBlockIndex", 0), len(self._calls))
                yield self._chunk({"tool_calls": [{"index": index, "function": {"arguments": use.get("input", "")}}]})
        elif "messageStop" in event:
            self._stopped = True
            yield self._chunk({}, _finish(event["messageStop"].get("stopReason")))
        elif "metadata" in event:
            self.ended = self._stopped
            if self._usage_asked:
                usage = _usage(event["metadata"].get("usage"))
                yield b"data: " + msgspec.json.encode({**self._head, "choices": [], "usage": usage}) + b"\n\n"
            if self.ended:
                yield b"data: [DONE]\n\n"

    def _chunk(self, delta: Json, finish: str | None = None) -> bytes:
        choice = {"index": 0, "delta": delta, "finish_reason": finish, "logprobs": None}
        return b"data: " + msgspec.json.encode({**self._head, "choices": [choice]}) + b"\n\n"


def _messages(given: Any) -> tuple[list[Json], list[Json]]:
    if not isinstance(given, list) or not given:
        raise EndpointRefused("messages is missing: expected a list of messages")
    system: list[Json] = []
    messages: list[Json] = []
    for number, message in enumerate(cast("list[Any]", given)):
        if not isinstance(message, dict):
            raise EndpointRefused(f"message {number} is no object")
        fields = cast("Json", message)
        role = fields.get("role")
        if role in ("system", "developer"):
            system += _blocks(fields.get("content"), number)
            continue
        if role == "user":
            speaker, blocks = "user", _blocks(fields.get("content"), number)
        elif role == "assistant":
            speaker, blocks = "assistant", [*_blocks(fields.get("content") or [], number), *_calls(fields, number)]
        elif role == "tool":
            result = {"toolUseId": fields.get("tool_call_id"), "content": _blocks(fields.get("content"), number)}
            speaker, blocks = "user", [{"toolResult": result}]
        else:
            raise EndpointRefused(f"message {number} has role {str(role)[:32]!r}, expected user, assistant or tool")
        # Converse wants the roles to take turns.
        if messages and messages[-1]["role"] == speaker:
            messages[-1]["content"] += blocks
        else:
            messages.append({"role": speaker, "content": blocks})
    return system, messages


def _blocks(content: Any, number: int) -> list[Json]:
    if isinstance(content, str):
        return [{"text": content}] if content else []
    if not isinstance(content, list):
        raise EndpointRefused(f"message {number} has no content: expected text or a list of parts")
    blocks: list[Json] = []
    for item in cast("list[Any]", content):
        part = _object(item)
        kind = str(part.get("type"))
        if kind == "text":
            blocks.append({"text": str(part.get("text", ""))})
        elif kind == "image_url":
            blocks.append({"image": _image(str(_object(part.get("image_url")).get("url", "")), number)})
        else:
            raise EndpointRefused(f"Converse does not take the part {kind[:32]!r} of message {number}", elsewhere=True)
    return blocks


def _image(url: str, number: int) -> Json:
    head, comma, data = url.partition(",")
    kind = head.removeprefix("data:").removesuffix(";base64")
    if not comma or not head.startswith("data:") or kind not in _IMAGE_FORMATS:
        raise EndpointRefused(
            f"message {number} has a picture that is no data: URL of PNG, JPEG, GIF or WebP", elsewhere=True
        )
    try:
        return {"format": _IMAGE_FORMATS[kind], "source": {"bytes": base64.b64decode(data, validate=True)}}
    except (binascii.Error, ValueError):
        raise EndpointRefused(f"message {number} has a picture that is not base64") from None


def _calls(fields: Json, number: int) -> list[Json]:
    blocks: list[Json] = []
    for call in cast("list[Any]", fields.get("tool_calls") or []):
        try:
            function = call["function"]
            arguments = msgspec.json.decode(function["arguments"] or "{}")
            blocks.append({"toolUse": {"toolUseId": call["id"], "name": function["name"], "input": arguments}})
        except (KeyError, TypeError, msgspec.DecodeError):
            raise EndpointRefused(f"message {number} has a tool call without id, name or JSON arguments") from None
    return blocks


def _inference(body: Mapping[str, Any]) -> Json:
    found: Json = {}
    tokens = body.get("max_completion_tokens") or body.get("max_tokens")
    for name, value in (("maxTokens", tokens), ("temperature", body.get("temperature")), ("topP", body.get("top_p"))):
        if value is not None:
            found[name] = value
    if stop := body.get("stop"):
        found["stopSequences"] = [stop] if isinstance(stop, str) else stop
    return found


def _tools(body: Mapping[str, Any], messages: Sequence[Json]) -> Json | None:
    tools, choice = body.get("tools"), body.get("tool_choice")
    if not tools:
        return None
    if choice == "none":
        if any("toolUse" in block for message in messages for block in message["content"]):
            raise EndpointRefused("Converse cannot forbid tools that the conversation used", elsewhere=True)
        return None
    specs: list[Json] = []
    for tool in cast("list[Any]", tools):
        fields = _object(_object(tool).get("function"))
        if "name" not in fields:
            raise EndpointRefused("a tool is no function with a name")
        parameters: Any = fields.get("parameters") or {"type": "object", "properties": {}}
        spec: Json = {"name": fields["name"], "inputSchema": {"json": parameters}}
        if fields.get("description"):
            spec["description"] = fields["description"]
        specs.append({"toolSpec": spec})
    found: Json = {"tools": specs}
    if choice == "required":
        found["toolChoice"] = {"any": {}}
    elif isinstance(choice, dict):
        found["toolChoice"] = {"tool": {"name": _object(_object(choice).get("function")).get("name")}}
    return found


def _output(given: Any) -> Json | None:
    kind = _object(given).get("type")
    if kind in (None, "text"):
        return None
    if kind != "json_schema":
        raise EndpointRefused(f"Converse does not take response_format {str(kind)[:32]!r}", elsewhere=True)
    told = _object(_object(given).get("json_schema"))
    schema: Json = {"name": told.get("name", "answer"), "schema": _json(told.get("schema", {}))}
    return {"textFormat": {"type": "json_schema", "structure": {"jsonSchema": schema}}}


def _finish(reason: Any) -> str:
    found = _FINISH.get(reason)
    if found is None:
        raise EndpointUnavailable(f"Bedrock ended its answer with {str(reason)[:64]!r}")
    return found


def _usage(given: Any) -> Json:
    told = _object(given)
    used, made = int(told.get("inputTokens", 0)), int(told.get("outputTokens", 0))
    return {"prompt_tokens": used, "completion_tokens": made, "total_tokens": used + made}


def _identity(response: Mapping[str, Any]) -> str:
    return "chatcmpl-" + str(response.get("ResponseMetadata", {}).get("RequestId", "bedrock"))


def _object(value: Any) -> Json:
    """What should be an object, empty if it is none."""
    return cast("Json", value) if isinstance(value, dict) else {}


def _json(value: Any) -> str:
    return msgspec.json.encode(value).decode()
