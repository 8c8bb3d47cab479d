"""Outlast keeps AI agents running when things go wrong, and proves it.

What is listed in `__all__` is the public interface; everything else may change in any release.
"""

from __future__ import annotations

from importlib.metadata import PackageNotFoundError
from importlib.metadata import version as _version

from outlast.agent.app import Agent, App
from outlast.agent.context import Context
from outlast.agent.run import Run
from outlast.agent.session import Session
from outlast.agent.tool import Tool
from outlast.agent.verdict import Done, Unknown, Verdict
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
from outlast.model.endpoint import EndpointError, Message, Usage
from outlast.model.output import OutputInvalid
from outlast.policy.budget import Budget
from outlast.policy.retry import Retry, retry

try:
    __version__ = _version("outlast")
except PackageNotFoundError:  # run from a source tree that is not installed
    __version__ = "0+unknown"

__all__ = [
    "Agent",
    "Answer",
    "App",
    "Budget",
    "BudgetExceeded",
    "ConfigurationError",
    "Context",
    "Done",
    "EndpointError",
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
    "UsageError",
    "Usage",
    "Verdict",
    "retry",
]
