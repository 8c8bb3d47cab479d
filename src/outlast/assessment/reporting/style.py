"""The look of the report: a column that fits a phone, two colour schemes, and print."""

from __future__ import annotations

from outlast.assessment.drawing.theme import font
from outlast.assessment.drawing.theme import style as picture

_LIGHT = {
    "paper": "#ffffff",
    "ink": "#1b2129",
    "dim": "#515b67",
    "rim": "#d3dae1",
    "soft": "#f3f6f9",
    "link": "#0b5cad",
    "good": "#0b6b3a",
    "good-fill": "#e2f5e9",
    "bad": "#b3202c",
    "bad-fill": "#fde7e7",
}
_DARK = {
    "paper": "#12161b",
    "ink": "#e8ecf1",
    "dim": "#a9b4c0",
    "rim": "#333d48",
    "soft": "#1a2027",
    "link": "#84bdf7",
    "good": "#6fd39b",
    "good-fill": "#12351f",
    "bad": "#ff8b8b",
    "bad-fill": "#45181c",
}


def _variables(colours: dict[str, str]) -> str:
    return ":root { " + "; ".join(f"--{name}: {value}" for name, value in colours.items()) + " }"


_RULES = f"""
{_variables(_LIGHT)}
@media (prefers-color-scheme: dark) {{ {_variables(_DARK)} }}
* {{ box-sizing: border-box }}
body {{
  margin: 0; background: var(--paper); color: var(--ink); font: 16px/1.5 {font}; overflow-wrap: anywhere
}}
header, main, footer {{ max-width: 72rem; margin: 0 auto; padding: 0 1rem }}
header {{ padding-top: 1.5rem }}
h1 {{ font-size: 1.75rem; line-height: 1.2; margin: 0 0 .25rem }}
h2 {{ font-size: 1.3rem; margin: 2.5rem 0 .5rem; padding-top: .75rem; border-top: 1px solid var(--rim) }}
h3 {{ font-size: 1.05rem; margin: 1.25rem 0 .4rem }}
p {{ margin: .4rem 0 }}
a {{ color: var(--link) }}
nav ul {{
  display: flex; flex-wrap: wrap; gap: .25rem 1.25rem; padding: 0; margin: 1rem 0 0; list-style: none
}}
nav a {{ display: inline-block; padding: .25rem 0 }}
.quiet {{ color: var(--dim); font-size: .9rem }}
.verdict {{ font-size: 1.15rem; margin: .75rem 0 }}
.tiles {{
  display: grid; grid-template-columns: repeat(auto-fit, minmax(9rem, 1fr)); gap: .75rem; padding: 0;
  margin: 1rem 0; list-style: none
}}
.tiles li {{
  background: var(--soft); border: 1px solid var(--rim); border-radius: .5rem; padding: .6rem .8rem
}}
.tiles strong {{ display: block; font-size: 1.6rem; line-height: 1.2 }}
.chip {{
  display: inline-block; padding: 0 .5rem; border: 1px solid currentColor; border-radius: 1rem;
  font-size: .85rem; font-weight: 600; white-space: nowrap; overflow-wrap: normal
}}
.good {{ color: var(--good); background: var(--good-fill) }}
.fair {{ color: var(--good) }}
.plain {{ color: var(--dim) }}
.down {{ color: var(--ol-down); background: var(--ol-down-fill) }}
.interrupted {{ color: var(--ol-interrupted); background: var(--ol-interrupted-fill) }}
.waiting {{ color: var(--ol-waiting); background: var(--ol-waiting-fill) }}
.degraded {{ color: var(--ol-degraded); background: var(--ol-degraded-fill) }}
.weakened {{ color: var(--ol-weakened); background: var(--ol-weakened-fill) }}
summary {{ cursor: pointer; padding: .4rem 0; margin-left: 1.1rem; list-style-position: outside }}
summary:focus-visible, .scroll:focus-visible, a:focus-visible {{
  outline: 3px solid var(--link); outline-offset: 2px
}}
.rows {{ border: 1px solid var(--rim); border-radius: .5rem; overflow: hidden }}
.promise {{ padding: 0 .8rem; border-top: 1px solid var(--rim) }}
.promise:first-child {{ border-top: 0 }}
.promise[open] {{ background: var(--soft); padding-bottom: .6rem }}
.promise > summary > span {{ display: inline-block; margin-right: 1rem; min-width: 8.5rem; vertical-align: baseline }}
.promise > summary > span.chip {{ min-width: 0 }}
.promise .what {{ font-weight: 600; min-width: 15rem }}
.missed {{ box-shadow: inset 4px 0 0 var(--bad) }}
.findings {{ padding: 0; margin: 0; list-style: none }}
.findings > li {{
  border: 1px solid var(--rim); border-radius: .5rem; padding: .2rem .9rem .6rem; margin: .75rem 0
}}
dl {{ display: grid; grid-template-columns: max-content 1fr; gap: .15rem .8rem; margin: .5rem 0 }}
dt {{ color: var(--dim); font-size: .9rem }}
dd {{ margin: 0; min-width: 0 }}
code, pre {{
  font-family: ui-monospace, SFMono-Regular, Menlo, Consolas, "DejaVu Sans Mono", monospace;
  font-size: .85em
}}
pre {{
  margin: 0; padding: .6rem .8rem; line-height: 1.45; width: max-content; min-width: 100%;
  overflow-wrap: normal
}}
.scroll {{ overflow-x: auto; max-width: 100%; margin: .4rem 0 }}
.patch {{ background: var(--paper); border: 1px solid var(--rim); border-radius: .4rem }}
.added {{ color: var(--good); background: var(--good-fill) }}
.removed {{ color: var(--bad); background: var(--bad-fill) }}
table {{ border-collapse: collapse; font-size: .9rem; min-width: min(100%, 30rem) }}
th, td {{
  text-align: left; vertical-align: top; padding: .3rem .8rem .3rem 0;
  border-bottom: 1px solid var(--rim); font-weight: 400; overflow-wrap: normal
}}
thead th {{ color: var(--dim) }}
.drawing {{ border: 1px solid var(--rim); border-radius: .5rem; background: var(--ol-paper) }}
.drawing svg {{ display: block }}
ul {{ padding-left: 1.25rem }}
footer {{ padding-top: 2rem; padding-bottom: 2rem }}
@media (max-width: 40rem) {{ .promise .what {{ display: block; min-width: 0 }} dl {{ grid-template-columns: 1fr }} }}
@media print {{
  {_variables(_LIGHT)}
  body {{ font-size: 10pt }}
  nav {{ display: none }}
  tr, summary {{ break-inside: avoid }}
  h2, h3 {{ break-after: avoid }}
  .scroll {{ overflow: visible }}
  .drawing svg {{ max-width: 100%; height: auto; max-height: 24cm }}
  pre, table {{ width: auto; white-space: pre-wrap; overflow-wrap: anywhere }}
  details::details-content {{ content-visibility: visible; display: block; height: auto }}
  * {{ print-color-adjust: exact; -webkit-print-color-adjust: exact }}
}}
"""
style = _RULES + picture
"""One style sheet for the page and the drawing; chips and boxes of one state have one colour."""
