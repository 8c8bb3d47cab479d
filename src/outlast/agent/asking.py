"""How a model step asks: one question, and one more with what was wrong when the answer does not fit."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Mapping, Sequence
from typing import Any

import msgspec

from outlast.agent.context import Context
from outlast.kernel.error import ConfigurationError
from outlast.model.answer import Answer, to_answer
from outlast.model.endpoint import Endpoint, Message, ModelRequest
from outlast.model.output import OutputInvalid, output_schema
from outlast.model.prompt import prompt_messages, repair_messages


def ask_model(
    endpoints: Mapping[str, Endpoint],
    name: str,
    prompt: str | Sequence[Message],
    kind: Any,
    system: str | None,
    max_tokens: int | None,
    temperature: float | None,
) -> Callable[..., Awaitable[Answer[Any]]]:
    """The function of one model step; raises ConfigurationError for a name that no endpoint has."""
    endpoint = endpoints.get(name)
    if endpoint is None:
        known = ", ".join(sorted(endpoints)) or "none"
        raise ConfigurationError(
            f"model {name!r} is not configured: add it under models: in outlast.yaml (there: {known})"
        )
    messages = prompt_messages(prompt, system)
    schema = output_schema(kind)

    async def ask(ctx: Context[Any], **_: Any) -> Answer[Any]:  # the arguments are there for the step's digest only
        request = ModelRequest(messages, ctx.remaining_s, schema, max_tokens, temperature, ctx.key, ctx.run)
        completion = await endpoint.complete(request)
        try:
            return to_answer(completion, kind)
        except OutputInvalid as error:
            again = repair_messages(messages, completion.text, str(error), schema or {})
            request = msgspec.structs.replace(request, messages=again, key=f"{request.key}:repair")
            return to_answer(await endpoint.complete(request), kind)

    return ask
