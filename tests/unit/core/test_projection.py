"""Tests of payload projections against the tables of the specification (part 2, 15.2 and 15.3)."""

from __future__ import annotations

import copy

import pytest

from pointstore.core.path import parse_path
from pointstore.core.projection import exclude, include
from pointstore.core.schema import Json

_P: dict[str, Json] = {
    "a": {"b": 1, "c": [{"d": 1, "e": 2}, {"d": 3}]},
    "s": "x",
    "arr": [1, 2],
    "n": None,
    "a.b": "lit",
    "emp": {},
    "nn": [[{"q": 1, "r": 2}]],
    "mix": [{"d": 1, "e": 2}, 5, {"e": 1}],
}


@pytest.mark.parametrize(
    ("paths", "selected"),
    [
        (["a.b"], {"a": {"b": 1}}),
        (["a.c"], {"a": {"c": [{"d": 1, "e": 2}, {"d": 3}]}}),
        (["a.c[]"], {"a": {"c": [{"d": 1, "e": 2}, {"d": 3}]}}),
        (["a.c[].d"], {"a": {"c": [{"d": 1}, {"d": 3}]}}),
        (["a.c[0].d"], {"a": {"c": []}}),
        (["a.c.d"], {"a": {"c": []}}),
        (["a.zz"], {"a": {}}),
        (["arr"], {"arr": [1, 2]}),
        (["arr[]"], {"arr": [1, 2]}),
        (["arr[0]"], {"arr": []}),
        (["arr.x"], {"arr": []}),
        (["s.t"], {"s": "x"}),
        (["n.x"], {"n": None}),
        (['"a.b"'], {"a.b": "lit"}),
        (["emp.x"], {"emp": {}}),
        (["nn[].q"], {"nn": [[]]}),
        (["nn[][].q"], {"nn": [[{"q": 1}]]}),
        (["mix[].d"], {"mix": [{"d": 1}, 5, {}]}),
        (["a", "a.b"], {"a": _P["a"]}),
        (["a.b", "s"], {"a": {"b": 1}, "s": "x"}),
        (["zz"], {}),
        ([], {}),
    ],
)
def test_include(paths: list[str], selected: dict[str, Json]) -> None:
    before = copy.deepcopy(_P)
    assert include(_P, [parse_path(path) for path in paths]) == selected
    assert before == _P


def _without(**changed: Json) -> dict[str, Json]:
    return {**_P, **changed}


@pytest.mark.parametrize(
    ("paths", "left"),
    [
        (["a"], {name: value for name, value in _P.items() if name != "a"}),
        (["a.b"], _without(a={"c": [{"d": 1, "e": 2}, {"d": 3}]})),
        (["a.c[].d"], _without(a={"b": 1, "c": [{"e": 2}, {}]})),
        (["a.c[]"], _without(a={"b": 1, "c": []})),
        (["arr[]"], _without(arr=[])),
        (["nn[][].q"], _without(nn=[[{"r": 2}]])),
        (["mix[].d"], _without(mix=[{"e": 2}, 5, {"e": 1}])),
        (['"a.b"'], {name: value for name, value in _P.items() if name != "a.b"}),
        (["a.b", "arr[]"], _without(a={"c": [{"d": 1, "e": 2}, {"d": 3}]}, arr=[])),
        *[([path], _P) for path in ("a.c[0].d", "arr[0]", "a.c.d", "s.t", "nn[].q", "zz")],
        ([], _P),
    ],
)
def test_exclude(paths: list[str], left: dict[str, Json]) -> None:
    before = copy.deepcopy(_P)
    assert exclude(_P, [parse_path(path) for path in paths]) == left
    assert before == _P
