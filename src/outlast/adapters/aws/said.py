"""What a messaging service said when a call failed, in one line without secrets, whatever botocore raised."""

from __future__ import annotations

from collections.abc import Callable, Generator, Mapping
from contextlib import contextmanager
from typing import Any, cast

import aiohttp

from outlast.kernel.error import ConfigurationError, OutlastError

_shown_chars = 300


def code_of(error: BaseException) -> str:
    """The service's own code for an error, without its name space; empty if the service did not answer."""
    response = cast("Mapping[str, Any]", getattr(error, "response", None) or {})
    return str(cast("Mapping[str, Any]", response.get("Error", {})).get("Code", "")).rpartition("#")[2]


@contextmanager
def told(where: str, unavailable: Callable[[str], OutlastError]) -> Generator[None]:
    """What botocore raises inside becomes `unavailable` with a line that names `where`."""
    from botocore import exceptions as boto  # pyright: ignore[reportMissingTypeStubs] (it ships none)
    from botocore import parsers  # pyright: ignore[reportMissingTypeStubs] (nor here)

    try:
        yield
    except boto.ClientError as error:
        response = cast("Mapping[str, Any]", error.response)
        words = _line(str(cast("Mapping[str, Any]", response.get("Error", {})).get("Message", "")))
        raise unavailable(f"{where} answered {code_of(error)}: {words}") from None
    except (boto.BotoCoreError, parsers.ResponseParserError, aiohttp.ClientError, TimeoutError, OSError) as error:
        raise unavailable(f"{where} did not answer: {_line(str(error)) or type(error).__name__}") from None
    except ConfigurationError as error:
        raise unavailable(f"{where} cannot be asked: {error}") from None


def _line(text: str) -> str:
    return " ".join(text.split())[:_shown_chars]
