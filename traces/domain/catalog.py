"""The catalog of event types: finds the files of `traces.domain.events`, validates, upcasts."""

from __future__ import annotations

import importlib
import pkgutil
from collections.abc import Mapping
from functools import cache
from types import MappingProxyType
from typing import Any, Literal, NamedTuple

from pydantic import ValidationError
from pydantic.json_schema import GenerateJsonSchema, JsonSchemaMode, JsonSchemaValue
from pydantic_core import SchemaValidator

from traces.domain import events
from traces.domain.envelope import INGEST_TYPES, PLATFORM_TYPES
from traces.domain.events._values import Upcasters, Value
from traces.domain.violations import Violation, spell


class EventType(NamedTuple):
    """One event type."""

    name: str
    model: type[Value]
    """Its payload."""
    example: dict[str, Any]
    """A valid payload."""
    doc: str
    origin: Literal["ingest", "platform"]
    """Who may write it: clients (and the platform too), or the platform alone."""
    schema_version: int
    """The version `model` describes; older payloads are lifted to it by `upcasters`."""
    upcasters: Upcasters


def _load() -> dict[str, EventType]:
    found: dict[str, EventType] = {}
    for module_info in pkgutil.iter_modules(events.__path__):
        if module_info.name.startswith("_"):
            continue
        module = importlib.import_module(f"{events.__name__}.{module_info.name}")
        name = "".join(word.title() for word in module_info.name.split("_"))
        model: type[Value] = module.Payload
        upcasters: Upcasters = module.UPCASTERS
        found[name] = EventType(
            name=name,
            model=model,
            example=module.EXAMPLE,
            doc=" ".join((model.__doc__ or "").split()),
            origin="platform" if name in PLATFORM_TYPES else "ingest",
            schema_version=max(upcasters, default=0) + 1,
            upcasters=upcasters,
        )
    order = (*INGEST_TYPES, *PLATFORM_TYPES)
    strangers = found.keys() ^ set(order)
    if strangers:
        raise ImportError(
            f"Files of {events.__name__} and the names in traces.domain.envelope differ: {sorted(strangers)}"
        )
    return {name: found[name] for name in order}


CATALOG: Mapping[str, EventType] = MappingProxyType(_load())
"""Every event type by name, in the order of the published vocabulary, then the platform's own."""

_VALIDATORS = {name: entry.model.__pydantic_validator__ for name, entry in CATALOG.items()}


def _checking(schema: Any) -> Any:
    """A model's core schema as one that only checks: the same answer, and no instance made for it.

    Knows exactly the kinds of schema that payloads are made of; another one stops the start, so that
    nobody adds a validator that this would leave out.
    """
    match schema["type"]:
        case "definitions":
            return {
                **schema,
                "schema": _checking(schema["schema"]),
                "definitions": [_checking(inner) for inner in schema["definitions"]],
            }
        case "model":
            if schema.get("custom_init") or schema.get("root_model") or schema.get("post_init"):
                raise TypeError(f"{schema['cls'].__name__} does more than hold fields")
            return _checking(schema["schema"])
        case "model-fields":
            fields = {}
            for name, field in schema["fields"].items():
                inner = field["schema"]
                optional = inner["type"] == "default"
                fields[name] = {
                    "type": "typed-dict-field",
                    "schema": _checking(inner["schema"] if optional else inner),
                    "required": not optional,
                }
            return {"type": "typed-dict", "fields": fields, "extra_behavior": "ignore", "config": {"strict": True}}
        case "nullable":
            return {**schema, "schema": _checking(schema["schema"])}
        case "list" if "items_schema" in schema:
            return {**schema, "items_schema": _checking(schema["items_schema"])}
        case "list" | "any" | "bool" | "dict" | "int" | "str" | "literal" | "definition-ref":
            return schema
    raise TypeError(f"a payload cannot hold a schema of the kind {schema['type']!r}")


_CHECKS = {name: SchemaValidator(_checking(entry.model.__pydantic_core_schema__)) for name, entry in CATALOG.items()}
"""Accepts what `_VALIDATORS` accepts in a fifth of the time; says no more than yes or no."""


class _Dialect(GenerateJsonSchema):
    """Says which draft the schema is written in."""

    def generate(self, schema: Any, mode: JsonSchemaMode = "validation") -> JsonSchemaValue:
        made = super().generate(schema, mode)
        return {"$schema": self.schema_dialect, **made}


@cache
def json_schema(name: str) -> dict[str, Any]:
    """The JSON Schema (2020-12) of the payload of an event type; KeyError for an unknown one."""
    made = CATALOG[name].model.model_json_schema(schema_generator=_Dialect)
    return {**made, "title": name}


def validate_payload(event_type: str, payload: Any, path: str = "payload") -> list[Violation]:
    """Every violation of the payload of a known event type, each with its path; empty when valid."""
    if _CHECKS[event_type].isinstance_python(payload):
        return []
    try:
        _VALIDATORS[event_type].validate_python(payload)
    except ValidationError as error:
        return [
            _violation(spell(found["loc"], path), found["type"], found["msg"])
            for found in error.errors(include_url=False, include_context=False, include_input=False)
        ]
    return []


def _violation(path: str, kind: str, message: str) -> Violation:
    if kind == "missing":
        return Violation(path, "payload.missing_key", "This key is required. Add it.")
    said = message.removeprefix("Input should be ").rstrip(".")
    if kind in ("model_type", "dict_type"):
        said = "an object"
    if kind in ("literal_error", "enum"):
        return Violation(path, "payload.not_allowed", f"The value must be {said}.")
    if kind in ("greater_than_equal", "less_than_equal"):
        return Violation(path, "payload.out_of_range", f"The value must be {said}.")
    return Violation(path, "payload.wrong_type", f"The value must be {said}; nothing is converted.")


def upcast(event_type: str, version: int, payload: dict[str, Any]) -> dict[str, Any]:
    """The payload in the shape of the current schema version. A newer or unknown one stays as it is."""
    entry = CATALOG.get(event_type)
    if entry is None:
        return payload
    for step in range(version, entry.schema_version):
        lift = entry.upcasters.get(step)
        if lift is not None:
            payload = lift(payload)
    return payload
