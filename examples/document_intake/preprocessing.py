"""Makes plain text of a document: ``python preprocessing.py [PORT]``.

``POST /text`` takes a document as HTML (or as text) and gives its text, its pages and a digest of the text.
"""

from __future__ import annotations

import sys
from html.parser import HTMLParser

from aiohttp import web
from rules import Text, text_of
from serving import serve

HIDDEN = ("script", "style", "head")
BLOCKS = ("p", "div", "tr", "li", "h1", "h2", "h3", "br", "table")


class Reader(HTMLParser):
    """Text as a person would read it: entities resolved, nothing hidden, a line for each block."""

    def __init__(self) -> None:
        super().__init__(convert_charrefs=True)
        self.pages = [""]
        self._hidden = 0

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        if tag in HIDDEN:
            self._hidden += 1
        elif tag == "hr" and ("class", "page") in attrs:
            self.pages.append("")
        elif tag in BLOCKS:
            self.pages[-1] += "\n"

    def handle_endtag(self, tag: str) -> None:
        if tag in HIDDEN:
            self._hidden = max(0, self._hidden - 1)

    def handle_data(self, data: str) -> None:
        if not self._hidden:
            self.pages[-1] += data


def read(raw: str) -> Text:
    reader = Reader()
    reader.feed(raw)
    reader.close()
    return text_of(reader.pages)


async def text(request: web.Request) -> web.Response:
    found = read((await request.read()).decode("utf-8", "replace"))
    return web.json_response({"text": found.text, "pages": found.pages, "digest": found.digest})


if __name__ == "__main__":
    serve([web.post("/text", text)], int(sys.argv[1]) if len(sys.argv) > 1 else 8772)
