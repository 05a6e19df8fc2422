"""The worked examples of `nested` conditions, and of indexes by element (specification part 2, 2 to 8 and 10)."""

from __future__ import annotations

from typing import TYPE_CHECKING

from tests.wire.filter_tables import Table, field, must, must_not, nested

if TYPE_CHECKING:
    from pointstore.core.schema import Json

O_A = field("a", "match { integer: 1 }")
NESTED_ROWS: dict[int, Json] = {
    1: {"o": [{"a": 1, "b": "x"}, {"a": 2, "b": "y"}]},
    2: {"o": {"a": 1, "b": "x"}},
    3: {"o": []},
    4: {},
    5: {"o": [1, {"a": 1}]},
    6: {"o": [[{"a": 1, "b": "x"}]]},
    7: {"w": {"o": [{"a": 1, "b": "x"}]}},
    8: {"o": [{}]},
}
NESTED = Table(
    NESTED_ROWS,
    {
        must(field("o[].a", "match { integer: 1 }"), field("o[].b", "match { keyword: 'y' }")): [1],
        nested("o", must(O_A, field("b", "match { keyword: 'x' }"))): [1],
        nested("o[]", must(O_A, field("b", "match { keyword: 'x' }"))): [1],
        nested("o", must(O_A, field("b", "match { keyword: 'y' }"))): [],
        nested("o", must(O_A)): [1, 5],
        nested("o", must_not(O_A)): [1, 8],
        must_not(f"nested {{ key: 'o' filter {{ {must(O_A)} }} }}"): [2, 3, 4, 6, 7, 8],
        nested("o", ""): [1, 5, 8],
        nested("o", must("is_empty { key: 'b' }")): [5, 8],
        nested("o[0]", must(field("a", "match { integer: 2 }"))): [],
        nested("o[0]", must(O_A)): [6],
        nested("w.o", must(O_A)): [7],
        nested("o", must("has_id { has_id { num: 1 } }")): [],
        nested("o", must_not("has_id { has_id { num: 1 } }")): [1, 5, 8],
        nested("o", must("has_vector { has_vector: '' }")): [],
        nested("o", must_not("slice { total: 1 }")): [1, 5, 8],
        nested("w", must("nested { key: 'o' filter {} }")): [],
        nested("o", must(field("b", "match { prefix: '' }"), field("a", "range { gte: 2 }"))): [1],
    },
    indexes=(
        ("o[].a", "Integer", ""),
        ("o[].b", "Keyword", ""),
        ("o", "Keyword", ""),
        ("o[].a", "Integer", "nested: 'o'"),
        ("o[].b", "Keyword", "nested: 'o[]'"),
    ),
)

WITHOUT_NESTED = {
    must("is_empty { key: 'o[].p' }"): [3, 4, 5, 7],
    must(field("o[].p", "is_empty: true")): [3, 4, 5, 7],
    must(field("o[].p", "is_empty: false")): [1, 2, 6],
    must("is_null { key: 'o[].p' }"): [5],
    must(field("o[].p", "is_null: false")): [1, 2, 3, 4, 6, 7],
    must(field("o[].p", "values_count { lt: 1 }")): [3, 4, 5, 7],
    must(field("o[].p", "match { integer: 5 }")): [1],
    must(field("o[].p", "range { gt: 1 }")): [1, 6],
    nested("o", must("is_empty { key: 'p' }")): [2, 5],
    nested("o", must(field("p", "match { integer: 5 }"))): [1],
}
OPTION: dict[int, Json] = {
    1: {"o": [{"p": 1}, {"p": 5}]},
    2: {"o": [{"p": 1}, {"c": "red"}]},
    3: {"o": []},
    4: {},
    5: {"o": [{"p": None}]},
    6: {"o": [1, {"p": 3}]},
    7: {"o": [1]},
}
PLAIN = Table(OPTION, WITHOUT_NESTED, indexes=(("o[].p", "Integer", ""), ("o[].p", "Keyword", "")))
PER_ELEMENT = Table(
    OPTION,
    WITHOUT_NESTED
    | {
        must("is_empty { key: 'o[].p' }"): [2, 5],
        must(field("o[].p", "is_empty: true")): [2, 5],
        must(field("o[].p", "is_null: false")): [1, 2, 6],
    },
    required=(("o[].p", "Integer", "nested: 'o'"),),
)

TABLES: dict[str, Table] = {
    "nested": NESTED,
    "plain index": PLAIN,
    "index per element": PER_ELEMENT,
}
