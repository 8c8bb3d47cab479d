"""One exit code for each kind of error."""

from __future__ import annotations

import pytest

from outlast.cli.exit import ExitCode, Unavailable, exit_code
from outlast.kernel import error as errors


@pytest.mark.parametrize(
    ("error", "code"),
    [
        (errors.ConfigurationError("x"), ExitCode.USAGE),
        (errors.TypeMismatch("x"), ExitCode.USAGE),
        (errors.NotFound("x"), ExitCode.NOT_FOUND),
        (errors.Conflict("x"), ExitCode.CONFLICT),
        (errors.StoreUnavailable("x"), ExitCode.UNAVAILABLE),
        (Unavailable("x"), ExitCode.UNAVAILABLE),
        (errors.StoreCorrupt("x"), ExitCode.FAILED),
        (errors.RunHeld("x"), ExitCode.FAILED),
        (errors.OutlastError("x"), ExitCode.FAILED),
    ],
)
def test_the_code_says_the_kind(error: errors.OutlastError, code: ExitCode) -> None:
    assert exit_code(error) is code
