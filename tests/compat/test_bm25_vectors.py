"""BM25 vectors compared with those of the original engine."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING, Any

import pytest
import qdrant_edge
from hypothesis import given
from hypothesis import strategies as st

from pointstore.text.bm25 import Embedding, parse_embedding
from pointstore.text.tokenizers import Tokenizer

if TYPE_CHECKING:
    from pointstore.core.schema import Json

# Without the few characters that are folded otherwise, and NUL, which a query of the original does not find.
TEXTS = st.lists(
    st.sampled_from(
        [
            "the",
            "running",
            "RUNS",
            "don't",
            "it's",
            "café",
            "Straße",
            "ﬁne",
            "snake_case_name",
            "getHTTPResponse",
            "userIDs",
            "0xFF_aB",
            "3.14",
            "日本語",
            "Привет",
            "मानक",
            "added",
            "universal",
            "organized",
            "-",
            "!!",
            "C++",
            "e-mail",
            "naïve",
            "Ⓐ",
            "½",
            "İstanbul",
            "ΣΊΣΥΦΟΣ",
        ]
    )
    | st.text(st.characters(max_codepoint=0x17F, exclude_characters="\0ªºŊŋ«»"), max_size=8),
    max_size=12,
).map(" ".join)
TOKENIZERS = {
    Tokenizer.WORD: qdrant_edge.TokenizerType.Word,
    Tokenizer.WHITESPACE: qdrant_edge.TokenizerType.Whitespace,
    Tokenizer.PREFIX: qdrant_edge.TokenizerType.Prefix,
    Tokenizer.CODE: qdrant_edge.TokenizerType.Code,
}


def check_vectors(own: Embedding, original: qdrant_edge.Bm25, text: str) -> None:
    """Compare both sides of a text, bit by bit."""
    for mine, theirs in (
        (own.document(text), original.embed_document(text)),
        (own.query(text), original.embed_query(text)),
    ):
        expected = dict(zip(theirs.indices, theirs.values, strict=True))
        assert dict(zip(mine.indices.tolist(), mine.values.tolist(), strict=True)) == expected


@given(TEXTS)
def test_defaults(text: str) -> None:
    check_vectors(parse_embedding({}), qdrant_edge.Bm25(), text)


@pytest.mark.parametrize("tokenizer", TOKENIZERS)
@pytest.mark.parametrize(
    "common",
    [{}, {"lowercase": False}, {"ascii_folding": True}, {"min_token_len": 2, "max_token_len": 5}, {"k": 0.5, "b": 0.1}],
)
@given(text=TEXTS)
def test_tokenizers(tokenizer: Tokenizer, common: dict[str, Any], text: str) -> None:
    options: dict[str, Json] = {"language": "none", **common}
    own = parse_embedding(options)
    own = replace(own, text=replace(own.text, tokenizer=tokenizer))
    nothing = qdrant_edge.StopwordsSet(languages=set(), custom=set())
    stemmer = qdrant_edge.DisabledStemmer()
    config = qdrant_edge.Bm25Config(tokenizer=TOKENIZERS[tokenizer], stopwords=nothing, stemmer=stemmer, **common)
    check_vectors(own, qdrant_edge.Bm25(config), text)
