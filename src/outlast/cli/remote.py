"""Access to a project through its running server."""

from __future__ import annotations

import json
import threading
from collections.abc import Callable, Iterator, Mapping
from typing import Any
from urllib.parse import quote

from outlast.cli.client import Client, over
from outlast.cli.exit import Unavailable
from outlast.kernel.error import OutlastError
from outlast.kernel.identity import check_name

follow_patience_s = 30.0
"""How long a reader tries to come back to a server that does not answer: time for it to be restarted."""
_retry_s = 0.25
_page = 1000
_came_to_end = ("run.completed", "run.failed", "run.cancelled", "run.continued")


class Remote:
    """Implements `cli.access.Access` over HTTP. Documents are those of the API, as parsed JSON.

    `find` gives the server's client of this moment: after a restart it may listen elsewhere. What only reads is asked
    again for a while when the server does not answer.
    """

    def __init__(self, find: Callable[[], Client]) -> None:
        self.waits = False
        self._find = find
        self._client = find()

    def close(self) -> None:
        """Nothing is kept open."""

    def start(self, agent: str, given: Any, key: str | None, session: str | None) -> Any:
        body = {"input": given} | ({"session": session} if session is not None else {})
        headers = {"Idempotency-Key": key} if key is not None else {}
        return self._client.post(f"/v1/agents/{_segment('agent', agent)}/runs", body, headers)

    def runs(self, state: str | None, agent: str | None, session: str | None, limit: int) -> dict[str, Any]:
        found: list[Any] = []
        behind: dict[str, Any] = {}
        before: str | None = None
        while len(found) < limit:
            query = {"state": state, "agent": agent, "session": session, "before": before}
            page = self._get("/v1/runs", {**query, "limit": min(limit - len(found), 200)})
            found += page["runs"]
            before = page["next"]
            if "behind_s" in page:
                behind["behind_s"] = _more_behind(behind.get("behind_s", 0.0), page["behind_s"])
            if before is None:
                break
        return {"runs": found, **behind}

    def view(self, run: str) -> Any:
        return self._get(self._path(run))

    def events(self, run: str, after: int = 0) -> Iterator[Any]:
        while True:
            page = self._get(f"{self._path(run)}/events", {"after": after, "limit": _page})
            yield from page["events"]
            if not page["events"]:
                return
            after = page["next"]

    def follow(self, run: str, after: int = 0) -> Iterator[Any]:
        """Events as they are recorded, each once and in order, across restarts of the server, until the run's last."""
        patience = _Patience()
        while True:
            try:
                for event in self._client.events(f"{self._path(run)}/events", after):
                    patience = _Patience()
                    if event.type == "outlast.error":
                        raise OutlastError(str(json.loads(event.data)["detail"]))
                    if event.type == over:
                        return
                    if not event.id:
                        continue  # dropped, stopping, resume: the stream ends now, come back
                    after = int(event.id)
                    yield json.loads(event.data)
                    if event.type in _came_to_end:
                        return
            except Unavailable as error:
                patience.spend(error)
                self._client = self._find()

    def signal(self, run: str, name: str, payload: Any, id: str | None) -> None:
        self._tell(run, f"signals/{_segment('signal', name)}", {"payload": payload}, id)

    def cancel(self, run: str, reason: str) -> None:
        self._tell(run, "cancel", {"reason": reason})

    def resolve(self, run: str, step: str, how: str, value: Any, message: str) -> None:
        self._tell(run, "resolve", {"step": step, "how": how, "value": value, "message": message})

    def redrive(self, run: str) -> None:
        self._tell(run, "redrive", {})

    def stop_agent(self, agent: str, reason: str) -> None:
        self._client.post(f"/v1/agents/{_segment('agent', agent)}/stop", {"reason": reason})

    def resume_agent(self, agent: str) -> None:
        self._client.post(f"/v1/agents/{_segment('agent', agent)}/resume", {})

    def session(self, session: str) -> Any:
        return self._get(f"/v1/sessions/{_segment('session', session)}")

    def _get(self, path: str, query: Mapping[str, Any] | None = None) -> Any:
        patience = _Patience()
        while True:
            try:
                return self._client.get(path, query)
            except Unavailable as error:
                patience.spend(error)
                self._client = self._find()

    def _path(self, run: str) -> str:
        return f"/v1/runs/{_segment('run', run)}"

    def _tell(self, run: str, what: str, body: Any, id: str | None = None) -> None:
        self._client.post(f"{self._path(run)}/{what}", body, {"Idempotency-Key": id} if id is not None else {})


def _segment(kind: str, name: str) -> str:
    """`name` as a part of a path. A server hears two names in one with a slash, and none in an empty one."""
    return quote(name, safe="") if name and "/" not in name else check_name(kind, name)


def _more_behind(one: float | None, other: float | None) -> float | None:
    """Of two pages, how far the older one may be behind; None: not known."""
    return None if one is None or other is None else max(one, other)


class _Patience:
    """Waits between tries; raises the error when it is used up."""

    def __init__(self) -> None:
        self._left_s = follow_patience_s

    def spend(self, error: Unavailable) -> None:
        if self._left_s <= 0:
            raise error
        self._left_s -= _retry_s
        threading.Event().wait(_retry_s)
