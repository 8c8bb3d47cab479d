"""Every error that Outlast raises.

::

    OutlastError
    ├── UsageError              the caller's code or call is wrong
    │   ├── ConfigurationError  outlast.yaml, an option or an environment variable
    │   ├── ScopeError          a step was called from a task that does not own its scope
    │   ├── TypeMismatch        a value does not fit its annotated type
    │   └── PayloadTooLarge     a value is larger than `payload_bytes_max`
    ├── StoreError              the journal or the blob store
    │   ├── StoreUnavailable    it cannot be reached or written now (retryable)
    │   ├── StoreCorrupt        what it holds is not what was written
    │   ├── StoreSealed         what it holds is encrypted with a key that is not here
    │   └── NotFound            no such run, session, agent or blob
    ├── StepError               raised in agent code by a step
    │   ├── StepFailed          the step ended in an error that cannot be rebuilt here
    │   ├── StepTimeout         the step did not end in its time
    │   └── NotDone             raised *by* a tool: the effect surely did not happen
    ├── RunStopped              the run cannot go on
    │   ├── RunCancelled        somebody cancelled it
    │   ├── RunHeld             it waits for a person
    │   └── ReplayMismatch      code and history disagree
    ├── BudgetExceeded          a named budget of the run is spent
    └── Conflict                somebody else was first

Messages name the subject, what was found, what was expected and what to do; never a secret.
"""

from __future__ import annotations

from typing import Any, ClassVar


class OutlastError(Exception):
    """Root of all errors of this package.

    `code` is stable and machine readable; `retryable` says whether the same call may succeed later.
    """

    code: ClassVar[str] = "outlast"
    retryable: ClassVar[bool] = False


class UsageError(OutlastError):
    """The caller's code or call is wrong; the same call will fail again."""

    code = "usage"


class ConfigurationError(UsageError):
    """Configuration that cannot be accepted."""

    code = "configuration"


class ScopeError(UsageError):
    """A step was called from an asyncio task that does not own its scope."""

    code = "scope"


class TypeMismatch(UsageError):
    """A value does not fit the type that was declared for it."""

    code = "type_mismatch"


class PayloadTooLarge(UsageError):
    """A value is larger than a named bound."""

    code = "payload_too_large"


class StoreError(OutlastError):
    """The journal or the blob store."""

    code = "store"


class StoreUnavailable(StoreError):
    """The store cannot be reached or written now."""

    code = "store_unavailable"
    retryable = True


class StoreCorrupt(StoreError):
    """What the store holds is not what was written."""

    code = "store_corrupt"


class StoreSealed(StoreError):
    """What the store holds is encrypted with a key that this process does not have."""

    code = "store_sealed"


class NotFound(StoreError):
    """No such run, session, agent or blob."""

    code = "not_found"


class StepError(OutlastError):
    """Raised in agent code by a step."""

    code = "step"


class StepFailed(StepError):
    """A step ended in an error whose class cannot be rebuilt; the same live and in replay.

    `type` is the qualified name of the class that was raised, `message` its text, `data` what else was recorded.
    """

    code = "step_failed"

    def __init__(self, type: str, message: str, data: Any = None) -> None:
        super().__init__(type, message, data)
        self.type = type
        self.message = message
        self.data = data

    def __str__(self) -> str:
        return f"{self.type}: {self.message}"


class StepTimeout(StepError):
    """A step did not end within its time-out or before its deadline."""

    code = "step_timeout"


class NotDone(StepError):
    """Raise it in a tool to say: the effect surely did not happen, it may be tried again."""

    code = "not_done"
    retryable = True


class RunStopped(OutlastError):
    """The run cannot go on."""

    code = "run_stopped"


class RunCancelled(RunStopped):
    """Somebody cancelled the run."""

    code = "run_cancelled"


class RunHeld(RunStopped):
    """The run waits for a person; its reason says for what."""

    code = "run_held"


class ReplayMismatch(RunStopped):
    """The code asks for another step than the history holds at this place."""

    code = "replay_mismatch"


class BudgetExceeded(OutlastError):
    """A named budget of the run is spent."""

    code = "budget_exceeded"


class Conflict(OutlastError):
    """Somebody else was first: the stream has moved, or the key is taken."""

    code = "conflict"


class InvariantBroken(BaseException):
    """A bug in Outlast itself. Not an `Exception`: nothing may catch it and go on."""


def invariant(condition: object, message: str) -> None:
    """Stop at once when what must always hold does not; survives ``python -O``."""
    if not condition:
        raise InvariantBroken(message)
