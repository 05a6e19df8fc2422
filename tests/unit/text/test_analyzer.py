"""Tests of analysers against the tables of the specification (part 2, 8.1 to 8.7)."""

from __future__ import annotations

from dataclasses import dataclass, replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pointstore.text.analyzer import Analyzer, TextParams, analyzer, analyzer_of
from pointstore.text.tokenizers import Tokenizer

WORD = TextParams()
WHITESPACE = TextParams(Tokenizer.WHITESPACE)
PREFIX = TextParams(Tokenizer.PREFIX)
MULTILINGUAL = TextParams(Tokenizer.MULTILINGUAL)
CODE = TextParams(Tokenizer.CODE)


def follow_each_other(tokens: list[str], phrase: list[str]) -> bool:
    """Return whether a phrase occurs; one without tokens does not."""
    return bool(phrase) and any(tokens[start : start + len(phrase)] == phrase for start in range(len(tokens)))


def holds(params: TextParams, elements: list[str], check: str, query: str) -> bool:
    """Return whether a point with these strings passes a check of an index."""
    cut = analyzer(params)
    if check == "phrase":
        return any(follow_each_other(cut.split(element)[0], cut.phrase(query)) for element in elements)
    tokens = {token for element in elements for token in cut.documents(element)}
    wanted = cut.query(query)
    if check == "text":
        return bool(wanted) and set(wanted) <= tokens
    return bool(set(wanted) & tokens)


@pytest.mark.parametrize(
    ("elements", "expected"),
    [
        (["Hello World"], (True, True, True, True, True)),
        (["hello, big world!"], (True, True, True, False, False)),
        (["helloworld"], (False, False, False, False, False)),
        (["hello", "world"], (False, False, True, False, False)),
        ([], (False, False, False, False, False)),
    ],
)
def test_without_index_each_string_is_judged_alone(elements: list[str], expected: tuple[bool, ...]) -> None:
    checks = [
        ("text", "HELLO world"),
        ("text", "world hello"),
        ("text_any", "zebra world"),
        ("phrase", "hello world"),
        ("phrase", "hello, world!"),
    ]
    for (check, query), outcome in zip(checks, expected, strict=True):
        assert any(holds(WORD, [element], check, query) for element in elements) is outcome


DOCUMENTS = {
    1: ["Hello World"],
    2: ["hello, big world!"],
    3: ["helloworld"],
    4: ["café au lait"],
    5: ["foo-bar_baz"],
    6: ["alpha beta", "gamma"],
    7: ["beta gamma"],
    8: [""],
    9: [],
}


@pytest.mark.parametrize(
    ("check", "query", "found"),
    [
        ("text", "hello", ({1, 2}, {1}, {1, 2, 3}, {1, 2})),
        ("text", "hel", (set(), set(), {1, 2, 3}, set())),
        ("text", "cafe", (set(), set(), set(), {4})),
        ("text", "foo_bar", ({5}, set(), {5}, {5})),
        ("text", "gamma alpha", ({6}, {6}, {6}, {6})),
        ("text", "beta gamma", ({6, 7}, {6, 7}, {6, 7}, {6, 7})),
        ("phrase", "beta gamma", ({7}, {7}, {7}, {7})),
        ("text", "", (set(), set(), set(), set())),
        ("text", "!!!", (set(), set(), set(), set())),
    ],
)
def test_analyser_matrix(check: str, query: str, found: tuple[set[int], ...]) -> None:
    for params, expected in zip((WORD, WHITESPACE, PREFIX, MULTILINGUAL), found, strict=True):
        holding = {number for number, elements in DOCUMENTS.items() if holds(params, elements, check, query)}
        assert holding == expected


@pytest.mark.parametrize("params", [WORD, WHITESPACE, PREFIX, MULTILINGUAL, CODE])
def test_points_with_tokens(params: TextParams) -> None:
    cut = analyzer(params)
    assert sum(any(map(cut.documents, elements)) for elements in DOCUMENTS.values()) == 7


@pytest.mark.parametrize(
    ("query", "text", "phrase"),
    [
        ("hel", {1, 2, 3, 4}, {1, 2, 3, 4}),
        ("hel wor", {1, 2, 3, 4}, set()),
        ("hello wor", {1, 3, 4}, {1}),
        ("hell world", {1, 2, 3, 4}, {2}),
        ("hello w", {1, 3, 4}, {1}),
    ],
)
def test_prefixes(query: str, text: set[int], phrase: set[int]) -> None:
    documents = {1: "hello world", 2: "hell world", 3: "hello brave world", 4: "world hello"}
    for check, expected in (("text", text), ("phrase", phrase)):
        assert {number for number, one in documents.items() if holds(PREFIX, [one], check, query)} == expected


def test_prefixes_within_limits() -> None:
    cut = analyzer(replace(PREFIX, min_token_len=2, max_token_len=4))
    assert cut.documents("hello a yes") == ["he", "hel", "hell", "ye", "yes"]
    assert cut.query("h helloz hi") == ["hell", "hi"]
    assert cut.phrase("helloz") == ["he", "hel", "hell"]


def test_stopwords_of_prefixes_are_only_removed_from_documents() -> None:
    cut = analyzer(replace(PREFIX, custom_stopwords=("the",)))
    assert cut.documents("the then") == ["t", "th", "the", "then"]
    assert cut.documents("the") == []
    assert cut.query("the fox") == ["the", "fox"]


@pytest.mark.parametrize(
    ("text", "parts", "joined"),
    [
        ("getHTTPResponse", "get http response", "gethttpresponse"),
        ("snake_case_name", "snake case name", "snakecasename"),
        ("get_HTTPResponse_v2", "get http response v2", "httpresponse gethttpresponsev2"),
        ("__init__", "init", ""),
        ("foo.bar::baz(1, x2)", "foo bar baz 1 x2", ""),
        ("1_000 0xFF_aB 3DModel", "1000 0xffab 3dmodel", ""),
        ("IDs IDss", "ids i dss", "idss"),
    ],
)
def test_code(text: str, parts: str, joined: str) -> None:
    cut = analyzer(CODE)
    assert cut.split(text) == (parts.split(), joined.split())
    assert cut.documents(text) == parts.split() + joined.split()
    assert cut.query(text) == cut.phrase(text) == parts.split()
    assert cut.ranking(text) == list(dict.fromkeys(parts.split() + joined.split()))


@pytest.mark.parametrize(
    ("check", "query", "outcome"),
    [
        ("text", "get_http_response", True),
        ("text", "GetHttp", True),
        ("text", "gethttpresponse", True),
        ("text", "gethttp", False),
        ("phrase", "response now", True),
        ("phrase", "getHTTPResponse now", True),
        ("phrase", "gethttpresponse now", False),
    ],
)
def test_queries_of_code(check: str, query: str, *, outcome: bool) -> None:
    assert holds(CODE, ["getHTTPResponse now"], check, query) is outcome


def test_joined_tokens_take_the_same_steps() -> None:
    cut = analyzer(replace(CODE, ascii_folding=True, custom_stopwords=("fooÉtés",), stemmer="english"))
    assert cut.split("runÉtés fooÉtés aİ") == (["run", "ete", "foo", "ete", "a", "i"], ["runet", "fooet", "ai"])


def test_code_keeps_no_joined_tokens_in_mixed_case() -> None:
    assert analyzer(replace(CODE, lowercase=False)).documents("getHTTPResponse") == ["get", "HTTP", "Response"]


def test_steps_come_in_order() -> None:
    cut = analyzer(
        replace(WORD, ascii_folding=True, custom_stopwords=("Eté", "stop"), stemmer="english", max_token_len=4)
    )
    # Folded before stopwords are compared, these unstemmed, and lengths are those of stems.
    assert cut.documents("Eté STOP stopping runner") == ["ete", "stop"]


def test_stopwords_leave_no_gap() -> None:
    params = replace(WORD, custom_stopwords=("the",))
    assert holds(params, ["a b"], "phrase", "a the b")
    assert holds(params, ["a the b"], "phrase", "a b")
    assert holds(params, ["fox"], "text", "the fox")
    assert not holds(params, ["the fox"], "text", "the")


def test_stopwords_in_case() -> None:
    assert analyzer(replace(WORD, custom_stopwords=("THE",))).documents("The the") == []
    assert analyzer(replace(WORD, custom_stopwords=("The",), lowercase=False)).documents("The the") == ["the"]


def test_apostrophes_hide_stopwords_from_words() -> None:
    params = replace(WORD, custom_stopwords=("don't",))
    assert analyzer(params).documents("don't") == ["don", "t"]
    assert analyzer(replace(params, tokenizer=Tokenizer.WHITESPACE)).documents("don't stop") == ["stop"]


def test_multilingual_ignores_lowercase() -> None:
    assert analyzer(replace(MULTILINGUAL, lowercase=False)).query("HELLO Café") == ["hello", "cafe"]


@pytest.mark.parametrize(("least", "most", "kept"), [(2, None, "bb ccc"), (None, 2, "a bb"), (2, 2, "bb")])
def test_lengths_are_inclusive(least: int | None, most: int | None, kept: str) -> None:
    cut = analyzer(replace(WORD, min_token_len=least, max_token_len=most))
    assert cut.documents("a bb ccc") == kept.split()
    assert cut.query("a bb ccc") == kept.split()


def test_words_beyond_the_memory() -> None:
    cut = Analyzer(WORD)
    many = [f"W{number}" for number in range(70_000)]
    assert cut.documents(" ".join(many)) == [word.lower() for word in many]
    assert cut.documents("W1 " + "X" * 1000) == ["w1", "x" * 1000]


@dataclass(frozen=True)
class _Stopwords:
    languages: tuple[str, ...] = ()
    custom: tuple[str, ...] = ()


@dataclass(frozen=True)
class _IndexParams:
    tokenizer: int | None = None
    lowercase: bool | None = None
    ascii_folding: bool | None = None
    min_token_len: int | None = None
    max_token_len: int | None = None
    stopwords: _Stopwords | None = None
    stemmer: str | None = None


def test_parameters_of_an_index() -> None:
    assert analyzer_of(_IndexParams()) is analyzer(WORD)
    assert analyzer_of(_IndexParams(5, False, True, 1, 9, _Stopwords(("english",), ("x",)), "")).params == TextParams(
        Tokenizer.CODE, False, True, 1, 9, ("english",), ("x",), None
    )
    assert analyzer_of(_IndexParams(lowercase=True, stemmer="dutch")).params == TextParams(stemmer="dutch")


ANY_PARAMS = st.builds(
    TextParams,
    tokenizer=st.sampled_from(Tokenizer),
    lowercase=st.booleans(),
    ascii_folding=st.booleans(),
    min_token_len=st.none() | st.integers(0, 4),
    max_token_len=st.none() | st.integers(0, 6),
    stopword_languages=st.sampled_from([(), ("english",), ("chinese", "japanese")]),
    custom_stopwords=st.sampled_from([(), ("a", "B", "é")]),
    stemmer=st.sampled_from([None, "english", "arabic", "turkish"]),
)
TEXTS = st.text(max_size=60) | st.text(st.sampled_from("aAbBsS19_ .-é中文日本ก\u0301ßﬁĀ½"), max_size=30)


@given(ANY_PARAMS, TEXTS)
def test_analysers_take_any_text(params: TextParams, text: str) -> None:
    fresh, used = Analyzer(params), analyzer(params)
    results = [(cut.documents(text), cut.query(text), cut.phrase(text), cut.ranking(text)) for cut in (fresh, used)]
    assert results[0] == results[1]
    assert "" not in {token for tokens in results[0] for token in tokens}
    parts, joined = used.split(text)
    assert parts + joined == results[0][0]
    assert parts == results[0][2]


@given(ANY_PARAMS, TEXTS)
def test_documents_hold_the_tokens_of_the_same_text_as_a_query(params: TextParams, text: str) -> None:
    if params.tokenizer is Tokenizer.PREFIX:
        # Queries keep stopwords, which documents do not hold.
        params = replace(params, stopword_languages=(), custom_stopwords=())
    cut = analyzer(params)
    documents = set(cut.documents(text))
    assert set(cut.ranking(text)) <= documents
    assert set(cut.query(text)) <= documents
    assert set(cut.phrase(text)) <= documents


@given(ANY_PARAMS, TEXTS)
def test_tokens_keep_the_limits(params: TextParams, text: str) -> None:
    cut = analyzer(params)
    for token in cut.documents(text) + cut.query(text):
        assert (params.min_token_len or 0) <= len(token)
        assert params.max_token_len is None or len(token) <= params.max_token_len
