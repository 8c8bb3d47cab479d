"""Follows a run on the screen until there is nothing more to see."""

from __future__ import annotations

from typing import Any

from outlast.cli.output import console, logged_if_it_can_be, note, width_of
from outlast.cli.remote import Remote
from outlast.cli.story import Teller

_waits_for_a_person = frozenset(("held", "quarantined"))


class Watch:
    """One followed run: its events as they were seen, and how it stood in the end."""

    def __init__(self, access: Remote, run: str) -> None:
        self.run = run
        self.events: list[dict[str, Any]] = []
        self.view: dict[str, Any] = {}
        self._access = access

    def to_end(self) -> None:
        """Show each event on standard error as it is recorded; returns when the run has ended or waits for a person.

        A run that continued in another one is followed there.
        """
        while True:
            continued = self._one()
            if continued is None:
                break
            self.run = continued
        self.view = self._access.view(self.run)

    def _one(self) -> str | None:
        screen = console(stderr=True)
        teller = Teller(width_of(screen))
        for event in self._access.follow(self.run):
            self.events.append(event)
            line = teller.line(event)
            if line is not None:
                with logged_if_it_can_be():
                    screen.print(line, soft_wrap=True)
            kind, data = event["type"], event["data"]
            if kind == "run.continued":
                note(f"run {data['run']}")
                return str(data["run"])
            if kind == "signal.awaited":
                note(f"  send it with: outlast signal {self.run} {data['name']} JSON")
            # Other branches may still go on after a hold: then the run is not held yet, and there is more to see.
            stands = kind in ("run.held", "run.quarantined", "run.parked")
            if stands and self._access.view(self.run)["state"] in _waits_for_a_person:
                return None
        return None
