"""Who wants to hear that streams grew."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Sequence

from outlast.journal.stream import Append, Notice

Listener = Callable[[Sequence[Notice]], None]


def is_step(grown: Notice | Append) -> bool:
    """Whether it only says that a run went on, which concerns who follows that run and nobody else."""
    return grown.hint is None and grown.stream.startswith("run/")


class Listeners:
    """The listeners of one store. Not for several threads."""

    def __init__(self) -> None:
        self._listeners: dict[object, tuple[Listener, bool]] = {}
        self.steps = False
        """Whether any of them wants to hear of steps."""

    def __bool__(self) -> bool:
        return bool(self._listeners)

    def add(self, listener: Listener, *, steps: bool = True) -> Callable[[], None]:
        """Tell `listener` from now on, until the returned function is called (any number of times).

        `steps` as for `EventStore.listen`.
        """
        token = object()
        self._listeners[token] = (listener, steps)
        self.steps = self.steps or steps

        def stop() -> None:
            self._listeners.pop(token, None)
            self.steps = any(steps for _, steps in self._listeners.values())

        return stop

    def tell(self, notices: Sequence[Notice]) -> None:
        """Hand `notices` to every listener. What one raises goes to the event loop's exception handler."""
        others = [notice for notice in notices if not is_step(notice)]
        for listener, steps in list(self._listeners.values()):
            heard = notices if steps else others
            if not heard:
                continue
            try:
                listener(heard)
            except Exception as error:  # noqa: BLE001 (the append is durable: a listener's fault must not become the writer's)
                asyncio.get_running_loop().call_exception_handler(
                    {"message": "a listener of the journal failed", "exception": error}
                )
