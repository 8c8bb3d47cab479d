"""What stands in the box of a component: sign, name, what it is, how often it is there or what happens to it."""

from __future__ import annotations

from outlast.assessment.arithmetic import time_text
from outlast.assessment.component import Component, Site
from outlast.assessment.drawing import icon
from outlast.assessment.drawing.layout import Box
from outlast.assessment.drawing.lettering import fitted, width
from outlast.assessment.drawing.markup import Markup, element
from outlast.assessment.impact import State, Touch

name_size = 13.0
small_size = 11.0
_name_x = 32.0
_text_x = 10.0
_wide_min, _wide_max = 168.0, 268.0
_pill_height = 16.0


def box_width(components: list[Component]) -> float:
    """Wide enough for the longest name and line, within bounds."""
    names = [_name_x + width(component.name, name_size, bold=True) for component in components]
    lines = [_text_x + width(redundancy(component), small_size, bold=True) for component in components]
    return min(max([_wide_min, *(room + 12 for room in names + lines)]), _wide_max)


def redundancy(component: Component) -> str:
    """How often it is there: ``×6, 5 needed · standby ×6``."""
    if not component.sites:
        return "one of its endpoints" if component.kind == "model" else "outside of our regions"
    serving = [site for site in component.sites if not site.standby]
    standby = [site for site in component.sites if site.standby]
    said = _count(serving) if serving else ""
    if standby:
        running = min(site.running for site in standby)
        there = "launched there" if running <= 0 else f"standby {running:.0%}" if running < 1 else "standby"
        said += (" · " if said else "") + there
    return said


def _count(sites: list[Site]) -> str:
    first = sites[0]
    if not first.zones:
        return "regional service"
    each = "" if len(sites) == 1 else " in each region"
    spare = f", {first.needed} needed" if first.instances > 1 else ""
    return f"×{first.instances}{spare}{each}"


def is_alone(component: Component) -> bool:
    """Whether the loss of one instance is felt: none is to spare where it serves."""
    return any(site.zones and site.instances <= site.needed for site in component.sites if not site.standby)


def happening(touch: Touch) -> str:
    """What happens to a component: ``down after 4s, for 1h``."""
    said = touch.state.word
    if touch.step:
        said += f" after {time_text(touch.after_s)}" if touch.after_s else " at once"
    if touch.state in (State.DOWN, State.INTERRUPTED, State.WAITING) and touch.until_s:
        said += ", no end in sight" if touch.until_s == float("inf") else f", for {time_text(touch.until_s)}"
    return said


def card(component: Component, box: Box, touch: Touch | None, mark: str, *, calm: bool) -> Markup:
    """The box. `mark` stands in a pill on its upper edge; `calm`: others are what the drawing is about."""
    room = box.width - _text_x - 8
    what = " · ".join(dict.fromkeys(filter(None, (component.kind, component.technology))))
    third = happening(touch) if touch is not None else redundancy(component)
    weak = touch is None and is_alone(component) and not calm
    third_class = "ol-small ol-mark" if touch is not None else "ol-small ol-weak" if weak else "ol-small"
    name = fitted(component.name, box.width - _name_x - 8, name_size, bold=True)
    children = [
        element("title", title(component, touch)),
        element("rect", class_="ol-box", x=box.x, y=box.y, width=box.width, height=box.height, rx=6),
        element(
            "path",
            class_="ol-icon",
            d=icon.path(icon.family(component.kind)),
            transform=f"translate({box.x + 10:.1f} {box.y + 8:.1f})",
        ),
        element("text", name, class_="ol-name", x=box.x + _name_x, y=box.y + 21),
        element("text", fitted(what, room, small_size), class_="ol-small", x=box.x + _text_x, y=box.y + 37),
        element(
            "text", fitted(third, room, small_size, bold=True), class_=third_class, x=box.x + _text_x, y=box.y + 51
        ),
    ]
    if mark:
        children.append(_pill(mark, box))
    state = f" ol-{touch.state.word}" if touch is not None else " ol-calm" if calm else ""
    return element("g", *children, class_=f"ol-card{state}")


def _pill(text: str, box: Box) -> Markup:
    wide = width(text, small_size, bold=True) + 12
    x, y = box.x + box.width - wide - 8, box.y - _pill_height / 2
    rect = element("rect", class_="ol-pill", x=x, y=y, width=wide, height=_pill_height, rx=_pill_height / 2)
    return element("g", rect, element("text", text, class_="ol-pill-text", x=x + wide / 2, y=y + 12))


def title(component: Component, touch: Touch | None) -> str:
    """Everything about a component that is worth saying, line by line; browsers show it under the pointer."""
    lines = [f"{component.name}: {' on '.join(dict.fromkeys(filter(None, (component.kind, component.technology))))}"]
    if touch is not None:
        lines.append(f"{happening(touch)}: {touch.why}")
    for site in component.sites:
        zones = f" in {', '.join(site.zones)}" if site.zones else ", a regional service"
        standing = f", standby with {site.running:.0%} running" if site.standby else ""
        count = f"{site.instances} instance{'s' * (site.instances != 1)}, {site.needed} needed"
        lines.append(f"{site.region}: {count}{zones}{standing}")
    if component.data:
        lines.append(f"data: {component.data}")
    if component.on_loss:
        lines.append(f"without it: {component.on_loss}")
    if str(component.place):
        lines.append(
            f"in the file: {component.place}" + (f", line {component.place.line}" if component.place.line else "")
        )
    return "\n".join(lines)
