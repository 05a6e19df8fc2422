"""The values that a path reaches in a payload, and their kinds (specification part 2, 3).

Payloads are plain JSON trees in which the kind of a value is its exact type: `True`, `1` and `1.0` are three different
values, although Python compares them as equal. Arrays are unwrapped once, never twice.
"""

from __future__ import annotations

from collections.abc import Callable

from pointstore.core.path import Key, Path, get
from pointstore.core.schema import Json

Payload = dict[str, Json]
_NUMBERS = frozenset({int, float})
Reacher = Callable[[Payload], list[Json]]


def reacher(path: Path) -> Reacher:
    """Return the function from a payload to the values that `path` reaches in it, arrays not unwrapped."""
    names = [step.name for step in path.steps if isinstance(step, Key)]
    if len(names) < len(path.steps):
        return lambda payload: get(payload, path)

    # Most paths have names only, and this is several times faster than `get`.
    def reach(payload: Payload) -> list[Json]:
        value: Json = payload
        for name in names:
            if not isinstance(value, dict) or name not in value:
                return []
            value = value[name]
        return [value]

    return reach


def unwrapped(values: list[Json]) -> list[Json]:
    """Return values with the direct elements of arrays in place of the arrays."""
    if len(values) == 1:
        value = values[0]
        return value if isinstance(value, list) else values
    elements: list[Json] = []
    for value in values:
        if isinstance(value, list):
            elements.extend(value)
        else:
            elements.append(value)
    return elements


def is_empty(values: list[Json]) -> bool:
    """Return whether nothing but nulls and empty arrays is reached (5.12)."""
    return all(value is None or value == [] for value in values)


def is_null(values: list[Json]) -> bool:
    """Return whether a reached value is null or directly holds a null (5.13)."""
    return None in values or any(isinstance(value, list) and None in value for value in values)


def count(value: Json) -> int:
    """Return the number of elements of one reached value, not unwrapped (5.11)."""
    if isinstance(value, list):
        return len(value)
    return 0 if value is None else 1


def geo_of(value: Json) -> tuple[float, float] | None:
    """Return longitude and latitude of a geo value, which may be out of the legal ranges; None for anything else."""
    if isinstance(value, dict):
        lon, lat = value.get("lon"), value.get("lat")
        # Not isinstance: a bool is not a number.
        if type(lon) in _NUMBERS and type(lat) in _NUMBERS:
            return float(lon), float(lat)  # type: ignore[arg-type]
    return None


def elements(payload: Payload, path: Path) -> list[Payload]:
    """Return the candidates of a nested condition: the objects among the array elements at `path`, ending in `[]`."""
    return [element for element in get(payload, path) if isinstance(element, dict)]
