"""Outlast keeps AI agents running when things go wrong, and proves it.

What is listed in `__all__` is the public interface; everything else may change in any release.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from outlast.agent.app import Agent, App
    from outlast.agent.context import Context
    from outlast.agent.run import Run
    from outlast.agent.session import Session
    from outlast.agent.tool import Tool
    from outlast.agent.verdict import Done, Unknown, Verdict
    from outlast.bootstrap.valkey import Valkey
    from outlast.kernel.error import (
        BudgetExceeded,
        ConfigurationError,
        NotDone,
        OutlastError,
        PayloadTooLarge,
        ScopeError,
        StepFailed,
        StepTimeout,
        TypeMismatch,
        UsageError,
    )
    from outlast.model.answer import Answer
    from outlast.model.cache import Cache
    from outlast.model.endpoint import EndpointError, Message, Usage
    from outlast.model.guard import DependencyUnavailable, Guard, Guarded
    from outlast.model.output import OutputInvalid
    from outlast.policy.budget import Budget
    from outlast.policy.retry import Retry, retry

    __version__: str

__all__ = [
    "Agent",
    "Answer",
    "App",
    "Budget",
    "BudgetExceeded",
    "Cache",
    "ConfigurationError",
    "Context",
    "DependencyUnavailable",
    "Done",
    "EndpointError",
    "Guard",
    "Guarded",
    "Message",
    "NotDone",
    "OutlastError",
    "OutputInvalid",
    "PayloadTooLarge",
    "Retry",
    "Run",
    "ScopeError",
    "Session",
    "StepFailed",
    "StepTimeout",
    "Tool",
    "TypeMismatch",
    "Unknown",
    "Usage",
    "UsageError",
    "Valkey",
    "Verdict",
    "retry",
]

_HOMES = {
    "Agent": "outlast.agent.app",
    "Answer": "outlast.model.answer",
    "App": "outlast.agent.app",
    "Budget": "outlast.policy.budget",
    "BudgetExceeded": "outlast.kernel.error",
    "Cache": "outlast.model.cache",
    "ConfigurationError": "outlast.kernel.error",
    "Context": "outlast.agent.context",
    "DependencyUnavailable": "outlast.model.guard",
    "Done": "outlast.agent.verdict",
    "EndpointError": "outlast.model.endpoint",
    "Guard": "outlast.model.guard",
    "Guarded": "outlast.model.guard",
    "Message": "outlast.model.endpoint",
    "NotDone": "outlast.kernel.error",
    "OutlastError": "outlast.kernel.error",
    "OutputInvalid": "outlast.model.output",
    "PayloadTooLarge": "outlast.kernel.error",
    "Retry": "outlast.policy.retry",
    "Run": "outlast.agent.run",
    "ScopeError": "outlast.kernel.error",
    "Session": "outlast.agent.session",
    "StepFailed": "outlast.kernel.error",
    "StepTimeout": "outlast.kernel.error",
    "Tool": "outlast.agent.tool",
    "TypeMismatch": "outlast.kernel.error",
    "Unknown": "outlast.agent.verdict",
    "Usage": "outlast.model.endpoint",
    "UsageError": "outlast.kernel.error",
    "Valkey": "outlast.bootstrap.valkey",
    "Verdict": "outlast.agent.verdict",
    "retry": "outlast.policy.retry",
}


def __getattr__(name: str) -> Any:
    """A public name, imported when it is first used: the command line answers ``--help`` without the rest (PEP 562)."""
    import importlib
    import importlib.metadata

    if name == "__version__":
        try:
            value = importlib.metadata.version("outlast")
        except importlib.metadata.PackageNotFoundError:  # run from a source tree that is not installed
            value = "0+unknown"
    elif name in _HOMES:
        value = getattr(importlib.import_module(_HOMES[name]), name)
    else:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    globals()[name] = value
    return value


def __dir__() -> list[str]:
    return [*globals(), *_HOMES, "__version__"]
