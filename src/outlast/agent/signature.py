"""What an agent function takes and returns, as types, as JSON Schema, and as data."""

from __future__ import annotations

import inspect
from collections.abc import Callable
from typing import Any, cast

import msgspec

from outlast.agent.step import Step, hints_of, name_of
from outlast.kernel.codec import decode, encode, schema
from outlast.kernel.error import ConfigurationError, TypeMismatch


class Signature:
    """The parameters after the first one (the Run), and the result's type."""

    def __init__(self, agent: str, struct: type[msgspec.Struct], names: list[str], result: Any) -> None:
        self.agent = agent
        self.names = names
        self.result = result
        self._struct = struct

    @classmethod
    def of(cls, function: Callable[..., Any], agent: str) -> Signature:
        """Raises ConfigurationError for a function that cannot be an agent."""
        hints = hints_of(function)
        parameters = list(inspect.signature(function).parameters.values())
        if not parameters:
            raise ConfigurationError(
                f"agent {agent} takes no parameter: its first one must be the run (run: outlast.Run)"
            )
        fields: list[tuple[str, Any] | tuple[str, Any, Any]] = []
        for parameter in parameters[1:]:
            if parameter.kind in (parameter.VAR_POSITIONAL, parameter.VAR_KEYWORD):
                raise ConfigurationError(f"agent {agent} takes *{parameter.name}: name every parameter")
            hint = hints.get(parameter.name, Any)
            if parameter.default is parameter.empty:
                fields.append((parameter.name, hint))
            else:
                fields.append((parameter.name, hint, _default(parameter.default)))
        try:
            struct = msgspec.defstruct(f"{name_of(function)}_input", fields, kw_only=True, forbid_unknown_fields=True)
        except TypeError as error:
            raise ConfigurationError(f"agent {agent}: its parameters cannot be read from JSON: {error}") from None
        return cls(agent, struct, [parameter.name for parameter in parameters[1:]], hints.get("return", Any))

    def normalize(self, value: Any) -> bytes:
        """A JSON value as the JSON object of all arguments, checked and with defaults; raises TypeMismatch.

        An object whose keys are parameters gives them by name, an array by position, anything else is the first one.
        """
        what = f"input of agent {self.agent}"
        try:
            return encode(decode(encode(self._by_name(value), what), self._struct, what))
        except TypeMismatch:
            if not isinstance(value, dict):
                raise
        return encode(decode(encode(value, what), self._struct, what))  # names the key that is no parameter

    def _by_name(self, value: Any) -> dict[str, Any]:
        if isinstance(value, dict):
            named = cast("dict[str, Any]", value)
            if set(named) <= set(self.names) or len(self.names) != 1:
                return named
        if isinstance(value, list):
            values = cast("list[Any]", value)
            if len(values) > len(self.names):
                raise TypeMismatch(f"input of agent {self.agent} has {len(values)} values, it takes {self._takes()}")
            return dict(zip(self.names, values, strict=False))
        if value is None and not self.names:
            return {}
        if not self.names:
            raise TypeMismatch(f"agent {self.agent} takes no input, {type(cast('object', value)).__name__} was given")
        return {self.names[0]: value}

    def _takes(self) -> str:
        return f"{len(self.names)}: {', '.join(self.names)}" if self.names else "none"

    def bind(self, arguments: tuple[Any, ...], keywords: dict[str, Any]) -> bytes:
        """Python arguments as the JSON object of all arguments; raises TypeMismatch."""
        if len(arguments) > len(self.names):
            raise TypeMismatch(f"agent {self.agent} was called with {len(arguments)} values, it takes {self._takes()}")
        named = dict(zip(self.names, arguments, strict=False)) | keywords
        return encode(
            decode(encode(named, f"input of agent {self.agent}"), self._struct, f"input of agent {self.agent}")
        )

    def arguments(self, raw: bytes | msgspec.Raw) -> dict[str, Any]:
        """The recorded input as keyword arguments."""
        value = decode(raw, self._struct, f"input of agent {self.agent}")
        return {name: getattr(value, name) for name in self.names}

    def check_result(self, raw: bytes) -> None:
        """Raises TypeMismatch if an encoded result does not fit the annotation."""
        if self.result is not Any:
            decode(raw, self.result, f"result of agent {self.agent}")

    def child_step(self, agent: str) -> Step:
        """The step that calls this agent from another one."""
        return Step(name=f"agent:{agent}", kind="child", effect="idempotent", function=_not_called, result=self.result)

    def input_schema(self) -> dict[str, Any]:
        return schema(self._struct)

    def output_schema(self) -> dict[str, Any]:
        return {} if self.result is Any else schema(self.result)


def _default(value: Any) -> Any:
    if isinstance(value, (list, dict, set, bytearray)):
        return msgspec.field(default_factory=lambda: cast("Any", value).copy())
    return value


def _not_called() -> None:
    return None
