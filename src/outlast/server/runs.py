"""Runs: start, list, look at, follow, and tell them things."""

from __future__ import annotations

from collections.abc import Generator, Sequence
from contextlib import ExitStack, contextmanager
from typing import Annotated, Any, Literal, TypeVar

import msgspec
from msgspec import UNSET, Meta, UnsetType
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route
from starlette.types import ASGIApp

from outlast.agent.control import Control, EventView, RunView
from outlast.agent.platform import Settings
from outlast.journal.index import Behind, RunEntry, State
from outlast.kernel.error import ConfigurationError, PayloadTooLarge, TypeMismatch
from outlast.kernel.identity import check_name
from outlast.kernel.unit import seconds
from outlast.server.follow import END_TYPES, EventStream, Followers, cursor_max, without_values
from outlast.server.gate import Turn
from outlast.server.limit import Limits, name_pattern, text_end
from outlast.server.payload import NoQuery, idempotency_key, preferred_wait, read_body, read_query, wants_events
from outlast.server.refusal import AnswerTooLarge, BadRequest, Overloaded
from outlast.server.reply import reply

B = TypeVar("B")
Name = Annotated[str, Meta(pattern=name_pattern)]
Reason = Annotated[str, Meta(max_length=1000)]

deadline_pattern = r"^(?!0+(\.0+)?[a-z])([0-9]{1,9}(\.[0-9]{1,3})?(ms|s)|[0-9]{1,4}(\.[0-9]{1,3})?[mhd])" + text_end
deadline_max_s = Settings().run_lifetime_max_s
"""The longest deadline that a run may have: longer ones are refused with 422, whichever way they are written."""


class StartBody(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """What starts a run. `input`: an object of named arguments, an array of positional ones, or the one argument."""

    input: Any = msgspec.field(default_factory=dict[str, Any])
    session: Name | None = None
    deadline: (
        Annotated[str, Meta(pattern=deadline_pattern)] | Annotated[float, Meta(gt=0, le=deadline_max_s)] | None
    ) = None
    """Seconds, or text with a unit such as ``30s``, from now on; at most 30 days, the bound run_lifetime_max_s."""


class SignalBody(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """What a signal carries."""

    payload: Any = None


class CancelBody(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """Why a run is cancelled, for people."""

    reason: Reason = ""


class ResolveBody(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """What became of a step in doubt: it is done with `value`, may be tried again, or failed with `message`."""

    step: Annotated[str, Meta(pattern=r"^[0-9]+(\.[0-9]+)*" + text_end, max_length=200)]
    how: Literal["done", "retry", "fail"]
    value: Any = None
    message: Reason = ""


class RedriveBody(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """Nothing is asked of who sends a held or quarantined run on its way again."""


class ListQuery(msgspec.Struct, frozen=True):
    """Which runs to list. `before` is the last run of the page already seen."""

    state: State | UnsetType = UNSET
    agent: Name | UnsetType = UNSET
    session: Name | UnsetType = UNSET
    before: Name | UnsetType = UNSET
    limit: Annotated[int, Meta(ge=1, le=Limits().list_runs_max)] = 50


class EventsQuery(msgspec.Struct, frozen=True):
    """Which events to show: those after number `after`, at most `limit`."""

    after: Annotated[int, Meta(ge=0, le=cursor_max)] = 0
    limit: Annotated[int, Meta(ge=1, le=Limits().page_events_max)] = 100


class ShowQuery(msgspec.Struct, frozen=True):
    """How much of a run to show: with what its steps gave, or without."""

    values: Literal["all", "none"] = "all"


class Started(msgspec.Struct, frozen=True, omit_defaults=True):
    """A run that was started.

    `view` is there if ``Prefer: wait=`` asked for it: the run as it is after that time, without its steps' values.
    """

    run: str
    agent: str
    created: bool
    view: RunView | UnsetType = UNSET


class Accepted(msgspec.Struct, frozen=True):
    """What was asked is durable; the run's worker takes notice of it next."""

    run: str


class RunPage(msgspec.Struct, frozen=True):
    """Runs, newest first. `next` is the `before` of the following page, null on the last.

    `behind_s` is there if a replica was read: how many seconds it was behind at most, null if that is not known.
    """

    runs: Sequence[RunEntry]
    next: str | None
    behind_s: float | UnsetType | None = UNSET


class EventPage(msgspec.Struct, frozen=True):
    """Events in order. `next` is the `after` of the following page; `ended` says that none will ever follow."""

    events: Sequence[EventView]
    next: int
    ended: bool


class Runs:
    """The routes under ``/v1/runs`` and the one that starts a run."""

    def __init__(self, control: Control, followers: Followers, limits: Limits) -> None:
        self._control = control
        self._followers = followers
        self._limits = limits
        self._starts: dict[str, int] = {}  # by agent, requests that start one of its runs now

    def routes(self) -> list[Route]:
        return [
            Route("/v1/agents/{agent}/runs", self.start, methods=["POST"]),
            Route("/v1/runs", self.list, methods=["GET"]),
            Route("/v1/runs/{run}", self.show, methods=["GET"]),
            Route("/v1/runs/{run}/events", self.events, methods=["GET"]),
            Route("/v1/runs/{run}/signals/{name}", self.signal, methods=["POST"]),
            Route("/v1/runs/{run}/cancel", self.cancel, methods=["POST"]),
            Route("/v1/runs/{run}/resolve", self.resolve, methods=["POST"]),
            Route("/v1/runs/{run}/redrive", self.redrive, methods=["POST"]),
        ]

    async def start(self, request: Request) -> Response | ASGIApp:
        """Start a run, or find the one that the same key started; follow it or wait for it if asked."""
        agent = check_name("agent", request.path_params["agent"])
        with ExitStack() as starting:
            starting.enter_context(self._place(agent))
            return await self._start(request, agent, starting)

    @contextmanager
    def _place(self, agent: str) -> Generator[None]:
        """One of those that may start runs of an agent at once. Raises Overloaded."""
        if self._starts.get(agent, 0) >= self._limits.starts_max:
            raise Overloaded(
                f"{self._limits.starts_max} requests start runs of agent {agent} at once, which is its bound "
                "(starts_max): try again"
            )
        self._starts[agent] = self._starts.get(agent, 0) + 1
        try:
            yield
        finally:
            self._starts[agent] -= 1
            if not self._starts[agent]:
                del self._starts[agent]

    async def _start(self, request: Request, agent: str, starting: ExitStack) -> Response | ASGIApp:
        read_query(request, NoQuery)
        key = idempotency_key(request)
        body = await read_body(request, StartBody, self._limits)
        streams = wants_events(request)
        wait_s = None if streams else preferred_wait(request, self._limits)
        with ExitStack() as place:
            if streams or wait_s:  # before the run is started: who is refused shall not have started one
                place.enter_context(self._followers.place())
            started = await self._control.start(
                agent, body.input, key=key, session=body.session, deadline_s=_deadline(body.deadline)
            )
            status = 201 if started.created else 200
            headers = {
                "location": f"/v1/runs/{started.run}",
                "outlast-run": started.run,
                "outlast-run-created": "true" if started.created else "false",
            }
            if streams:
                return EventStream(self._followers, place.pop_all(), started.run, 0, status, headers)
            if wait_s is None:
                return reply(Started(started.run, agent, started.created), status, headers)
            Turn.of(request.scope).follow()
            starting.close()
            view = await self._followers.until_end(started.run, wait_s)
            headers["preference-applied"] = f"wait={wait_s:g}"
            return reply(Started(started.run, agent, started.created, view), status, headers)

    async def list(self, request: Request) -> Response:
        """A page of runs."""
        query = read_query(request, ListQuery)
        filters: dict[str, Any] = {
            name: value
            for name in ("state", "agent", "session", "before")
            if (value := getattr(query, name)) is not UNSET
        }
        found = await self._control.platform.index.list(**filters, limit=query.limit + 1)
        runs = found[: query.limit]
        behind_s = found.behind_s if isinstance(found, Behind) else UNSET
        return reply(RunPage(runs, runs[-1].run if len(found) > query.limit else None, behind_s))

    async def show(self, request: Request) -> Response:
        """One run with its steps."""
        run, query = _run(request), read_query(request, ShowQuery)
        view = await self._control.view(run)
        try:
            return reply(view if query.values == "all" else without_values(view), limit=self._limits.answer_bytes_max)
        except PayloadTooLarge:
            raise AnswerTooLarge(
                f"run {run} is larger than {self._limits.answer_bytes_max} bytes, the bound answer_bytes_max: "
                "ask with ?values=none, and for its events in pages"
            ) from None

    async def events(self, request: Request) -> Response | ASGIApp:
        """A page of a run's events, or all of them as they happen."""
        run = _run(request)
        query = read_query(request, EventsQuery)
        after = _last_event_id(request, query.after)
        if request.method == "GET" and wants_events(request):
            with ExitStack() as place:
                place.enter_context(self._followers.place())
                if await self._followers.check_cursor(run, after):
                    return Response(status_code=204)  # tells an EventSource not to come back
                return EventStream(self._followers, place.pop_all(), run, after, 200, {})
        return reply(await self._page(run, after, query.limit))

    async def _page(self, run: str, after: int, limit: int) -> EventPage:
        if await self._followers.check_cursor(run, after):
            return EventPage([], after, True)
        events = await self._control.events(run, after=after, limit=limit, bytes_max=self._limits.page_bytes_max)
        if not events:
            return EventPage([], after, False)
        return EventPage(events, events[-1].seq, events[-1].type in END_TYPES)

    async def signal(self, request: Request) -> Response:
        """Send a signal."""
        run, name = _run(request), check_name("signal", request.path_params["name"])
        key, body = await self._told(request, SignalBody)
        await self._control.signal(run, name, body.payload, id=key)
        return reply(Accepted(run), 202)

    async def cancel(self, request: Request) -> Response:
        """Ask for cancellation."""
        run = _run(request)
        key, body = await self._told(request, CancelBody)
        await self._control.cancel(run, body.reason, id=key)
        return reply(Accepted(run), 202)

    async def resolve(self, request: Request) -> Response:
        """Say what became of a step in doubt."""
        run = _run(request)
        key, body = await self._told(request, ResolveBody)
        await self._control.resolve(run, body.step, body.how, body.value, body.message, id=key)
        return reply(Accepted(run), 202)

    async def redrive(self, request: Request) -> Response:
        """Send a held or quarantined run on its way again."""
        run = _run(request)
        key, _ = await self._told(request, RedriveBody)
        await self._control.redrive(run, id=key)
        return reply(Accepted(run), 202)

    async def _told(self, request: Request, kind: type[B]) -> tuple[str | None, B]:
        read_query(request, NoQuery)
        return idempotency_key(request), await read_body(request, kind, self._limits)


def _run(request: Request) -> str:
    return check_name("run", request.path_params["run"])


def _deadline(value: str | float | None) -> float | None:
    if value is None:
        return None
    try:
        found = seconds(value)
    except ConfigurationError as error:
        raise TypeMismatch(f"the body does not fit: {error} - at `$.deadline`") from None
    if found > deadline_max_s:
        bound = f"expected at most {deadline_max_s:g} s, the bound run_lifetime_max_s"
        raise TypeMismatch(f"the body does not fit: {bound} - at `$.deadline`")
    return found


def _last_event_id(request: Request, otherwise: int) -> int:
    values = request.headers.getlist("last-event-id")
    if not values or values == [""]:
        return otherwise
    text = values[0]
    if len(values) > 1 or not (text.isascii() and text.isdigit() and len(text) <= 16 and int(text) <= cursor_max):
        raise BadRequest("the Last-Event-ID is not an event's number: send the id of the last event that arrived")
    return int(text)
