"""JSON objects as frozen values that lose nothing: what fits no field is in ``extra``."""

from collections.abc import Mapping
from datetime import UTC, datetime
from functools import cache
from types import UnionType
from typing import Any, Self, Union, get_args, get_origin

import msgspec
from msgspec.structs import FieldInfo


class Resource(msgspec.Struct, frozen=True, kw_only=True):
    """An object of the API. An optional field that cannot be read keeps its default."""

    #: What fits no field: keys that are not documented, and values of another type than documented.
    extra: dict[str, Any] = {}
    #: The object as it was received.
    raw: dict[str, Any] = {}

    @classmethod
    def from_payload(cls, payload: Any) -> Self:
        """Read a JSON object; raises msgspec.ValidationError when a required field cannot be read."""
        if not isinstance(payload, Mapping):
            raise msgspec.ValidationError(f"{cls.__name__} is not an object")
        values, extra = _sort_out(cls, payload)
        return cls(**values, extra=extra, raw=dict(payload))

    def __repr__(self) -> str:
        shown = ((field.name, getattr(self, field.name)) for field in _fields(type(self)).values())
        return f"{type(self).__name__}({', '.join(f'{name}={value!r}' for name, value in shown)})"


def _sort_out(cls: type[Resource], payload: Mapping[str, Any]) -> tuple[dict[str, Any], dict[str, Any]]:
    values: dict[str, Any] = {}
    extra = {key: value for key, value in payload.items() if key not in _fields(cls)}
    for name, field in _fields(cls).items():
        if name in payload:
            try:
                values[name] = _read(field.type, payload[name])
            except msgspec.ValidationError as error:
                if field.required:
                    raise msgspec.ValidationError(f"{cls.__name__}.{name}: {error}") from None
                if payload[name] is not None:
                    extra[name] = payload[name]
        elif field.required:
            raise msgspec.ValidationError(f"{cls.__name__}.{name} is missing")
    return values, extra


def _read(kind: Any, value: Any) -> Any:
    inner, is_tuple = _nested(kind)
    if inner is None:
        return _aware(msgspec.convert(value, kind))
    if not is_tuple:
        return inner.from_payload(value)
    if not isinstance(value, list):
        raise msgspec.ValidationError("not a list")
    return tuple(inner.from_payload(item) for item in value)


def _aware(value: Any) -> Any:
    """Return a time as aware; without an offset it is UTC. Year 1 is how Go writes a time that was never set."""
    if not isinstance(value, datetime):
        return value
    if value.year == 1:
        raise msgspec.ValidationError("a time that was never set")
    return value if value.tzinfo is not None else value.replace(tzinfo=UTC)


@cache
def _fields(cls: type[Resource]) -> dict[str, FieldInfo]:
    return {field.name: field for field in msgspec.structs.fields(cls) if field.name not in ("extra", "raw")}


def _nested(kind: Any) -> tuple[type[Resource] | None, bool]:
    """Return the resource class inside an annotation, and whether the annotation is a tuple of it."""
    if isinstance(kind, type) and issubclass(kind, Resource):
        return kind, False
    if get_origin(kind) in (Union, UnionType):
        nested = [_nested(member) for member in get_args(kind) if member is not type(None)]
        return nested[0] if len(nested) == 1 else (None, False)
    if get_origin(kind) is tuple and (inner := _nested(get_args(kind)[0])[0]) is not None:
        return inner, True
    return None, False
