"""What the sections of the report are made of: headings, tables that scroll by themselves, sums that unfold."""

from __future__ import annotations

import datetime as dt
from collections.abc import Iterable, Sequence

from outlast.assessment.arithmetic import Line, share_text, time_text
from outlast.assessment.drawing.markup import Markup, element, escaped, joined
from outlast.assessment.promise import Promise

nothing = Markup()


def section(name: str, heading: str, *children: str) -> Markup:
    """One section; `name` is where links lead."""
    return element(
        "section", element("h2", heading, id=f"{name}-heading"), *children, id=name, aria_labelledby=f"{name}-heading"
    )


def paragraph(*children: str, quiet: bool = False) -> Markup:
    """A paragraph; a quiet one steps back."""
    return element("p", *children, class_="quiet" if quiet else None)


def chip(text: str, look: str) -> Markup:
    """A word that stands out. `look` is a colour's class; the word says it too."""
    return element("span", text, class_=f"chip {look}")


def unfolding(summary: Iterable[str], *children: str, look: str | None = None) -> Markup:
    """A line that opens."""
    return element("details", element("summary", *summary), *children, class_=look)


def scrolling(label: str, child: Markup, look: str = "scroll") -> Markup:
    """What may be wider than the page scrolls in a frame of its own, also by keyboard."""
    return element("div", child, class_=look, tabindex=0, role="region", aria_label=label)


def table(label: str, headings: Sequence[str], rows: Iterable[Sequence[str]]) -> Markup:
    """A table whose first cell of each row is its heading."""
    head = element("tr", *(element("th", heading, scope="col") for heading in headings))
    body = [
        element("tr", *(element("td", cell) if i else element("th", cell, scope="row") for i, cell in enumerate(row)))
        for row in rows
    ]
    return scrolling(label, element("table", element("thead", head), element("tbody", *body)))


def sum_of(label: str, lines: Sequence[Line]) -> Markup:
    """The lines of a sum, each with where its number comes from."""
    if not lines:
        return nothing
    rows = [(line.text, line.value, origin(line) if line.value else "") for line in lines]
    return table(label, ("part", "value", "where the number comes from"), rows)


def origin(line: Line) -> str:
    """``declared: regions.edge.probe``."""
    return f"{line.source}: {line.reference}" if line.reference else line.source


def bullets(items: Iterable[str]) -> Markup:
    """A list."""
    return element("ul", *(element("li", item) for item in items))


def prose(text: str) -> Markup:
    """A sentence, with what stands between backticks as code."""
    return joined([code(part) if i % 2 else escaped(part) for i, part in enumerate(text.split("`"))])


def code(text: str) -> Markup:
    """Words of a file or of a command."""
    return element("code", text)


def date_of(at: float) -> str:
    """Seconds since 1970 as a day and minute in UTC."""
    return dt.datetime.fromtimestamp(at, dt.UTC).strftime("%Y-%m-%d %H:%M UTC")


def amount(promise: Promise, value: float | None) -> str:
    """What was promised or estimated, with its unit."""
    if value is None:
        return "all of it" if promise.measure == "rpo" else "never"
    return share_text(value) if promise.measure == "availability" else time_text(round(value, 1))


def listed(parts: Iterable[Markup]) -> Markup:
    """One after the other, with a space between."""
    return joined(list(parts), " ")
