"""Documents that writes turn into sparse vectors (specification part 1, 6.9)."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from tests.wire.points_calls import COMPLETED, NO_VECTORS, named, one_point

if TYPE_CHECKING:
    from tests.wire.points_calls import Calls

RED, FOX = 347068675, 1621867415


def weights(calls: Calls) -> dict[int, float]:
    """Return the sparse vector of point 1."""
    vector = calls.get(1)[0].vectors.vectors.vectors["text"].sparse
    return dict(zip(vector.indices, vector.values, strict=True))


@pytest.mark.parametrize("model", ["bm25", "BM25", "qdrant/bm25", "Qdrant/Bm25"])
@pytest.mark.parametrize("method", ["Upsert", "UpdateVectors"])
def test_a_document_is_stored_as_its_tokens(mixed: Calls, method: str, model: str) -> None:
    mixed.write("Upsert", one_point(NO_VECTORS))
    assert mixed.write(method, named(f"document {{ model: '{model}' text: 'the red Fox, red' }}", "text")) == COMPLETED
    assert weights(mixed) == pytest.approx({RED: 1.904311, FOX: 1.683204}, rel=0.01)
    assert list(weights(mixed)) == [RED, FOX]


def test_options_of_a_document(mixed: Calls) -> None:
    options = """
        options { key: 'k' value { double_value: 2 } } options { key: 'b' value { integer_value: 0 } }
        options { key: 'stopwords' value { struct_value { fields {
            key: 'custom' value { list_value { values { string_value: 'fox' } } }
        } } } }
    """
    mixed.write("Upsert", named(f"document {{ model: 'bm25' text: 'red fox red' {options} }}", "text"))
    assert weights(mixed) == {RED: 1.5}


def test_a_document_without_tokens_is_an_empty_vector(mixed: Calls) -> None:
    mixed.write("Upsert", named("document { model: 'bm25' text: 'the' }", "text"))
    assert "text" in mixed.get(1)[0].vectors.vectors.vectors
    assert weights(mixed) == {}


def test_a_document_in_a_batch(mixed: Calls) -> None:
    document = named("document { model: 'bm25' text: 'red' }", "text")
    mixed.call("UpdateBatch", f"operations {{ upsert {{ {document} }} }}", wait=True)
    assert list(weights(mixed)) == [RED]
