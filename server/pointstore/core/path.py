"""Payload paths: grammar, canonical text, and the changes that updates make at a path.

    path := key ( "." key | "[" digits "]" | "[]" )*

A key is bare (letters, digits, "_", "-" of any script) or quoted. The grammar is not JSONPath (specification part 1,
5.2; part 2, 2). Values are plain JSON trees (`core.schema.Json`); functions that change a tree work in place.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import lru_cache

import regex

from pointstore.core.errors import ConversionError
from pointstore.core.schema import Json

_INDEX_MAX = 2**64 - 1
_INDEX_DIGITS_MAX = len(str(_INDEX_MAX))
# Unicode alphanumeric as the reference means it: wider than str.isalnum (vowel signs, circled letters).
_BARE = regex.compile(r"[\p{Alphabetic}\p{Nd}\p{Nl}\p{No}_-]+")


@dataclass(frozen=True, slots=True)
class Key:
    """Member of an object."""

    name: str


@dataclass(frozen=True, slots=True)
class Index:
    """Element of an array."""

    number: int


@dataclass(frozen=True, slots=True)
class Each:
    """Every element of an array."""


Step = Key | Index | Each


@dataclass(frozen=True, slots=True)
class Path:
    """A parsed path; two paths are equal when their steps are."""

    steps: tuple[Step, ...]

    def __str__(self) -> str:
        """Return the canonical text: keys bare where they can be."""
        parts: list[str] = []
        for step in self.steps:
            match step:
                case Key(name):
                    text = name if _BARE.fullmatch(name) else f'"{name}"'
                    parts.append(f".{text}" if parts else text)
                case Index(number):
                    parts.append(f"[{number}]")
                case Each():
                    parts.append("[]")
        return "".join(parts)


@lru_cache(maxsize=4096)
def parse_path(text: str) -> Path:
    """Parse a path.

    Raises:
        ConversionError: the text does not follow the grammar.
    """
    steps: list[Step] = []
    position = 0
    while position < len(text) or not steps:
        step, position = _parse_step(text, position, first=not steps)
        steps.append(step)
    return Path(tuple(steps))


def _parse_step(text: str, position: int, *, first: bool) -> tuple[Step, int]:
    if not first and text[position] == "[":
        end = text.find("]", position)
        digits = text[position + 1 : end] if end > 0 else "?"
        if not digits:
            return Each(), end + 1
        if digits.isascii() and digits.isdigit():
            # Python refuses to convert thousands of digits.
            digits = digits.lstrip("0") or "0"
            if len(digits) <= _INDEX_DIGITS_MAX and int(digits) <= _INDEX_MAX:
                return Index(int(digits)), end + 1
        raise _invalid(text)
    if not first:
        if text[position] != ".":
            raise _invalid(text)
        position += 1
    if text[position : position + 1] == '"':
        end = text.find('"', position + 1)
        if end < 0 or "\\" in text[position:end]:
            raise _invalid(text)
        return Key(text[position + 1 : end]), end + 1
    match = _BARE.match(text, position)
    if match is None:
        raise _invalid(text)
    return Key(match[0]), match.end()


def _invalid(text: str) -> ConversionError:
    return ConversionError(f"Invalid json path: '{text}'")


def get(value: Json, path: Path) -> list[Json]:
    """Return the values that a path reaches; arrays are entered only by `[]` and `[N]`."""
    reached = [value]
    for step in path.steps:
        following: list[Json] = []
        for current in reached:
            match step:
                case Key(name):
                    if isinstance(current, dict) and name in current:
                        following.append(current[name])
                case Index(number):
                    if isinstance(current, list) and number < len(current):
                        following.append(current[number])
                case Each():
                    if isinstance(current, list):
                        following.extend(current)
        reached = following
    return reached


def merge(target: dict[str, Json], changes: dict[str, Json]) -> None:
    """Merge on the top level: null removes a key, anything else replaces the key's value entirely."""
    for key, value in changes.items():
        if value is None:
            target.pop(key, None)
        else:
            target[key] = value


def merge_at(target: dict[str, Json], path: Path, changes: dict[str, Json]) -> None:
    """Merge `changes` into what the path reaches, replacing values of the wrong kind on the way (part 1, 5.5)."""
    replaced = _merged(target, path.steps, changes)
    assert replaced is target


def _merged(value: Json, steps: tuple[Step, ...], changes: dict[str, Json]) -> Json:
    """Return `value` after the merge: the same object changed in place, or what replaces it."""
    if not steps:
        result = value if isinstance(value, dict) else {}
        merge(result, changes)
        return result
    step, rest = steps[0], steps[1:]
    if isinstance(step, Key):
        members = value if isinstance(value, dict) else {}
        members[step.name] = _merged(members.get(step.name), rest, changes)
        return members
    elements = value if isinstance(value, list) else []
    numbers = (
        range(len(elements)) if isinstance(step, Each) else range(step.number, min(step.number + 1, len(elements)))
    )
    for number in numbers:
        elements[number] = _merged(elements[number], rest, changes)
    return elements


def delete(target: Json, path: Path) -> None:
    """Remove what the path names; a final `[]` empties the array, a final `[N]` does nothing (part 1, 5.6)."""
    *parents, last = path.steps
    for parent in get(target, Path(tuple(parents))):
        if isinstance(last, Key) and isinstance(parent, dict):
            parent.pop(last.name, None)
        elif isinstance(last, Each) and isinstance(parent, list):
            parent.clear()
