"""Tests of BM25: check values and errors (specification part 1, 6.9; part 2, 10.2; part 3, 14.2)."""

from __future__ import annotations

import math
from collections import Counter

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from pointstore.core.errors import BadRequestError, WrongInputError
from pointstore.core.schema import Json
from pointstore.core.vector import Sparse
from pointstore.text.analyzer import TextParams, analyzer
from pointstore.text.bm25 import Ranking, inverse_document_frequency, kept_length, parse_embedding
from pointstore.text.tokenizers import Tokenizer

INDICES = {"hello": 613153351, "world": 74040069, "test": 1167338989, "red": 347068675, "fox": 1621867415}


def values(vector: Sparse) -> dict[int, float]:
    """Return a vector as a map."""
    return dict(zip(vector.indices.tolist(), vector.values.tolist(), strict=True))


def document(text: str, **options: Json) -> dict[int, float]:
    """Return the vector of a document."""
    return values(parse_embedding(options).document(text))


def test_check_values() -> None:
    vector = parse_embedding({}).query("hello world test red fox")
    assert sorted(vector.indices.tolist()) == vector.indices.tolist()
    assert values(vector) == dict.fromkeys(INDICES.values(), 1.0)
    assert vector.indices.dtype == np.uint32
    assert vector.values.dtype == np.float32


def test_document_weights() -> None:
    assert list(document("the cat sat").values()) == pytest.approx([1.683204] * 2, abs=1e-6)
    weights = document("red fox red")
    assert weights[INDICES["red"]] == pytest.approx(1.904311, abs=1e-6)
    assert set(weights) == {INDICES["red"], INDICES["fox"]}


def test_weights_are_rounded_to_float32() -> None:
    vector = parse_embedding({}).document("red fox red")
    assert vector.values.dtype == np.float32
    assert vector.indices.dtype == np.uint32


@pytest.mark.parametrize("text", ["", "the of", "!?"])
def test_no_tokens(text: str) -> None:
    embedding = parse_embedding({})
    assert values(embedding.document(text)) == values(embedding.query(text)) == {}


def test_numbers() -> None:
    flat: dict[str, Json] = {"k": 2, "b": 0, "avg_len": 1}
    assert document("red red fox", **flat) == {INDICES["red"]: 1.5, INDICES["fox"]: 1.0}
    assert document("red red fox", k=0) == {INDICES["red"]: 1.0, INDICES["fox"]: 1.0}
    long = document("red", k=1.0, b=1.0, avg_len=0.5)
    assert long == {INDICES["red"]: pytest.approx(2 / 3)}


@pytest.mark.parametrize(
    ("options", "text"),
    [
        ({}, TextParams(stopword_languages=("english",), stemmer="english")),
        ({"language": "DE"}, TextParams(stopword_languages=("german",), stemmer="german")),
        ({"language": "none"}, TextParams()),
        ({"language": "basque"}, TextParams(stopword_languages=("basque",))),
        ({"language": "tamil"}, TextParams(stemmer="tamil")),
        ({"language": "none", "stopwords": "fr"}, TextParams(stopword_languages=("french",))),
        (
            {"stopwords": {"languages": ["fr", "en"], "custom": ["b", "a", "b"]}, "stemmer": {"type": "none"}},
            TextParams(stopword_languages=("english", "french"), custom_stopwords=("a", "b")),
        ),
        ({"stopwords": {}, "stemmer": {"type": "snowball", "language": "it"}}, TextParams(stemmer="italian")),
        (
            {"language": "none", "tokenizer": "prefix", "min_token_len": 2, "max_token_len": 3},
            TextParams(Tokenizer.PREFIX, min_token_len=2, max_token_len=3),
        ),
        (
            {"language": "none", "tokenizer": "whitespace", "lowercase": False, "ascii_folding": True},
            TextParams(Tokenizer.WHITESPACE, lowercase=False, ascii_folding=True),
        ),
        ({"language": "none", "tokenizer": "multilingual"}, TextParams(Tokenizer.MULTILINGUAL)),
        ({"language": "none", "lowercase": None, "min_token_len": None, "other": 1}, TextParams()),
    ],
)
def test_options(options: dict[str, Json], text: TextParams) -> None:
    assert parse_embedding(options).text == text


@pytest.mark.parametrize(
    "options",
    [
        {"k": "1"},
        {"b": True},
        {"avg_len": []},
        {"tokenizer": 1},
        {"tokenizer": "letters"},
        {"language": 1},
        {"lowercase": 1},
        {"ascii_folding": "yes"},
        {"stopwords": 1},
        {"stopwords": "klingon"},
        {"stopwords": {"languages": "en"}},
        {"stopwords": {"languages": ["klingon"]}},
        {"stopwords": {"custom": [1]}},
        {"stemmer": "english"},
        {"stemmer": {"type": "snowball"}},
        {"stemmer": {"type": "snowball", "language": "klingon"}},
        {"stemmer": {"type": "porter"}},
        {"min_token_len": -1},
        {"min_token_len": True},
        {"max_token_len": 1.5},
        {"max_token_len": 2**64},
    ],
)
def test_malformed_options(options: dict[str, Json]) -> None:
    with pytest.raises(WrongInputError) as caught:
        parse_embedding(options)
    assert caught.value.message.startswith("Wrong input: Invalid BM25 config: ")


@pytest.mark.parametrize(
    ("options", "text"),
    [
        ({"k": -1}, "BM25 k1 must be finite and >= 0, got -1"),
        ({"k": math.inf}, "BM25 k1 must be finite and >= 0, got inf"),
        ({"b": 1.5}, "BM25 b must be finite and in [0.0, 1.0], got 1.5"),
        ({"b": -0.5}, "BM25 b must be finite and in [0.0, 1.0], got -0.5"),
        ({"avg_len": 0}, "BM25 avg_doc_len must be finite and > 0, got 0"),
        ({"avg_len": -1e20}, "BM25 avg_doc_len must be finite and > 0, got -100000000000000000000"),
    ],
)
def test_numbers_out_of_range(options: dict[str, Json], text: str) -> None:
    with pytest.raises(WrongInputError) as caught:
        parse_embedding(options)
    assert caught.value.message == f"Wrong input: {text}"


@given(st.text(max_size=40), st.sampled_from(["word", "prefix", "whitespace", "multilingual"]))
def test_vectors_are_in_order(text: str, tokenizer: str) -> None:
    embedding = parse_embedding({"tokenizer": tokenizer})
    for vector in (embedding.document(text), embedding.query(text)):
        assert bool(np.all(vector.indices[:-1] < vector.indices[1:]))
        assert len(vector.indices) == len(vector.values)
        assert bool(np.all(vector.values > 0))


CORPUS = {1: "the quick brown fox", 2: "quick quick dog", 3: "brown dog lazy dog", 6: "fox"}


def ranked(query: str, ranking: Ranking) -> dict[int, float]:
    """Return the scores of the points that hold a term, the best first."""
    cut = analyzer(TextParams())
    counts = {number: Counter(cut.documents(text)) for number, text in CORPUS.items()}
    mean = sum(map(Counter.total, counts.values())) / len(counts)
    scores: Counter[int] = Counter()
    for term in cut.ranking(query):
        holding = [number for number, tokens in counts.items() if term in tokens]
        idf = inverse_document_frequency(len(counts), len(holding))
        tf = np.array([counts[number][term] for number in holding], dtype=np.uint32)
        lengths = np.array([kept_length(counts[number].total()) for number in holding], dtype=np.uint32)
        scores.update(dict(zip(holding, ranking.scores(idf, tf, lengths, mean).tolist(), strict=True)))
    return dict(scores.most_common())


@pytest.mark.parametrize(
    ("query", "ranking", "expected"),
    [
        ("quick", Ranking(), {2: 0.95308, 1: 0.60997}),
        ("QUICK quick", Ranking(), {2: 0.95308, 1: 0.60997}),
        ("quick dog", Ranking(), {2: 1.64622, 3: 0.87139, 1: 0.60997}),
        ("quick dog", Ranking(0.5, 0), {2: 1.52492, 3: 0.83178, 1: 0.69315}),
        ("fox", Ranking(), {6: 0.95308, 1: 0.60997}),
        ("zebra", Ranking(), {}),
        ("", Ranking(), {}),
    ],
)
def test_scores(query: str, ranking: Ranking, expected: dict[int, float]) -> None:
    found = ranked(query, ranking)
    assert list(found) == list(expected)
    assert list(found.values()) == pytest.approx(list(expected.values()), abs=1e-5)


def test_no_saturation_at_all_is_legal() -> None:
    assert ranked("quick", Ranking(k=0)) == pytest.approx({2: math.log(2), 1: math.log(2)})


@pytest.mark.parametrize(
    ("k", "b", "text"),
    [
        (-1, 0.75, "BM25 k1 must be finite and non-negative, got -1"),
        (math.nan, 0.75, "BM25 k1 must be finite and non-negative, got NaN"),
        (1.2, 1.5, "BM25 b must be finite and within [0, 1], got 1.5"),
        (1.2, math.inf, "BM25 b must be finite and within [0, 1], got inf"),
    ],
)
def test_ranking_out_of_range(k: float, b: float, text: str) -> None:
    with pytest.raises(BadRequestError) as caught:
        Ranking(k, b)
    assert str(caught.value) == text


@pytest.mark.parametrize(
    ("tokens", "kept"),
    [(0, 0), (1, 1), (8191, 8191), (8192, 8192), (8193, 8192), (8194, 8194), (16385, 16384), (16388, 16388)],
)
def test_lengths_keep_their_leading_bits(tokens: int, kept: int) -> None:
    assert kept_length(tokens) == kept
