"""What a call to a storage service that failed means: try again, it can never work, or somebody else was first."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Literal, cast

import aiohttp

from outlast.kernel.error import StoreUnavailable

Kind = Literal["refused", "throttled", "lost", "absent", "hopeless"]
"""refused: a condition did not hold, nothing was written · throttled, lost: it may or may not have been done, try
again · absent: there is no such object · hopeless: the same call fails again until a person changes something."""

_REFUSED = frozenset({"ConditionalCheckFailedException", "PreconditionFailed"})
_THROTTLED = frozenset({
    "ProvisionedThroughputExceededException", "ThrottlingException", "Throttling", "RequestLimitExceeded", "SlowDown",
    "TooManyRequestsException", "BandwidthLimitExceeded", "KMSThrottlingException",
})  # fmt: skip
_LOST = frozenset({
    # another region wrote the same item at the same time, or a transaction is on it: ours may still have been done
    "ReplicatedWriteConflictException", "TransactionConflictException", "TransactionInProgressException",
    "ConditionalRequestConflict", "OperationAborted", "RequestTimeout", "RequestTimeTooSkewed", "InternalServerError",
    "ServiceUnavailable", "InternalError", "InternalFailure", "LimitExceededException", "ResourceInUseException",
    # credentials that are renewed are good again soon
    "ExpiredToken", "ExpiredTokenException", "RequestExpired",
})  # fmt: skip
_ABSENT = frozenset({"NoSuchKey", "NotFound", "404", "NoSuchVersion"})
_ADVICE = {
    "ResourceNotFoundException": "make it with outlast.adapters.aws.prepare, or name the table and region that hold it",
    "NoSuchBucket": "make it with outlast.adapters.aws.prepare, or name the bucket that is there",
    "AccessDeniedException": "give this process's role the permissions of docs/aws.md",
    "AccessDenied": "give this process's role the permissions of docs/aws.md",
    "UnrecognizedClientException": "these credentials are not known there: check the credential chain and the region",
    "InvalidSignatureException": "these credentials are not right: check the credential chain",
    "SignatureDoesNotMatch": "these credentials are not right: check the credential chain",
    "InvalidAccessKeyId": "these credentials are not known there: check the credential chain",
    "InvalidClientTokenId": "these credentials are not known there: check the credential chain",
    "MissingAuthenticationTokenException": "give this process AWS credentials",
    "ItemCollectionSizeLimitExceededException": "the table has a local index: Outlast's has none, use its own table",
}
_shown_chars = 300


class CallFailed(StoreUnavailable):
    """One call failed; `kind` says what that means, `code` of the service stands in the message."""

    def __init__(self, kind: Kind, message: str) -> None:
        super().__init__(message)
        self.kind: Kind = kind

    @property
    def may_be_done(self) -> bool:
        """Whether a write may have been done, now or later, and may be sent again."""
        return self.kind in ("throttled", "lost")


def failure(error: Exception, where: str) -> CallFailed:
    """What botocore, aiohttp or the system raised, as a CallFailed that names `where`; nothing of it is a secret."""
    from botocore import exceptions as boto  # pyright: ignore[reportMissingTypeStubs] (it ships none)

    if isinstance(error, boto.ClientError):
        return _of_answer(error, where)
    if isinstance(error, boto.NoCredentialsError | boto.PartialCredentialsError):
        return CallFailed("hopeless", f"{where} cannot be asked: {_line(error)}; give this process AWS credentials")
    if isinstance(error, boto.NoRegionError | boto.ParamValidationError | boto.InvalidRegionError):
        return CallFailed("hopeless", f"{where} cannot be asked: {_line(error)}; check region and endpoint_url")
    return CallFailed("lost", f"{where} did not answer: {_line(error)}; try again")


def foreseen() -> tuple[type[Exception], ...]:
    """What a call may raise that `failure` understands."""
    from botocore import exceptions as boto  # pyright: ignore[reportMissingTypeStubs] (nor here)
    from botocore import parsers  # pyright: ignore[reportMissingTypeStubs] (nor here)

    return (boto.ClientError, boto.BotoCoreError, parsers.ResponseParserError, aiohttp.ClientError, OSError, ValueError)


def _of_answer(error: Any, where: str) -> CallFailed:
    response = cast("Mapping[str, Any]", error.response)
    told = cast("Mapping[str, Any]", response.get("Error", {}))
    metadata = cast("Mapping[str, Any]", response.get("ResponseMetadata", {}))
    code, status = str(told.get("Code", "")), int(metadata.get("HTTPStatusCode", 0))
    words = " ".join(str(told.get("Message", "")).split())[:_shown_chars]
    return CallFailed(_kind(code, status), f"{where} answered {status} {code}: {words}{_advice(code)}")


def _kind(code: str, status: int) -> Kind:
    if code in _REFUSED or status == 412:
        return "refused"
    if code in _THROTTLED or status == 429:
        return "throttled"
    if code in _ABSENT:
        return "absent"
    if code in _LOST or status >= 500 or status in (0, 408):
        return "lost"
    return "hopeless"


def _advice(code: str) -> str:
    advice = _ADVICE.get(code)
    return f"; {advice}" if advice else ""


def _line(error: BaseException) -> str:
    return " ".join(str(error).split())[:_shown_chars] or type(error).__name__
