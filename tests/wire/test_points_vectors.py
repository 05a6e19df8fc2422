"""Vectors over the wire: every encoding that clients send, and what they read back."""

from __future__ import annotations

import math
import struct
from typing import TYPE_CHECKING

import pytest

from tests.wire.points_calls import COMPLETED, DENSE, NO_VECTORS, ONLY_1, POINT, named, one_point, unnamed

if TYPE_CHECKING:
    from tests.wire.points_calls import Calls

ENCODINGS = [
    # name, input, output
    ("img", "dense { data: [3, 4] }", "dense { data: 0.6 data: 0.8 }"),
    ("img", "data: [3, 4]", "dense { data: 0.6 data: 0.8 }"),
    ("img", "dense { data: [0, 0] }", "dense { data: 0 data: 0 }"),
    ("img", "data: [9, 9] dense { data: [0, 2] }", "dense { data: 0 data: 1 }"),
    (
        "rows",
        "multi_dense { vectors { data: [1, 2] } vectors { data: [3, 4] } }",
        "multi_dense { vectors { data: 1 data: 2 } vectors { data: 3 data: 4 } }",
    ),
    (
        "rows",
        "data: [1, 2, 3, 4] vectors_count: 2",
        "multi_dense { vectors { data: 1 data: 2 } vectors { data: 3 data: 4 } }",
    ),
    ("rows", "dense { data: [1, 2] }", "multi_dense { vectors { data: 1 data: 2 } }"),
    ("bytes", "dense { data: [1.9, 300] }", "dense { data: 1 data: 255 }"),
    ("bytes", "dense { data: [-3, nan] }", "dense { data: 0 data: 0 }"),
    ("half", "dense { data: [0.1, 2048.4] }", "dense { data: 0.0999755859 data: 2048 }"),
    (
        "text",
        "sparse { indices: [9, 4294967295, 2] values: [0.5, -1, 0] }",
        "sparse { values: 0 values: 0.5 values: -1 indices: 2 indices: 9 indices: 4294967295 }",
    ),
    ("text", "data: [0.5, 1] indices { data: [7, 3] }", "sparse { values: 1 values: 0.5 indices: 3 indices: 7 }"),
    ("text", "sparse {}", "sparse { }"),
]


@pytest.mark.parametrize("method", ["Upsert", "UpdateVectors", "upsert", "update_vectors"])
@pytest.mark.parametrize(("name", "vector", "output"), ENCODINGS)
def test_vectors_in_every_encoding(mixed: Calls, method: str, name: str, vector: str, output: str) -> None:
    mixed.write("Upsert", one_point(NO_VECTORS))
    if method.islower():
        mixed.call("UpdateBatch", f"operations {{ {method} {{ {named(vector, name)} }} }}", wait=True)
    else:
        mixed.write(method, named(vector, name))
    expected = f'vectors {{ vectors {{ key: "{name}" value {{ {output} }} }} }}'
    assert mixed.vector(1) == expected


def test_returned_vectors_are_stable(mixed: Calls) -> None:
    mixed.write("Upsert", named("dense { data: [0.3, 0.7] }"))
    once = mixed.get(1)[0].vectors.vectors.vectors["img"].dense.data
    mixed.write("Upsert", named(f"dense {{ data: [{once[0]!r}, {once[1]!r}] }}"))
    assert mixed.get(1)[0].vectors.vectors.vectors["img"].dense.data == once


def test_nan_and_infinity_are_legal_components(dense: Calls) -> None:
    dense.write("Upsert", unnamed("dense { data: [nan, -inf] }"))
    data = dense.get(1)[0].vectors.vector.dense.data
    assert math.isnan(data[0])
    assert data[1] == -math.inf


@pytest.mark.parametrize(
    "config", [DENSE, "vectors_config { params_map { map { key: '' value { size: 2 distance: Dot } } } }"]
)
def test_default_vector_alone_is_unnamed(calls: Calls, config: str) -> None:
    calls = calls.create(config)
    for request in (unnamed("dense { data: [1, 2] }"), named("dense { data: [1, 2] }", "")):
        calls.write("Upsert", request)
        assert calls.vector(1) == "vector { dense { data: 1 data: 2 } }"


def test_update_vectors_keeps_the_rest(mixed: Calls) -> None:
    mixed.write("Upsert", named("dense { data: [0, 1] }")[:-1] + " payload { key: 'a' value { integer_value: 1 } } }")
    changes = [named("dense { data: [1, 1] }", "half"), named("dense { data: [2, 2] }", "half"), one_point(NO_VECTORS)]
    assert mixed.write("UpdateVectors", " ".join(changes)) == COMPLETED
    vectors = mixed.get(1)[0].vectors.vectors.vectors
    assert {name: list(vectors[name].dense.data) for name in vectors} == {"img": [0, 1], "half": [2, 2]}
    assert mixed.payload(1) == "a: integer_value: 1"


def test_update_vectors_where_a_filter_holds(dense: Calls) -> None:
    points = f"points {{ id {{ num: 1 }} {POINT} }} points {{ id {{ num: 2 }} {POINT} }}".replace("[1, 2]", "[5, 5]")
    assert dense.write("UpdateVectors", f"{points} update_filter {{ must {{ {ONLY_1} }} }}") == COMPLETED
    assert [list(record.vectors.vector.dense.data) for record in dense.get(1, 2)] == [[5, 5], [1, 2]]


def test_delete_vectors(mixed: Calls) -> None:
    mixed.write("Upsert", named("dense { data: [0, 1] }"))
    one = "points_selector { points { ids { num: 1 } } }"
    assert mixed.write("DeleteVectors", f"{one} vectors {{}}") == COMPLETED
    assert "img" in mixed.vector(1)
    for _ in range(2):
        assert mixed.write("DeleteVectors", f"{one} vectors {{ names: ['img', 'img'] }}") == COMPLETED
        assert mixed.vector(1) == "vectors { }"
    refused = mixed.refused("DeleteVectors", f"{one} vectors {{ names: 'x' }}", wait=True)
    assert refused == ("INVALID_ARGUMENT", "Wrong input: Not existing vector name error: x")
    assert mixed.ids() == [1]


def test_points_without_vectors_in_a_collection_without_vectors(calls: Calls) -> None:
    calls = calls.create("")
    assert calls.write("Upsert", one_point(NO_VECTORS)) == COMPLETED
    assert calls.vector(1) == "vectors { }"


def test_add_and_drop_a_vector(dense: Calls) -> None:
    create = "vector_name: 'n' dense_config { size: 1 distance: Dot }"
    assert dense.write("CreateVectorName", create) == COMPLETED
    assert dense.write("CreateVectorName", create) == COMPLETED
    dense.write("UpdateVectors", named("dense { data: 4 }", "n"))
    assert '"n"' in dense.vector(1)
    assert '""' in dense.vector(1)
    assert dense.vector(2) == "vector { dense { data: 1 data: 2 } }"
    conflicts = [
        (
            "vector_name: 'n' dense_config { size: 2 distance: Dot }",
            "Vector `n` already exists with a different configuration",
        ),
        ("vector_name: 'n' sparse_config {}", "Vector `n` already exists as a dense vector"),
    ]
    for request, text in conflicts:
        assert dense.refused("CreateVectorName", request, wait=True) == ("INVALID_ARGUMENT", f"Wrong input: {text}")
    for _ in range(2):
        assert dense.write("DeleteVectorName", "vector_name: 'n'") == COMPLETED
        assert dense.vector(1) == "vector { dense { data: 1 data: 2 } }"
    dense.write("CreateVectorName", create)
    assert '"n"' not in dense.vector(1)


def test_add_a_sparse_vector(dense: Calls) -> None:
    assert dense.write("CreateVectorName", "vector_name: 's' sparse_config { modifier: Idf }") == COMPLETED
    conflicts = [
        ("vector_name: 's' sparse_config {}", "Sparse vector `s` already exists with a different configuration"),
        ("vector_name: 's' dense_config { size: 2 distance: Dot }", "Vector `s` already exists as a sparse vector"),
    ]
    for request, text in conflicts:
        assert dense.refused("CreateVectorName", request, wait=True) == ("INVALID_ARGUMENT", f"Wrong input: {text}")


def test_unpacked_floats(dense: Calls) -> None:
    """Floats may come one by one instead of packed."""
    floats = b"".join(b"\x0d" + struct.pack("<f", value) for value in (7.0, 8.0))
    vectors = b"\x0a" + bytes([len(floats) + 3]) + b"\xaa\x06" + bytes([len(floats)]) + floats
    point = b"\x0a\x02\x08\x01" + b"\x22" + bytes([len(vectors)]) + vectors
    body = (
        b"\x0a" + bytes([len(dense.name)]) + dense.name.encode() + b"\x10\x01" + b"\x1a" + bytes([len(point)]) + point
    )
    assert dense.raw("/qdrant.Points/Upsert", body)[0] == "OK"
    assert dense.vector(1) == "vector { dense { data: 7 data: 8 } }"
