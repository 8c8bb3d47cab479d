"""When to try again: exponential backoff with full jitter.

Source: Marc Brooker, "Exponential Backoff And Jitter", AWS Architecture Blog, 2015: full jitter spreads retries best.
"""

from __future__ import annotations

import msgspec

from outlast.kernel.error import ConfigurationError
from outlast.kernel.unit import Duration, seconds


class Retry(msgspec.Struct, frozen=True):
    """How often and how patiently a step is tried.

    `attempts` in all (1: never again), `first_s` and `max_s` bound the waiting time before the second and any later
    one, which doubles in between and is drawn uniformly from zero up to that bound.
    """

    attempts: int = 3
    first_s: float = 0.2
    max_s: float = 30.0

    @classmethod
    def of(cls, value: Retry | int | None, default: Retry) -> Retry:
        """What a user wrote: nothing, a number of attempts, or a Retry."""
        if value is None:
            return default
        result = (
            value if isinstance(value, Retry) else cls(attempts=value, first_s=default.first_s, max_s=default.max_s)
        )
        if not 1 <= result.attempts <= 1_000 or result.first_s < 0 or result.max_s < result.first_s:
            raise ConfigurationError(f"retry {result} is not possible: attempts 1 to 1000, 0 <= first_s <= max_s")
        return result

    def delay_s(self, failed_attempt: int, chance: float, asked_s: float | None = None) -> float | None:
        """Seconds to wait after `failed_attempt` (1 is the first); None: give up.

        `chance` is uniform in [0, 1). `asked_s` is what the other side asked for (Retry-After): never less is waited.
        """
        if failed_attempt >= self.attempts:
            return None
        bound = min(self.max_s, self.first_s * 2.0 ** min(failed_attempt - 1, 60))
        return max(bound * chance, asked_s or 0.0)


def retry(attempts: int = 3, first: Duration = 0.2, max: Duration = 30.0) -> Retry:
    """A Retry from quantities with units: ``retry(5, first="100ms", max="10s")``."""
    return Retry.of(Retry(attempts, seconds(first), seconds(max)), Retry())
