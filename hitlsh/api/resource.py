"""JSON objects as frozen values that lose nothing: what no field can take stays in ``extra``."""

from collections.abc import Mapping
from datetime import UTC, datetime
from functools import cache
from types import UnionType
from typing import Any, Self, Union, get_args, get_origin

import msgspec
from msgspec.structs import FieldInfo


class Resource(msgspec.Struct, frozen=True, kw_only=True):
    """Anything HITL.sh describes. An optional field that cannot be read keeps its default."""

    #: What no field could take: keys the documents do not name, and values of another type than documented.
    extra: dict[str, Any] = {}
    #: The object exactly as it came.
    raw: dict[str, Any] = {}

    @classmethod
    def from_payload(cls, payload: Any) -> Self:
        """Read one JSON object; ``msgspec.ValidationError`` when a required field cannot be read."""
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
    inner, many = _nested(kind)
    if inner is None:
        return _aware(msgspec.convert(value, kind))
    if not many:
        return inner.from_payload(value)
    if not isinstance(value, list):
        raise msgspec.ValidationError("not a list")
    return tuple(inner.from_payload(item) for item in value)


def _aware(value: Any) -> Any:
    """Times without an offset are UTC, as all the documented ones are; year 1 is Go's "never"."""
    if not isinstance(value, datetime):
        return value
    if value.year == 1:
        raise msgspec.ValidationError("a time that was never set")
    return value if value.tzinfo is not None else value.replace(tzinfo=UTC)


@cache
def _fields(cls: type[Resource]) -> dict[str, FieldInfo]:
    return {field.name: field for field in msgspec.structs.fields(cls) if field.name not in ("extra", "raw")}


def _nested(kind: Any) -> tuple[type[Resource] | None, bool]:
    """The resource class inside an annotation, and whether the annotation wants many of it."""
    if isinstance(kind, type) and issubclass(kind, Resource):
        return kind, False
    if get_origin(kind) in (Union, UnionType):
        found = [_nested(member) for member in get_args(kind) if member is not type(None)]
        return found[0] if len(found) == 1 else (None, False)
    if get_origin(kind) is tuple and (inner := _nested(get_args(kind)[0])[0]) is not None:
        return inner, True
    return None, False
