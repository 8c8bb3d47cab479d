"""What a call to an AWS service that failed means to a pool."""

from __future__ import annotations

from collections.abc import Generator, Mapping
from contextlib import contextmanager
from typing import Any, cast

import aiohttp

from outlast.model.endpoint import EndpointError, EndpointOverloaded, EndpointRefused, EndpointUnavailable

_OVERLOADED = frozenset({
    "ThrottlingException", "Throttling", "TooManyRequestsException", "ServiceQuotaExceededException",
    "ModelNotReadyException", "SlowDown", "LimitExceededException",
})  # fmt: skip
_CALLERS_FAULT = frozenset({"ValidationException", "ValidationError", "SerializationException"})
_shown_chars = 300


@contextmanager
def translated(where: str) -> Generator[None]:
    """What botocore raises inside becomes an EndpointError that names `where`; nothing of it is a secret."""
    from botocore import eventstream, parsers  # pyright: ignore[reportMissingTypeStubs] (it ships none)
    from botocore import exceptions as boto  # pyright: ignore[reportMissingTypeStubs] (nor here)

    try:
        yield
    except boto.ClientError as error:
        raise of_client_error(error, where) from None
    except (boto.NoCredentialsError, boto.PartialCredentialsError, boto.CredentialRetrievalError) as error:
        raise EndpointRefused(
            f"{where} cannot be asked: {_line(error)}; give this process AWS credentials", elsewhere=True
        ) from None
    except (boto.NoRegionError, boto.ParamValidationError, boto.InvalidRegionError) as error:
        raise EndpointRefused(f"{where} cannot be asked: {_line(error)}", elsewhere=True) from None
    except (eventstream.ParserError, parsers.ResponseParserError) as error:
        raise EndpointUnavailable(f"{where} answered with what is not understood: {_line(error)}") from None
    except (boto.BotoCoreError, aiohttp.ClientError, OSError) as error:
        raise EndpointUnavailable(f"{where} did not answer: {_line(error)}") from None


def of_client_error(error: Any, where: str) -> EndpointError:
    """What the service said, as an EndpointError: by its code, and where that is not known, by its status."""
    response = cast("Mapping[str, Any]", error.response)
    told = cast("Mapping[str, Any]", response.get("Error", {}))
    metadata = cast("Mapping[str, Any]", response.get("ResponseMetadata", {}))
    code, status = str(told.get("Code", "")), int(metadata.get("HTTPStatusCode", 0))
    headers = cast("Mapping[str, str]", metadata.get("HTTPHeaders", {}))
    words = " ".join(str(told.get("Message", "")).split())[:_shown_chars]
    message = f"{where} answered {status or 'in its stream'} {code}: {words}"
    # An error in a stream has its code with a small first letter and no status.
    code = code[:1].upper() + code[1:]
    if code in _OVERLOADED or status in (429, 529):
        return EndpointOverloaded(message, _seconds(headers.get("retry-after")))
    if code in _CALLERS_FAULT:
        return EndpointRefused(message)
    if status == 0 or status >= 500 or status in (408, 424):
        return EndpointUnavailable(message)
    return EndpointRefused(message, elsewhere=True)


def _seconds(text: str | None) -> float | None:
    return float(text) if text is not None and text.isdigit() else None


def _line(error: BaseException) -> str:
    return " ".join(str(error).split())[:_shown_chars] or type(error).__name__
