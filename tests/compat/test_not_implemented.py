"""What is missing is refused by name, and never answered without the part that is missing."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import grpc
import pytest
from qdrant_client import models

from tests.compat.comparing import point

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from qdrant_client import QdrantClient


@pytest.fixture
def filled(remote: QdrantClient, name: str) -> Iterator[str]:
    """Return the name of a collection with three points."""
    remote.create_collection(name, models.VectorParams(size=2, distance=models.Distance.DOT))
    remote.upsert(name, [point(i, [i, 1], {"a": i}) for i in range(3)])
    yield name
    remote.delete_collection(name)


def refused(call: Callable[[], Any]) -> str:
    """Make a call that must be UNIMPLEMENTED; return its text."""
    with pytest.raises(grpc.RpcError) as error:
        call()
    assert error.value.code() is grpc.StatusCode.UNIMPLEMENTED
    return str(error.value.details())


CONDITIONS: dict[str, Any] = {
    "match": models.FieldCondition(key="a", match=models.MatchValue(value=1)),
    "range": models.FieldCondition(key="a", range=models.Range(gt=1)),
    "is_empty": models.IsEmptyCondition(is_empty=models.PayloadField(key="a")),
    "has_vector": models.HasVectorCondition(has_vector=""),
}


@pytest.mark.parametrize("kind", CONDITIONS)
def test_filters(remote: QdrantClient, filled: str, kind: str) -> None:
    condition = CONDITIONS[kind]
    nested = models.Filter(must=[models.HasIdCondition(has_id=[1]), models.Filter(should=[condition])])
    for each in (models.Filter(must=[condition]), models.Filter(must_not=[condition]), nested):
        for call in (
            lambda f: remote.scroll(filled, f),
            lambda f: remote.count(filled, f),
            lambda f: remote.query_points(filled, [1.0, 1.0], query_filter=f),
            lambda f: remote.delete(filled, f),
            lambda f: remote.set_payload(filled, {"x": 1}, f),
            lambda f: remote.clear_payload(filled, f),
        ):
            assert kind in refused(lambda: call(each))  # noqa: B023  called at once
    # Nothing was written.
    assert [record.payload for record in remote.scroll(filled)[0]] == [{"a": 0}, {"a": 1}, {"a": 2}]


def test_queries(remote: QdrantClient, filled: str) -> None:
    queries: dict[str, Any] = {
        "recommend": models.RecommendQuery(recommend=models.RecommendInput(positive=[1])),
        "discover": models.DiscoverQuery(discover=models.DiscoverInput(target=1, context=[])),
        "context": models.ContextQuery(context=[models.ContextPair(positive=1, negative=2)]),
        "order_by": models.OrderByQuery(order_by="a"),
        "fusion": models.FusionQuery(fusion=models.Fusion.RRF),
        "sample": models.SampleQuery(sample=models.Sample.RANDOM),
    }
    for kind, query in queries.items():
        prefetch = [models.Prefetch(query=[1.0, 1.0])] if kind == "fusion" else None
        text = refused(lambda: remote.query_points(filled, query, prefetch=prefetch))  # noqa: B023  called at once
        assert kind in text or "prefetch" in text
    assert "prefetch" in refused(
        lambda: remote.query_points(filled, [1.0, 1.0], prefetch=[models.Prefetch(query=[1.0, 1.0])])
    )


def test_services(remote: QdrantClient, filled: str) -> None:
    for call in (
        lambda: remote.create_payload_index(filled, "a", models.PayloadSchemaType.INTEGER),
        lambda: remote.facet(filled, "a"),
        lambda: remote.search_matrix_pairs(filled),
        lambda: remote.query_points_groups(filled, "a", query=[1.0, 1.0]),
        lambda: remote.scroll(filled, order_by="a"),
    ):
        assert refused(call)
