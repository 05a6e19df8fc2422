"""Query by text: BM25 over a payload text index, against the worked examples of specification part 2, 10.2."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import grpc
import pytest

from pointstore.core.payload import encode_value
from qdrant_grpc import collections_pb2, points_pb2, qdrant_common_pb2
from qdrant_grpc.collections_service_pb2_grpc import CollectionsStub
from qdrant_grpc.points_service_pb2_grpc import PointsStub

if TYPE_CHECKING:
    from collections.abc import Iterator

    from pointstore.core.schema import Json
    from tests.conftest import Server

_TEXTS: dict[int, Json] = {
    1: "the quick brown fox",
    2: "quick quick dog",
    3: ["brown dog", "lazy dog"],
    4: "",
    5: 7,
    6: "fox",
}


# Elements of `o` with and without text; 12 has the words of a query, but in two elements.
_OBJECTS: dict[int, Json] = {
    11: [{"t": "red fox red"}, {"t": "green tree in the park"}],
    12: [{"t": "blue fox"}, {"t": ["red", "sky"]}, {"t": ""}, {"u": "red"}, 7, "red"],
    13: {"t": "red red red"},
    14: [],
}


@pytest.fixture(scope="module")
def points(shared_server: Server) -> Iterator[PointsStub]:
    with grpc.insecure_channel(shared_server.address) as channel:
        collections, stub = CollectionsStub(channel), PointsStub(channel)
        collections.Create(collections_pb2.CreateCollection(collection_name="ranked"))
        for name, scoring, nested in (("t", True, None), ("plain", False, None), ("o[].t", True, "o")):
            params = collections_pb2.TextIndexParams(tokenizer=collections_pb2.Word, nested=nested)
            if scoring:
                params.scoring.SetInParent()
            stub.CreateFieldIndex(
                points_pb2.CreateFieldIndexCollection(
                    collection_name="ranked",
                    wait=True,
                    field_name=name,
                    field_type=points_pb2.FieldTypeText,
                    field_index_params=collections_pb2.PayloadIndexParams(text_index_params=params),
                )
            )
        request = points_pb2.UpsertPoints(collection_name="ranked", wait=True)
        for name, values in (("t", _TEXTS), ("o", _OBJECTS)):
            for number, value in values.items():
                point = request.points.add()
                point.id.num = number
                point.vectors.vectors.SetInParent()
                encode_value(value, point.payload[name])
        stub.Upsert(request)
        yield stub
        collections.Delete(collections_pb2.DeleteCollection(collection_name="ranked"))


def query(points: PointsStub, text: str, using: str = "t", **options: Any) -> list[tuple[int, float]]:  # noqa: ANN401  fields of messages
    bm25 = points_pb2.Bm25Params(**{key: options.pop(key) for key in ("k", "b") if key in options})
    request = points_pb2.QueryPoints(
        collection_name="ranked",
        query=points_pb2.Query(text=points_pb2.TextQuery(query=text, bm25=bm25)),
        using=using,
        **options,
    )
    return [(hit.id.num, hit.score) for hit in points.Query(request).result]


@pytest.mark.parametrize(
    ("text", "options", "expected"),
    [
        ("quick", {}, [(2, 0.95308), (1, 0.60997)]),
        ("QUICK quick", {}, [(2, 0.95308), (1, 0.60997)]),
        ("quick dog", {}, [(2, 1.64622), (3, 0.87139), (1, 0.60997)]),
        ("quick dog", {"k": 0.5, "b": 0.0}, [(2, 1.52492), (3, 0.83178), (1, 0.69315)]),
        ("fox", {}, [(6, 0.95308), (1, 0.60997)]),
        ("fox", {"limit": 1}, [(6, 0.95308)]),
        ("fox", {"offset": 1}, [(1, 0.60997)]),
        ("fox", {"score_threshold": 0.7}, [(6, 0.95308)]),
        ("zebra", {}, []),
        ("", {}, []),
    ],
)
def test_worked_examples(
    points: PointsStub, text: str, options: dict[str, Any], expected: list[tuple[int, float]]
) -> None:
    found = query(points, text, **options)
    assert [number for number, _ in found] == [number for number, _ in expected]
    assert [score for _, score in found] == pytest.approx([score for _, score in expected], abs=1e-5)


@pytest.mark.parametrize(
    ("text", "options", "expected"),
    [
        # N = 4 elements with 12 tokens; idf(red) = idf(fox) = ln 2. The best element counts, not the sum of them.
        ("red", {}, [(11, 0.95308), (12, 0.80259)]),
        ("fox", {}, [(12, 0.80259), (11, 0.69315)]),
        ("red fox", {}, [(11, 1.64622), (12, 0.80259)]),
        ("tree", {"limit": 1}, [(11, 0.94598)]),
        ("zebra", {}, []),
    ],
)
def test_elements_are_documents(
    points: PointsStub, text: str, options: dict[str, Any], expected: list[tuple[int, float]]
) -> None:
    found = query(points, text, "o[].t", **options)
    assert [number for number, _ in found] == [number for number, _ in expected]
    assert [score for _, score in found] == pytest.approx([score for _, score in expected], abs=1e-5)


def test_filter(points: PointsStub) -> None:
    only = qdrant_common_pb2.Filter()
    only.must.add().has_id.has_id.add().num = 1
    assert [number for number, _ in query(points, "fox", filter=only)] == [1]


@pytest.mark.parametrize(
    ("using", "options", "text"),
    [
        ("missing", {}, "BM25 requires a text index on field missing, which has none"),
        ("plain", {}, "The text index on `plain` does not score: set `scoring` on it to query it"),
        ("t", {"k": -1.0}, "BM25 k1 must be finite and non-negative, got -1"),
        ("t", {"b": 1.5}, "BM25 b must be finite and within [0, 1], got 1.5"),
    ],
)
def test_refusals(points: PointsStub, using: str, options: dict[str, Any], text: str) -> None:
    with pytest.raises(grpc.RpcError) as refused:
        query(points, "fox", using, **options)
    assert refused.value.code() is grpc.StatusCode.INVALID_ARGUMENT
    assert text in str(refused.value.details())
