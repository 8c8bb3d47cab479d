"""Values to JSON and back, the same way live and in replay. No pickle, nothing executed from data.

msgspec does the work for builtins, dataclasses, enums, datetimes, msgspec structs and attrs classes; pydantic models
are recognised by their methods, so that pydantic is never imported here.
"""

from __future__ import annotations

from typing import Any, TypeVar, cast

import msgspec

from outlast.kernel.error import PayloadTooLarge, TypeMismatch

T = TypeVar("T")

payload_bytes_max = 16 * 1024 * 1024
"""Bound of one encoded value: 16 MiB."""


def _enc_hook(value: Any) -> Any:
    dump = getattr(value, "model_dump", None)
    if dump is not None and not isinstance(value, type):
        return dump(mode="json")
    raise NotImplementedError(f"objects of type {type(value).__qualname__} have no JSON form")


def _dec_hook(kind: type[Any], value: Any) -> Any:
    validate = getattr(kind, "model_validate", None)
    if validate is not None:
        return validate(value)
    raise NotImplementedError(f"type {kind.__qualname__} cannot be read from JSON")


_encoder = msgspec.json.Encoder(enc_hook=_enc_hook)
_decoders: dict[Any, msgspec.json.Decoder[Any]] = {}
_decoders_max = 4096


def encode(value: Any, what: str = "value", limit: int = payload_bytes_max) -> bytes:
    """`value` as JSON bytes. Raises TypeMismatch if it has no JSON form, PayloadTooLarge above `limit` bytes."""
    try:
        raw = _encoder.encode(value)
    except Exception as error:  # noqa: BLE001 # a model's own dump is user code: it may raise anything
        raise TypeMismatch(
            f"{what} cannot be recorded: {error}; return JSON types, dataclasses, msgspec structs or pydantic models"
        ) from None
    if len(raw) > limit:
        raise PayloadTooLarge(
            f"{what} is {len(raw)} bytes, the bound payload_bytes_max is {limit}: store it elsewhere, pass a reference"
        )
    return raw


def decode(raw: bytes | msgspec.Raw, kind: type[T] | Any = Any, what: str = "value") -> T:
    """JSON bytes as `kind`. Raises TypeMismatch that says where the value does not fit."""
    try:
        decoder = _decoders[kind]
    except (KeyError, TypeError):
        try:
            decoder = msgspec.json.Decoder(kind, dec_hook=_dec_hook)
        except (TypeError, NotImplementedError) as error:
            raise TypeMismatch(f"{what} is annotated {kind!r}, which cannot be read from JSON: {error}") from None
        if len(_decoders) < _decoders_max:
            try:
                _decoders[kind] = decoder
            except TypeError:  # an unhashable annotation is decoded without the cache
                pass
    try:
        value: T = decoder.decode(raw)
        return value
    except RecursionError:
        raise TypeMismatch(f"{what} is nested too deeply") from None
    except Exception as error:  # noqa: BLE001 # a type's own checks are user code: they may raise anything
        raise TypeMismatch(f"{what} does not fit {getattr(kind, '__name__', kind)}: {error}") from None


def schema(kind: Any) -> dict[str, Any]:
    """The JSON Schema of a type, pydantic models included."""

    def hook(inner: type[Any]) -> dict[str, Any]:
        make = getattr(inner, "model_json_schema", None)
        if make is None:
            raise NotImplementedError(f"type {inner!r} has no JSON schema")
        return cast("dict[str, Any]", make())

    if hasattr(kind, "model_json_schema"):
        return cast("dict[str, Any]", kind.model_json_schema())
    return msgspec.json.schema(kind, schema_hook=hook)
