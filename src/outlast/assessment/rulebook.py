"""The rules that run: ours, and those of installed packages.

Others add theirs by the entry point group ``outlast.rules``: each entry is a `Rule`, or a tuple of them.
"""

from __future__ import annotations

import functools
from typing import cast

from outlast.assessment.rule import Rule
from outlast.assessment.rules import RULES
from outlast.kernel.error import ConfigurationError

entry_point_group = "outlast.rules"
"""Where third parties name their rules."""


@functools.cache
def known_rules() -> tuple[Rule, ...]:
    """Our rules and those of installed packages. Raises ConfigurationError for what is none, or is there twice."""
    from importlib.metadata import entry_points

    found = {rule.id: rule for rule in RULES}
    for point in entry_points(group=entry_point_group):
        loaded: object = point.load()
        for rule in cast("tuple[object, ...]", loaded) if isinstance(loaded, tuple) else (loaded,):
            if not isinstance(rule, Rule):
                raise ConfigurationError(f"entry point {point.name} of {entry_point_group} is not an outlast Rule")
            if rule.id in found:
                raise ConfigurationError(f"entry point {point.name}: rule {rule.id} is already there: rename it")
            found[rule.id] = rule
    return tuple(found.values())
