"""What a call to KMS or Secrets Manager that failed means: it may come back, or somebody has to act."""

from __future__ import annotations

from collections.abc import Generator, Mapping
from contextlib import contextmanager
from typing import Any, cast

import aiohttp

from outlast.kernel.error import ConfigurationError, StoreSealed, StoreUnavailable

_AWAY = frozenset({
    "ThrottlingException", "Throttling", "RequestLimitExceeded", "LimitExceededException", "KMSInternalException",
    "DependencyTimeoutException", "KeyUnavailableException", "ServiceUnavailable", "InternalFailure",
})  # fmt: skip
_ADVICE = {
    "AccessDeniedException": "allow this process's role kms:GenerateDataKey and kms:Decrypt on it",
    "NotFoundException": "name a key that exists in this region",
    "DisabledException": "enable the key",
    "KMSInvalidStateException": "cancel its deletion, or enable it",
    "InvalidCiphertextException": "its wrapped form is damaged: restore the journal from a backup",
    "IncorrectKeyException": "its wrapped form is of another key",
}
_shown_chars = 300


@contextmanager
def translated(what: str, refused: type[ConfigurationError | StoreSealed], service: str = "KMS") -> Generator[None]:
    """What botocore raises inside becomes StoreUnavailable, or `refused` if waiting does not help."""
    from botocore import exceptions as boto  # pyright: ignore[reportMissingTypeStubs] (it ships none)

    try:
        yield
    except boto.ClientError as error:
        response = cast("Mapping[str, Any]", error.response)
        told = cast("Mapping[str, Any]", response.get("Error", {}))
        metadata = cast("Mapping[str, Any]", response.get("ResponseMetadata", {}))
        code, status = str(told.get("Code", "")), int(metadata.get("HTTPStatusCode", 0))
        code = "AccessDeniedException" if status == 403 else code
        advice = _ADVICE.get(code, "see its policy") if service == "KMS" else "see its name and its policy"
        message = f"{service} answered {code or status} about {what}: {_line(told.get('Message', ''))}"
        if code in _AWAY or status >= 500 or status == 429:
            raise StoreUnavailable(f"{message}; try again") from None
        raise refused(f"{message}; {advice}") from None
    except (boto.NoCredentialsError, boto.PartialCredentialsError, boto.NoRegionError) as error:
        raise refused(
            f"{service} cannot be asked for {what}: {_line(error)}; give this process AWS credentials"
        ) from None
    except (boto.ParamValidationError, boto.InvalidRegionError) as error:
        raise refused(f"{service} cannot be asked for {what}: {_line(error)}") from None
    except (boto.BotoCoreError, aiohttp.ClientError, OSError, TimeoutError) as error:
        raise StoreUnavailable(f"{service} does not answer about {what}: {_line(error)}; try again") from None


def _line(said: object) -> str:
    return " ".join(str(said).split())[:_shown_chars] or type(said).__name__
