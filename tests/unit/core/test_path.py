"""Tests of payload paths against the tables of the specification (part 1, 5.2 to 5.6; part 2, 2)."""

from __future__ import annotations

import copy

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pointstore.core.errors import ConversionError
from pointstore.core.path import Each, Index, Key, Path, delete, get, merge, merge_at, parse_path
from pointstore.core.schema import Json

_Tree = dict[str, Json]


@pytest.mark.parametrize(
    ("text", "steps"),
    [
        ("a", (Key("a"),)),
        ("a.b", (Key("a"), Key("b"))),
        ("a-b", (Key("a-b"),)),
        ("a_b", (Key("a_b"),)),
        ("1", (Key("1"),)),
        ("a.1", (Key("a"), Key("1"))),
        ("été.x", (Key("été"), Key("x"))),
        ("город.имя", (Key("город"), Key("имя"))),
        ("\u0905\u093e", (Key("\u0905\u093e"),)),
        ("\u24d0", (Key("\u24d0"),)),
        ('a."x y"', (Key("a"), Key("x y"))),
        ('"a.b"', (Key("a.b"),)),
        ('a.""', (Key("a"), Key(""))),
        ('""', (Key(""),)),
        ('"a[0]"[1]', (Key("a[0]"), Index(1))),
        ("a[]", (Key("a"), Each())),
        ("a[].b", (Key("a"), Each(), Key("b"))),
        ("a[0].b", (Key("a"), Index(0), Key("b"))),
        ("a[][]", (Key("a"), Each(), Each())),
        ("a[0][]", (Key("a"), Index(0), Each())),
        ("a[007]", (Key("a"), Index(7))),
        ("a[18446744073709551615]", (Key("a"), Index(2**64 - 1))),
        ("a[" + "0" * 5000 + "1]", (Key("a"), Index(1))),
    ],
)
def test_accepted(text: str, steps: tuple[Key | Index | Each, ...]) -> None:
    assert parse_path(text).steps == steps


@pytest.mark.parametrize(
    "text",
    [
        "",
        ".a",
        "a.",
        "a..b",
        "a[",
        "a[x]",
        "a[-1]",
        "a[+1]",
        "a[ 1]",
        "a[1_0]",
        "a[\u0661]",
        "a[*]",
        "a[0]b",
        "a.[0]",
        "[0]",
        "[]",
        " a",
        "a ",
        "a b",
        "a/b",
        '"a"b',
        '"a',
        '"',
        '"a\\"b"',
        "a]",
        "a[18446744073709551616]",
        "a[" + "9" * 5000 + "]",
    ],
)
def test_rejected_with_the_path(text: str) -> None:
    with pytest.raises(ConversionError) as caught:
        parse_path(text)
    assert caught.value.message == f"Invalid json path: '{text}'"


@pytest.mark.parametrize(
    ("text", "printed"),
    [
        ('"abc".x', "abc.x"),
        ('"a b"[0]', '"a b"[0]'),
        ("a[007]", "a[7]"),
        ('"a.b"', '"a.b"'),
        ('a.""[]', 'a.""[]'),
        ("город", "город"),
    ],
)
def test_canonical_text(text: str, printed: str) -> None:
    assert str(parse_path(text)) == printed


_KEYS = st.text(st.characters(exclude_characters='"\\', exclude_categories=["Cs"]), max_size=5).map(Key)
_STEPS = st.one_of(_KEYS, st.integers(0, 2**64 - 1).map(Index), st.just(Each()))


@given(st.tuples(_KEYS).flatmap(lambda first: st.lists(_STEPS, max_size=5).map(lambda rest: (*first, *rest))))
def test_canonical_text_parses_to_the_same_path(steps: tuple[Key | Index | Each, ...]) -> None:
    path = Path(steps)
    assert parse_path(str(path)) == path


_PAYLOAD: _Tree = {"a": {"b": 1}, "c": [{"d": 1}, {"d": 2}, 3], "x.y": 5, "n": None}


@pytest.mark.parametrize(
    ("payload", "path", "values"),
    [
        (_PAYLOAD, "a.b", [1]),
        (_PAYLOAD, "c[].d", [1, 2]),
        (_PAYLOAD, "c[0].d", [1]),
        (_PAYLOAD, "c[9].d", []),
        (_PAYLOAD, "c.d", []),
        (_PAYLOAD, '"x.y"', [5]),
        (_PAYLOAD, "x.y", []),
        (_PAYLOAD, "n", [None]),
        (_PAYLOAD, "missing", []),
        ({"a": [{"b": 1}, {"b": 2}]}, "a[1].b", [2]),
        ({"a": {"b": 1}}, "a[].b", []),
        ({"a": [{"b": 1}, {"c": 2}]}, "a[].b", [1]),
        ({"a": [[1, 2], [3]]}, "a", [[[1, 2], [3]]]),
        ({"a": [[1, 2], [3]]}, "a[]", [[1, 2], [3]]),
        ({"a": [[1, 2], [3]]}, "a[][]", [1, 2, 3]),
        ({"a": "text"}, "a[0]", []),
    ],
)
def test_get(payload: _Tree, path: str, values: list[Json]) -> None:
    assert get(payload, parse_path(path)) == values


@pytest.mark.parametrize(
    ("before", "changes", "after"),
    [
        ({"a": {"x": 1}, "b": 2}, {"a": {"y": 2}}, {"a": {"y": 2}, "b": 2}),
        ({"a": 1, "b": 2}, {"b": None, "c": 3}, {"a": 1, "c": 3}),
        ({"a": 1}, {}, {"a": 1}),
        ({"a": 1}, {"a.b": 5}, {"a": 1, "a.b": 5}),
        ({}, {"a": 1}, {"a": 1}),
        ({}, {"a": None}, {}),
    ],
)
def test_merge(before: _Tree, changes: _Tree, after: _Tree) -> None:
    merge(before, changes)
    assert before == after


@pytest.mark.parametrize(
    ("before", "path", "changes", "after"),
    [
        ({"a": {"x": 1}}, "a", {"y": 2}, {"a": {"x": 1, "y": 2}}),
        ({"a": {"x": 1}}, "a.z", {"q": 1}, {"a": {"x": 1, "z": {"q": 1}}}),
        ({"a": 5}, "a", {"q": 1}, {"a": {"q": 1}}),
        ({"a": 5}, "a.b", {"q": 1}, {"a": {"b": {"q": 1}}}),
        ({"a": [1, {"x": 1}]}, "a[]", {"q": 1}, {"a": [{"q": 1}, {"x": 1, "q": 1}]}),
        ({"a": [1, 2]}, "a[1]", {"q": 1}, {"a": [1, {"q": 1}]}),
        ({"a": [1, 2]}, "a[7]", {"q": 1}, {"a": [1, 2]}),
        ({"a": [1, 2]}, "a.b", {"q": 1}, {"a": {"b": {"q": 1}}}),
        ({}, "n[]", {"q": 1}, {"n": []}),
        ({}, "n[0].m", {"q": 1}, {"n": []}),
        ({}, "a.b.c", {"q": 1}, {"a": {"b": {"c": {"q": 1}}}}),
        ({"a": {"x": 1}}, "a", {"x": None}, {"a": {}}),
        ({}, "a", {"x": None}, {"a": {}}),
        ({"a": {"x": 1}}, "a[0]", {"q": 1}, {"a": []}),
        ({"a": []}, "a[]", {"q": 1}, {"a": []}),
        ({"a": [[1], 2]}, "a[][]", {"q": 1}, {"a": [[{"q": 1}], []]}),
    ],
)
def test_merge_at(before: _Tree, path: str, changes: _Tree, after: _Tree) -> None:
    given_changes = copy.deepcopy(changes)
    merge_at(before, parse_path(path), changes)
    assert before == after
    assert changes == given_changes


@pytest.mark.parametrize(
    ("before", "path", "after"),
    [
        ({"a": {"b": 1}}, "a.b", {"a": {}}),
        ({"a": {"b": 1}, "c": 2}, "a", {"c": 2}),
        ({"a": [1, 2]}, "a[]", {"a": []}),
        ({"a": [1, 2]}, "a[0]", {"a": [1, 2]}),
        ({"a": [{"b": 1, "c": 1}, {"b": 2}, 3]}, "a[].b", {"a": [{"c": 1}, {}, 3]}),
        ({"a": [{"b": 1}, {"b": 2}]}, "a[1].b", {"a": [{"b": 1}, {}]}),
        ({"a": [{"b": 1}]}, "a.b", {"a": [{"b": 1}]}),
        ({"a": [{"b": 1}]}, "a[5].b", {"a": [{"b": 1}]}),
        ({"a": 1}, "a[]", {"a": 1}),
        ({"a": 1}, "x.y", {"a": 1}),
        ({"a.b": 1, "a": {"b": 2}}, '"a.b"', {"a": {"b": 2}}),
        ({"a": [[1, 2], [3]]}, "a[][]", {"a": [[], []]}),
    ],
)
def test_delete(before: _Tree, path: str, after: _Tree) -> None:
    delete(before, parse_path(path))
    assert before == after
