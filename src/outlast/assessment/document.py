"""An assessment as plain JSON values: states as words, what never ends as null."""

from __future__ import annotations

import math
from typing import Any, cast

import msgspec

from outlast.assessment.assess import Assessment
from outlast.assessment.impact import State


def document(assessment: Assessment) -> dict[str, Any]:
    """All of it."""
    return cast("dict[str, Any]", plain(assessment))


def plain(value: Any) -> Any:
    """Any value of an assessment as JSON has it: structs as objects, states as words, infinity as null."""
    if isinstance(value, State):
        return value.word
    if isinstance(value, float):
        return value if math.isfinite(value) else None
    if isinstance(value, msgspec.Struct):
        return {name: plain(getattr(value, name)) for name in value.__struct_fields__}
    if isinstance(value, dict):
        return {str(key): plain(one) for key, one in cast("dict[Any, Any]", value).items()}
    if isinstance(value, list | tuple):
        return [plain(one) for one in cast("list[Any]", value)]
    return value
