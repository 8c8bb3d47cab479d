"""Who wants to hear that streams grew."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Sequence

from outlast.journal.stream import Notice

Listener = Callable[[Sequence[Notice]], None]


class Listeners:
    """The listeners of one store. Not for several threads."""

    def __init__(self) -> None:
        self._listeners: dict[object, Listener] = {}

    def __bool__(self) -> bool:
        return bool(self._listeners)

    def add(self, listener: Listener) -> Callable[[], None]:
        """Tell `listener` from now on, until the returned function is called (any number of times)."""
        token = object()
        self._listeners[token] = listener

        def stop() -> None:
            self._listeners.pop(token, None)

        return stop

    def tell(self, notices: Sequence[Notice]) -> None:
        """Hand `notices` to every listener. What one raises goes to the event loop's exception handler."""
        for listener in list(self._listeners.values()):
            try:
                listener(notices)
            except Exception as error:  # noqa: BLE001 (the append is durable: a listener's fault must not become the writer's)
                asyncio.get_running_loop().call_exception_handler(
                    {"message": "a listener of the journal failed", "exception": error}
                )
