"""Holds real responses against the OpenAPI document of the server that gave them."""

from __future__ import annotations

import json
import re
from collections.abc import Mapping
from typing import Any

from jsonschema import Draft202012Validator
from referencing import Registry, Resource
from referencing.jsonschema import DRAFT202012

_URI = "urn:document"


class Contract:
    """One document."""

    def __init__(self, document: Any) -> None:
        self.document = document
        resource = Resource.from_contents(document, default_specification=DRAFT202012)
        self._registry = Registry().with_resource(_URI, resource)
        self._paths = [
            (re.compile(re.sub(r"\\{[a-z]+\\}", "[^/]+", re.escape(path)) + r"\Z"), path)
            for path in sorted(document["paths"], key=lambda path: path.count("{"))
        ]

    def operation(self, method: str, path: str) -> Any:
        """The operation that describes a request; None if the document has no such path or method."""
        for pattern, template in self._paths:
            if pattern.match(path):
                return self.document["paths"][template].get("get" if method == "HEAD" else method.lower())
        return None

    def fits(self, schema: Any, value: Any) -> bool:
        return not list(self._validator(schema).iter_errors(value))

    def check(self, method: str, path: str, status: int, headers: Mapping[str, str], body: bytes) -> None:
        """Fail if this response is not what the document says."""
        operation = self.operation(method, path.partition("?")[0])
        if operation is None:
            assert status >= 400, f"{method} {path} was answered {status} and is not in the document"
            return
        response = operation["responses"].get(str(status), operation["responses"]["default"])
        if str(status) not in operation["responses"]:
            assert status >= 400, f"{method} {path} was answered {status}, which the document does not name"
        for name, header in response.get("headers", {}).items():
            self._validate(header["schema"], headers[name])
        media = headers.get("content-type", "").partition(";")[0]
        content = response.get("content")
        if content is None:
            assert body == b""
            return
        assert media in content, f"{method} {path} was answered {status} {media}; the document has {list(content)}"
        if media.endswith("json") and method != "HEAD":
            self._validate(content[media]["schema"], json.loads(body))

    def _validate(self, schema: Any, value: Any) -> None:
        self._validator(schema).validate(value)

    def _validator(self, schema: Any) -> Draft202012Validator:
        return Draft202012Validator(_absolute(schema), registry=self._registry)


def _absolute(schema: Any) -> Any:
    """The schema with its references made into the document's."""
    if isinstance(schema, dict):
        return {
            key: _URI + value
            if key == "$ref" and isinstance(value, str) and value.startswith("#")
            else _absolute(value)
            for key, value in schema.items()
        }
    return [_absolute(item) for item in schema] if isinstance(schema, list) else schema
