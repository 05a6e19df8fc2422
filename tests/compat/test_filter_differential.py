"""Random filters: the server, the original engine (`qdrant-edge-py`) and the client's local mode find the same points.

`CASES` sets how many there are (`make differential CASES=2000`); gate R11 runs many more.
"""

from __future__ import annotations

import os
from math import inf
from typing import TYPE_CHECKING

import pytest
from qdrant_client import models

from pointstore.core.fields import FieldSchema, FieldType
from pointstore.core.filter import DatetimeRange, Field, Filter, IsNull, MatchKeyword, Nested, Range
from pointstore.core.path import parse_path

pytest.importorskip("qdrant_edge", reason="the embedded original engine has no package for this platform")

import qdrant_edge as edge

from tests.compat.filter_dialects import client_index, edge_filter, edge_index, grpc_filter
from tests.compat.filter_programs import opened, run

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from qdrant_client import QdrantClient

CASES = int(os.environ.get("CASES", "100"))
CASES_A_PROGRAM = 20
PROGRAMS = -(-CASES // CASES_A_PROGRAM)


@pytest.fixture
def shard(tmp_path: Path) -> Iterator[edge.EdgeShard]:
    """Return an empty shard of the original engine."""
    with opened(tmp_path / "shard") as made:
        yield made


@pytest.mark.parametrize("seed", range(PROGRAMS))
def test_filters(remote: QdrantClient, local: QdrantClient, shard: edge.EdgeShard, name: str, seed: int) -> None:
    run(remote, local, shard, name, seed, min(CASES_A_PROGRAM, CASES))


_NANOS = 1718454645_123456_000
_UUID = "550e8400-e29b-41d4-a716-446655440000"
_NESTED = Nested(parse_path("p[]"), Filter(must=(Field(parse_path("a"), (Range(gt=1, lt=2),)),)))


@pytest.mark.parametrize(
    ("condition", "schema", "expected"),
    [
        # A rest of nanoseconds counts.
        (Field(parse_path("d"), (DatetimeRange(gt=_NANOS),)), None, (True, False)),
        # A null beside other values.
        (IsNull(parse_path("o[].a"), wanted=False), None, (False, True)),
        # The last integer is less than infinity.
        (Field(parse_path("last"), (Range(lt=inf),)), FieldSchema(FieldType.INTEGER), (True, False)),
        # And it is not 2^63.
        (Field(parse_path("last"), (Range(gte=2.0**63),)), FieldSchema(FieldType.INTEGER), (False, True)),
        # Numbers are no instants, and instants no numbers.
        (Field(parse_path("n"), (DatetimeRange(),)), FieldSchema(FieldType.INTEGER), (False, True)),
        (Field(parse_path("n"), (DatetimeRange(),)), FieldSchema(FieldType.FLOAT), (False, True)),
        (Field(parse_path("d"), (Range(),)), FieldSchema(FieldType.DATETIME), (False, True)),
        # A keyword that looks like a UUID is a keyword.
        (Field(parse_path("u"), (MatchKeyword(_UUID),)), FieldSchema(FieldType.FLOAT), (True, False)),
        # Inside `nested` an element is what its payload says, also where an integer index has left out a fraction.
        (_NESTED, FieldSchema(FieldType.INTEGER), (True, False)),
    ],
)
def test_known_differences(  # noqa: PLR0913  fixtures and a row
    remote: QdrantClient,
    shard: edge.EdgeShard,
    name: str,
    condition: Field | IsNull | Nested,
    schema: FieldSchema | None,
    expected: tuple[bool, bool],
) -> None:
    """What is listed in docs/differences.md: whether the server and the original engine find the point."""
    remote.create_collection(name, models.VectorParams(size=2, distance=models.Distance.EUCLID))
    payload = {"d": "2024-06-15T12:30:45.123456789Z", "o": [{"a": None}, {"a": 1}], "n": 5, "last": 2**63 - 1}
    payload |= {"p": [{"a": 1.5}], "u": _UUID}
    remote.upsert(name, [models.PointStruct(id=1, vector={}, payload=payload)])
    shard.update(edge.UpdateOperation.upsert_points([edge.Point(1, {}, payload)]))
    if schema is not None:
        path = f"{condition.path}.a" if isinstance(condition, Nested) else str(condition.path)
        remote.create_payload_index(name, path, client_index(schema), wait=True)
        shard.update(edge.UpdateOperation.create_field_index(path, edge_index(schema)))
    found = Filter(must=(condition,))
    ours = remote.count(name, grpc_filter(found)).count
    assert (bool(ours), bool(shard.count(edge.CountRequest(filter=edge_filter(found))))) == expected
    remote.delete_collection(name)
