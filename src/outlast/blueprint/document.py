"""YAML within bounds: text in, a tree of nodes with lines and columns out, nothing constructed from it."""

from __future__ import annotations

import difflib
from collections.abc import Iterable
from typing import Any, NoReturn

import yaml
from yaml.composer import Composer
from yaml.resolver import Resolver

from outlast.kernel.error import ConfigurationError

_libyaml: Any = getattr(yaml, "cyaml", None)
"""libyaml, where PyYAML was built with it."""

yaml_bytes_max = 1024 * 1024
"""Bound of the file: 1 MiB."""
yaml_depth_max = 20
"""Bound of nesting."""
yaml_nodes_max = 100_000
"""Bound of keys and values in the file."""
yaml_aliases_max = 100
"""Bound of ``*alias`` uses."""
known_words_max = 40
"""Bound of the names that an error lists."""


class Document:
    """One file's tree, and the errors that point into it."""

    def __init__(self, file: str, raw: bytes) -> None:
        """Parse `raw`; `file` is the name that errors show. Raises ConfigurationError."""
        self.file = file
        self.root: yaml.Node | None = self._compose(raw)

    def refuse(self, node: yaml.Node, message: str) -> NoReturn:
        """Raise ConfigurationError that points at `node`: ``outlast.yaml:12:5: …``."""
        self.refuse_at(node.start_mark.line + 1, node.start_mark.column + 1, message)

    def refuse_at(self, line: int, column: int, message: str) -> NoReturn:
        """Raise ConfigurationError that points at a line and column, both counted from 1."""
        raise ConfigurationError(f"{self.file}:{line}:{column}: {message}")

    def _compose(self, raw: bytes) -> yaml.Node | None:
        if len(raw) > yaml_bytes_max:
            raise ConfigurationError(f"{self.file} is larger than yaml_bytes_max, {yaml_bytes_max} bytes: shorten it")
        try:
            text = raw.decode("utf-8-sig")
        except UnicodeDecodeError as error:
            line = raw.count(b"\n", 0, error.start) + 1
            raise ConfigurationError(f"{self.file}:{line}: not UTF-8 text: save the file as UTF-8") from None
        try:
            return _Tree(_events(text)).get_single_node()
        except _BoundPassed as error:
            raise ConfigurationError(f"{self.file}:{error.line}: {error.message}") from None
        except yaml.MarkedYAMLError as error:
            # Not the snippet that PyYAML offers: the line may hold a secret.
            found = "; ".join(part for part in (error.context, error.problem) if part)
            place = _place(error.problem_mark)
            raise ConfigurationError(f"{self.file}{place}: not valid YAML: {_plain(found)}") from None
        except yaml.reader.ReaderError as error:
            line = text.count("\n", 0, error.position) + 1
            raise ConfigurationError(
                f"{self.file}:{line}: not valid YAML: the character U+{error.character:04X} is not text"
            ) from None


def nearest(word: str, known: Iterable[str]) -> str | None:
    """The known word most like `word`, if any is like it."""
    found = difflib.get_close_matches(word[:64], list(known), n=1, cutoff=0.6)
    return found[0] if found else None


def did_you_mean(word: str, known: Iterable[str]) -> str:
    """The nearest known word, and those that there are."""
    words = list(known)
    near = nearest(word, words)
    more = ", …" if len(words) > known_words_max else ""
    everything = (", ".join(words[:known_words_max]) or "none") + more
    return f"did you mean {near!r}? (known: {everything})" if near else f"known: {everything}"


class _BoundPassed(Exception):
    def __init__(self, message: str, line: int) -> None:
        super().__init__(message)
        self.message = message
        self.line = line


def _events(text: str) -> Any:
    """What reads `text`; libyaml does it five times as fast as Python."""
    return yaml.SafeLoader(text) if _libyaml is None else _libyaml.CParser(text)


class _Tree(Composer, Resolver):
    """Makes nodes of events and bounds them while they grow, before anything could expand them."""

    def __init__(self, events: Any) -> None:
        Composer.__init__(self)
        Resolver.__init__(self)
        self.check_event: Any = events.check_event
        self.get_event: Any = events.get_event
        self.peek_event: Any = events.peek_event
        self._depth = self._nodes = self._aliases = 0

    def compose_node(self, parent: yaml.Node | None, index: int) -> yaml.Node | None:
        """As the parent class; called for every key and value."""
        self._nodes += 1
        self._aliases += self.check_event(yaml.AliasEvent)
        self._depth += 1
        for found, bound, name in (
            (self._depth, yaml_depth_max, "yaml_depth_max"),
            (self._nodes, yaml_nodes_max, "yaml_nodes_max"),
            (self._aliases, yaml_aliases_max, "yaml_aliases_max"),
        ):
            if found > bound:
                line = self.peek_event().start_mark.line + 1
                raise _BoundPassed(f"more than {name}, {bound}: write it flatter and shorter", line)
        node = super().compose_node(parent, index)
        self._depth -= 1
        return node


def _place(mark: yaml.Mark | None) -> str:
    return f":{mark.line + 1}:{mark.column + 1}" if mark is not None else ""


_PLAINER = {
    "'\\t'": "a tab",
    "cannot start any token": "cannot stand here (indent with spaces)",
    "exceeded maximum nesting depth": f"more than yaml_depth_max, {yaml_depth_max}",
}
"""What the parsers say, and what is said here."""


def _plain(message: str) -> str:
    for said, plainer in _PLAINER.items():
        message = message.replace(said, plainer)
    return message
