"""Payload projections: the `include` and `exclude` selectors of reads (specification part 2, 15.2 and 15.3).

Array positions are matched by `[]` only; a path with `[N]`, or with a key where an array stands, selects nothing below
it.
"""

from __future__ import annotations

from collections.abc import Sequence

from pointstore.core.path import Each, Key, Path, Step
from pointstore.core.schema import Json

_Tails = list[tuple[Step, ...]]


def include(tree: dict[str, Json], paths: Sequence[Path]) -> dict[str, Json]:
    """Return what the paths select of an object.

    Subtrees below a selected path are kept whole, scalars met above one are kept, containers entered stay even if
    emptied.
    """
    return _included_members(tree, [path.steps for path in paths])


def exclude(tree: dict[str, Json], paths: Sequence[Path]) -> dict[str, Json]:
    """Return the object without what the paths select; emptied containers stay."""
    return _excluded_members(tree, [path.steps for path in paths])


def _below(tails: _Tails, step: Step) -> _Tails:
    return [tail[1:] for tail in tails if tail and tail[0] == step]


def _included_members(tree: dict[str, Json], tails: _Tails) -> dict[str, Json]:
    return {name: _included(member, below) for name, member in tree.items() if (below := _below(tails, Key(name)))}


def _included(value: Json, tails: _Tails) -> Json:
    if () in tails:
        return value
    if isinstance(value, dict):
        return _included_members(value, tails)
    if isinstance(value, list):
        below = _below(tails, Each())
        return [_included(element, below) for element in value] if below else []
    return value


def _excluded_members(tree: dict[str, Json], tails: _Tails) -> dict[str, Json]:
    kept: dict[str, Json] = {}
    for name, member in tree.items():
        below = _below(tails, Key(name))
        if () not in below:
            kept[name] = _excluded(member, below)
    return kept


def _excluded(value: Json, tails: _Tails) -> Json:
    if not tails:
        return value
    if isinstance(value, dict):
        return _excluded_members(value, tails)
    if isinstance(value, list):
        below = _below(tails, Each())
        return [] if () in below else [_excluded(element, below) for element in value]
    return value
