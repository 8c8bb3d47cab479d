"""The port to one model endpoint."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, ClassVar, Literal, Protocol

import msgspec

from outlast.kernel.error import OutlastError


class Message(msgspec.Struct, frozen=True):
    """One message of a conversation."""

    role: Literal["system", "user", "assistant"]
    content: str


class Usage(msgspec.Struct, frozen=True):
    """Tokens that one answer took."""

    input_tokens: int = 0
    output_tokens: int = 0


class ModelRequest(msgspec.Struct, frozen=True):
    """A question to a model. `schema` (JSON Schema) asks for JSON output; `timeout_s` bounds the whole exchange."""

    messages: Sequence[Message]
    timeout_s: float
    schema: dict[str, Any] | None = None
    max_tokens: int | None = None
    temperature: float | None = None
    key: str = ""
    """The step's key: the same for every attempt of one step."""
    affinity: str = ""
    """Requests with the same one begin alike: best put to the same server, for its prompt cache."""


class Completion(msgspec.Struct, frozen=True):
    """A whole answer. `model` is what the endpoint says answered; `finish` is ``stop``, ``length`` or another."""

    text: str
    model: str
    usage: Usage = Usage()
    finish: str = "stop"
    degraded: bool = False
    """Whether another model than the one asked for answered."""


class Endpoint(Protocol):
    """Answers model requests. Raises EndpointError and its subclasses, nothing else; never outlives `timeout_s`."""

    @property
    def name(self) -> str: ...

    async def complete(self, request: ModelRequest) -> Completion: ...

    async def close(self) -> None: ...


class EndpointError(OutlastError):
    """A model endpoint did not answer as it should. `retry_after_s` is what it asked for, if it did."""

    code: ClassVar[str] = "endpoint"
    retryable: ClassVar[bool] = True

    def __init__(self, message: str, retry_after_s: float | None = None) -> None:
        super().__init__(message)
        self.retry_after_s = retry_after_s


class EndpointUnavailable(EndpointError):
    """No connection, a time-out, a 5xx or an answer that breaks off."""

    code = "endpoint_unavailable"


class EndpointOverloaded(EndpointError):
    """It refuses for now: 429 or 529."""

    code = "endpoint_overloaded"


class PoolOverloaded(EndpointOverloaded):
    """The pool refuses at once what it could not answer in time. `retry_after_s` says when to come back."""

    code = "pool_overloaded"


class EndpointRefused(EndpointError):
    """It will never answer this: authentication, a bad request, an unknown model.

    `elsewhere` says that the fault lies with this endpoint's key, account or configuration: another may well answer.
    """

    code = "endpoint_refused"
    retryable = False

    def __init__(self, message: str, retry_after_s: float | None = None, *, elsewhere: bool = False) -> None:
        super().__init__(message, retry_after_s)
        self.elsewhere = elsewhere


class Interrupted(EndpointError):
    """The answer broke off after its first content had been given away: nobody may silently begin it again."""

    code = "interrupted"
