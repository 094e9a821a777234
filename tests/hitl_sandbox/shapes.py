"""JSON shapes: the types of the values at every path."""

from typing import Any

Shape = dict[str, set[str]]

NAMES = {
    type(None): "null",
    bool: "bool",
    int: "number",
    float: "number",
    str: "string",
    list: "list",
    dict: "object",
}


def shape_of(value: Any, path: str = "") -> Shape:
    """``{"a": [{"b": 1}]}`` has ``a`` list, ``a[]`` object, ``a[].b`` number."""
    shape: Shape = {path: {NAMES[type(value)]}}
    if isinstance(value, dict):
        for name, inner in value.items():
            merge(shape, shape_of(inner, f"{path}.{name}" if path else name))
    if isinstance(value, list):
        for inner in value:
            merge(shape, shape_of(inner, f"{path}[]"))
    return shape


def merge(shape: Shape, more: Shape) -> None:
    for path, types in more.items():
        shape.setdefault(path, set()).update(types)


def without(shape: Shape, *open_paths: str) -> Shape:
    """Leaves out what callers fill with values of their own."""
    return {
        path: types
        for path, types in shape.items()
        if not any(path.startswith((f"{open_}.", f"{open_}[")) for open_ in open_paths)
    }
