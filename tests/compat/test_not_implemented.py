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
        lambda: remote.search_matrix_pairs(filled),
        lambda: remote.query_points_groups(filled, "a", query=[1.0, 1.0]),
    ):
        assert refused(call)
